"""One loaded model that answers many requests at once. One thread computes; callers wait without blocking."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from wisen.core.errors import FaultKind, ModelFault, SettingsError
from wisen.core.ids import content_id
from wisen.models.engine.adapters import read_adapter
from wisen.models.engine.core import Core
from wisen.models.engine.jobs import Job
from wisen.models.engine.scheduler import SPARE, Scheduler
from wisen.models.memory import check_room, places_for_cache
from wisen.models.pretrained import Pretrained

T = TypeVar("T")


LEAVING = 0.005  # seconds between two looks whether an adapter's last request is done


class ContextOverflow(ModelFault):
    """The prompt and the tokens asked for do not fit the model's context. Said before anything is computed."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint, kind=FaultKind.CONTEXT)


class NoAdapter(ModelFault):
    """No adapter of that name is served, or not any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no adapter is served as {name}", "load it, or name another", kind=FaultKind.NOT_FOUND)


class Engine:
    """max_running: requests that are computed at once. max_waiting: requests at once, beyond which impatient ones are
    refused. threads: torch's threads, its own choice if None. cache_bytes: what keys and values may take; None: what
    the running requests need twice, at most a quarter of what is free.
    """

    def __init__(
        self,
        loaded: Pretrained,
        *,
        name: str,
        max_running: int = 16,
        max_waiting: int = 256,
        threads: int | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        self.name = name
        self.loaded = loaded
        self._max_waiting = max_waiting
        # Torch counts threads per calling thread, and another count rounds the last digit otherwise.
        setting = (_set_threads, (threads,)) if threads else (None, ())
        self._thread = ThreadPoolExecutor(1, f"wisen-{name}", *setting)
        self._core = self._thread.submit(Core, loaded).result()
        self.cached = places_for_cache(
            self._core,
            context=loaded.context,
            max_running=max_running,
            device=str(self._core.device),
            given=cache_bytes,
        )
        self._scheduler = Scheduler(self._core, name, max_running)
        self.forget()
        self._adapters: set[str] = set()  # those that are served; written in the computing thread alone
        self._removed: set[str] = set()  # of these, those that take no more requests
        self._jobs: set[Job] = set()
        self._arrived: list[Job] = []
        self._pump: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def invariant(self) -> bool:
        """Whether an answer is the same, bit for bit, whatever else is computed beside it: tried out on the CPU."""
        return self._core.device.type == "cpu" and self._core.linears.invariant

    @property
    def running(self) -> int:
        """Requests that are being computed or wait."""
        return len(self._jobs)

    @property
    def prefix_tokens(self) -> tuple[int, int]:
        """(prompt tokens that were found in the cache, prompt tokens that were not)."""
        return self._core.prefixes.hits, self._core.prefixes.misses

    @property
    def context(self) -> int:
        """Tokens of a prompt and its answer together: what the model has places for, or the cache if that is less."""
        return min(self.loaded.context or self.cached, self.cached)

    def forget(self) -> None:
        """Empty the cache. Only while nothing is running."""
        self._scheduler.drop_gone()
        self._core.size(self.cached + SPARE)

    def check(self, prompt: int, more: int) -> None:
        """Raises `ContextOverflow` where so many tokens do not fit."""
        if prompt + more > self.context:
            raise ContextOverflow(
                f"{self.name}: this model's maximum context length is {self.context} tokens, "
                f"and a prompt of {prompt} with {more} to come does not fit",
                "shorten the prompt or lower max_tokens",
            )

    def submit(self, job: Job, *, patient: bool = True) -> None:
        """Begin. What the job needs was checked before. Raises `NoAdapter` for the request of an adapter that is not
        served, and `ModelFault` when too many wait and it is not patient."""
        if self._closed:
            raise ModelFault(f"{self.name} was closed")
        if job.owner and not self.serves(job.owner):
            raise NoAdapter(job.owner)
        if not patient and len(self._jobs) >= self._max_waiting:
            raise ModelFault(f"{self.name} has {self._max_waiting} requests waiting", "try again later", retryable=True)
        self._jobs.add(job)
        self._arrived.append(job)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._turns())

    def leave(self, job: Job) -> None:
        """Nobody waits for its answer any more."""
        job.gone = True
        self._jobs.discard(job)

    def serves(self, adapter: str) -> bool:
        return adapter in self._adapters and adapter not in self._removed

    async def add_adapter(self, name: str, folder: Path) -> None:
        """Load a LoRA adapter under a name that will never mean another one, also when it was removed. Raises
        `SettingsError`, also where it does not fit in memory."""
        core = self._core

        def add() -> None:
            dtype = str(self.loaded.model.dtype).removeprefix("torch.")
            check_room(folder, f"adapter {name}", str(core.device), dtype, "remove an adapter that is not needed")
            layers = read_adapter(folder)
            parts = [(key, scale, *(hash_of(each) for each in pair)) for key, (*pair, scale) in sorted(layers.items())]
            digest = content_id("adapter", parts)
            if core.adapters.get(name, digest) != digest:
                raise SettingsError(f"another adapter has the name {name}, for good", "give it a new name")
            if name not in core.linears:
                core.linears.add(name, layers)
                core.adapters[name] = digest
            self._adapters.add(name)
            self._removed.discard(name)

        if not name:
            raise SettingsError("an adapter needs a name")
        await self.in_thread(add)

    async def remove_adapter(self, name: str) -> None:
        """Take no more requests for it; when those in progress are answered, forget its weights. Raises `NoAdapter`."""
        if not self.serves(name):
            raise NoAdapter(name)
        self._removed.add(name)
        while name in self._removed and any(job.owner == name for job in self._jobs):  # noqa: ASYNC110
            await asyncio.sleep(LEAVING)  # jobs end in several places

        def drop() -> None:
            if name in self._removed:  # else it was loaded again meanwhile
                self._adapters.discard(name)
                self._core.linears.drop(name)

        await self.in_thread(drop)

    async def close(self) -> None:
        """Stop. Requests in progress raise `ModelFault`."""
        self._closed = True
        if self._pump is not None and not self._pump.done():
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)
        for job in self._jobs:
            if not job.done:
                job.fail(ModelFault(f"{self.name} was closed while it was asked"))
            job.deliver()
        self._jobs.clear()

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run something in the computing thread, between two passes."""
        if self._closed:
            raise ModelFault(f"{self.name} was closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _turns(self) -> None:
        loop = asyncio.get_running_loop()
        while self._jobs:
            await asyncio.sleep(0)  # lets everyone who is ready put a request in first
            arrived, self._arrived = self._arrived, []
            try:
                touched = await loop.run_in_executor(self._thread, partial(self._scheduler.turn, arrived))
            except Exception as error:  # nobody may be left waiting
                touched = list(self._jobs)
                for job in touched:
                    job.fail(ModelFault(f"{self.name} failed: {error}"))
            for job in touched:
                job.deliver()
                if job.done:
                    self._jobs.discard(job)


def hash_of(tensor: object) -> str:
    import hashlib

    import torch

    assert isinstance(tensor, torch.Tensor)
    return hashlib.sha256(tensor.float().contiguous().numpy().tobytes()).hexdigest()


def _set_threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)
