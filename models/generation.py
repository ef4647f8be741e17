"""Free and constrained text from a transformers causal language model, token by token.

One thread computes. Requests in progress take turns, one token each (or one piece of a long prompt), and every request
has its own cache and its own generator: what it returns does not depend on what else runs. A request whose reader has
gone is dropped at its next turn.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self, TypeVar

from wisen.core.errors import ModelFault, SettingsError
from wisen.core.records import Message, ToolSpec
from wisen.models.chat import ChatFormat
from wisen.models.constraint import Shape, compile_shape
from wisen.models.decoding import Decoding, Generated, advanced
from wisen.models.pretrained import Pretrained, load_pretrained
from wisen.models.sampling import Sampling
from wisen.models.vocabulary import Vocabulary

T = TypeVar("T")
DEFAULT_NEW_TOKENS = 2048  # where neither the request nor the model sets a limit


class ContextOverflow(ModelFault):
    """The prompt and the tokens asked for do not fit the model's context. Said before anything is computed."""


class Generation:
    """A request in progress: iterate over it for its tokens, and leave with `aclose` (or `contextlib.aclosing`)."""

    def __init__(self, decoding: Decoding, leave: Callable[["Generation"], None]) -> None:
        self.decoding = decoding
        self.gone = False
        self._leave = leave
        self._arrived: asyncio.Queue[Generated | ModelFault] = asyncio.Queue()
        self._ended = False

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        return self.decoding.prompt_ids

    @property
    def seed(self) -> int:
        """The request's seed, or the one that was drawn for it."""
        return self.decoding.seed

    def put(self, item: Generated | ModelFault) -> None:
        self._arrived.put_nowait(item)

    def __aiter__(self) -> AsyncIterator[Generated]:
        return self

    async def __anext__(self) -> Generated:
        if self._ended:
            raise StopAsyncIteration
        item = await self._arrived.get()
        if isinstance(item, ModelFault):
            self._ended = True
            raise item
        self._ended = bool(item.finish)
        return item

    async def aclose(self) -> None:
        self.gone = True
        self._leave(self)


class TextModel:
    """Writes text with one model.

    max_running: requests that take turns, each with a cache in memory. max_waiting: requests that wait for one of those
    places; the next one is refused. threads: torch's threads, its own choice if None.
    """

    def __init__(
        self, loaded: Pretrained, *, name: str, max_running: int = 8, max_waiting: int = 256, threads: int | None = None
    ) -> None:
        self.name = name
        self.context = loaded.context
        self._loaded = loaded
        try:
            self.vocabulary = Vocabulary(loaded.tokenizer, loaded.ends)
        except SettingsError as error:
            raise SettingsError(f"{name} cannot be served: {error.problem}", error.hint) from error
        self._format = ChatFormat(loaded.tokenizer)
        self._running: list[Generation] = []
        self._waiting: deque[Generation] = deque()
        self._max_running, self._max_waiting = max_running, max_waiting
        self._turns: asyncio.Task[None] | None = None
        self._closed = False
        # Torch counts threads per calling thread, and another count rounds the last digit otherwise.
        setting = (_set_threads, (threads,)) if threads else (None, ())
        self._thread = ThreadPoolExecutor(1, f"wisen-{name}", *setting)

    @classmethod
    def load(
        cls, source: str, *, name: str, device: str = "cpu", dtype: str = "auto", threads: int | None = None
    ) -> Self:
        """From a folder or a hub id. Raises `SettingsError` for what cannot be served."""
        return cls(load_pretrained(source, device=device, dtype=dtype), name=name, threads=threads)

    @property
    def parameters(self) -> int:
        return int(self._loaded.model.num_parameters())

    @property
    def running(self) -> int:
        """Requests that are being computed or wait."""
        return len(self._running) + len(self._waiting)

    @property
    def chat_stops(self) -> tuple[str, ...]:
        """Texts that end a reply in this model's chat format, beside its end token."""
        return self._format.stops

    async def chat_prompt(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = (), opening: str = ""
    ) -> tuple[int, ...]:
        """A conversation as token ids. Raises `SettingsError` where the model's chat template refuses it."""
        return await self._in_thread(lambda: self._format.encode(messages, tools, opening))

    async def text_prompt(self, prompt: str) -> tuple[int, ...]:
        return await self._in_thread(lambda: self._format.text(prompt))

    async def start(self, prompt_ids: Sequence[int], sampling: Sampling, shape: Shape | None = None) -> Generation:
        """Begin. Raises `ContextOverflow`, `SettingsError` for a shape that cannot be enforced or ids that the model
        does not have, and `ModelFault` when too many wait; after that nothing is refused."""
        ids = tuple(prompt_ids)
        if not ids or min(ids) < 0 or max(ids) >= self.vocabulary.size:
            raise SettingsError(
                "the prompt is empty" if not ids else "the prompt holds ids that the model does not have"
            )
        limit = self._limit(len(ids), sampling.max_tokens)
        if len(self._waiting) >= self._max_waiting:
            raise ModelFault(f"{self.name} has {self._max_waiting} requests waiting", "try again later", retryable=True)
        constraint = None
        if shape is not None:
            constraint = await self._in_thread(lambda: compile_shape(shape, self._loaded.tokenizer, self.vocabulary))
        decoding = Decoding(self._loaded, self.vocabulary, ids, sampling, limit, constraint)
        generation = Generation(decoding, self._left)
        if self._closed:
            raise ModelFault(f"{self.name} was closed")
        self._waiting.append(generation)
        if self._turns is None or self._turns.done():
            self._turns = asyncio.create_task(self._take_turns())
        return generation

    async def close(self) -> None:
        """Stop. Requests in progress raise `ModelFault`."""
        self._closed = True
        if self._turns is not None and not self._turns.done():
            self._turns.cancel()
            await asyncio.gather(self._turns, return_exceptions=True)
        for generation in (*self._running, *self._waiting):
            generation.put(ModelFault(f"{self.name} was closed while it was asked"))
        self._running, self._waiting = [], deque()
        await asyncio.to_thread(self._thread.shutdown)

    async def _take_turns(self) -> None:
        while self._running or self._waiting:
            while self._waiting and len(self._running) < self._max_running:
                self._running.append(self._waiting.popleft())
            turn = [generation for generation in self._running if not generation.gone]
            outcomes = await self._in_thread(partial(self._round, turn))
            ended = set()
            for generation, outcome in zip(turn, outcomes, strict=True):
                if outcome is not None:
                    generation.put(outcome)
                if isinstance(outcome, ModelFault) or (outcome is not None and outcome.finish):
                    ended.add(generation)
            self._running = [each for each in self._running if each not in ended and not each.gone]

    def _round(self, turn: Sequence[Generation]) -> list[Generated | ModelFault | None]:
        """One step of each. Where a batched step will take the place of these single ones."""
        return [advanced(generation.decoding, self.name) for generation in turn]

    def _left(self, generation: Generation) -> None:
        if generation in self._waiting:
            self._waiting.remove(generation)

    def _limit(self, prompt: int, asked: int | None) -> int:
        if self.context is None:
            return asked or DEFAULT_NEW_TOKENS
        if prompt + (asked or 1) > self.context:
            raise ContextOverflow(
                f"{self.name}: this model's maximum context length is {self.context} tokens, "
                f"and a prompt of {prompt} with {asked or 1} to come does not fit",
                "shorten the prompt or lower max_tokens",
            )
        return asked or self.context - prompt

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise ModelFault(f"{self.name} was closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _set_threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)
