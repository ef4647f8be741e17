"""A bank of memories as LangGraph's store: a graph that was written without wisen gains recall and learning.

with BankStore.open(Path("desk"), name="desk") as store:
    app = graph.compile(store=store)
    app.invoke({...}, config)
    store.learn(config, outcome=True)

`put` offers an item to the bank, through its guard; `search` with a query is a recall, with logged draws; `learn` ends
a job and says how it went, from which credit is computed. Who is at work is told by the config's `thread_id`.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from langgraph.store.base import BaseStore, Op, Result

from wisen.agent.experience import Experience, Lesson
from wisen.agent.placed import PlacedBank
from wisen.agent.store_jobs import present_thread, thread_of
from wisen.core.errors import SettingsError
from wisen.core.records import Trust
from wisen.core.workspace import DEFAULT_ROOT
from wisen.memory.recall import RecallSettings

T = TypeVar("T")


class BankStore(BaseStore):
    """LangGraph's store over an open `Experience`. Make it on the event loop that the experience lives on
    (`experience.store()`), or with `open`, which has a loop of its own and serves graphs that run without one.

    What comes back is what the bank has in use. A value that the guard holds back (an instruction to a model, say) is
    there for `wisen memory show` and for a person to approve, and neither `get` nor `search` returns it. An update that
    the guard holds back leaves the earlier value. `delete` retires an item; nothing is lost.

    trust: the class of what the graph puts. settings: how a search recalls; by default like LangGraph's own stores,
    every item, best first, with no floor. Number and offset are the caller's.
    """

    supports_ttl = False

    def __init__(
        self, experience: Experience, *, trust: Trust = Trust.MODEL, settings: RecallSettings | None = None
    ) -> None:
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise SettingsError("there is no event loop here", "use BankStore.open(…) in synchronous code") from None
        self._placed = PlacedBank(experience, trust, settings)

    @classmethod
    @contextmanager
    def open(
        cls,
        root: Path = DEFAULT_ROOT,
        *,
        trust: Trust = Trust.MODEL,
        settings: RecallSettings | None = None,
        **options: Any,
    ) -> Iterator[Self]:
        """The store of a workspace, on a thread of its own. `options` are those of `Experience`."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="bank-store", daemon=True)
        thread.start()

        def on_loop(work: Coroutine[Any, Any, T]) -> T:
            return asyncio.run_coroutine_threadsafe(work, loop).result()

        experience = Experience(root, **options)

        async def make() -> Self:
            await experience.__aenter__()
            return cls(experience, trust=trust, settings=settings)

        try:
            store: Self = on_loop(make())
            try:
                yield store
            finally:
                on_loop(experience.__aexit__(None, None, None))
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Raises `SettingsError` on the event loop that the store itself needs: there, await `abatch`."""
        return self._wait(self._placed.served(list(ops), present_thread()))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        return await self._on_loop(self._placed.served(list(ops), present_thread()))

    def learn(
        self, config: Mapping[str, Any] | None = None, done: Sequence[Any] = (), *, outcome: bool | None = None
    ) -> Lesson:
        """End the job of a thread; see `alearn`."""
        return self._wait(self._placed.learned(self._thread(config), done, outcome))

    async def alearn(
        self, config: Mapping[str, Any] | None = None, done: Sequence[Any] = (), *, outcome: bool | None = None
    ) -> Lesson:
        """End the job of a thread: say how it went, and let what was done teach.

        config: what the graph was called with; inside of a node it is known. done: the messages, or pairs of action and
        observation, from which the distiller writes; without them only the outcome is kept, for credit. outcome:
        whether it succeeded; None leaves it to the experience's judge.
        """
        return await self._on_loop(self._placed.learned(self._thread(config), done, outcome))

    def _thread(self, config: Mapping[str, Any] | None) -> str:
        return present_thread() if config is None else thread_of(config)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            work.close()
            raise SettingsError(
                "a synchronous call on the store's own event loop would wait for itself", "await aget, asearch, aput, …"
            )
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        if asyncio.get_running_loop() is self._loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
