"""A thread of its own for an environment that blocks, or that must always be called from the same thread."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from wisen.core.errors import EnvironmentFault

T = TypeVar("T")
Job = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class OwnThread:
    """Runs calls one after another in one thread. A call that does not come back within its time is given up, and the
    thread with it: nothing can stop a thread, so it is left alone (it does not keep the program from ending)."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Job | None] | None = None

    async def run(self, work: Callable[[], T], *, seconds: float) -> T:
        """The result of `work()`. Raises what it raises, and `EnvironmentFault` when it takes longer than that."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(target=_work, args=(self._jobs,), name=self._name, daemon=True).start()
        self._jobs.put((work, loop, answer))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(answer)
        except TimeoutError:
            if answer.done():  # the work's own
                raise
            self.leave()
            raise EnvironmentFault(f"{self._name} did not answer within {seconds:g} s") from None
        except asyncio.CancelledError:
            self.leave()  # it may be in the middle of a call for a long time
            raise

    def leave(self) -> None:
        """Let the thread end after what it is doing. The next `run` has a new one."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None


def _work(jobs: "queue.SimpleQueue[Job | None]") -> None:
    while (job := jobs.get()) is not None:
        work, loop, answer = job
        result: Any = None
        error: BaseException | None = None
        try:
            result = work()
        except BaseException as raised:  # also SystemExit: it is the environment's, not the program's
            error = raised
        try:
            loop.call_soon_threadsafe(_settle, answer, result, error)
        except RuntimeError:  # the loop is closed: nobody waits
            return


def _settle(answer: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if answer.cancelled():
        return
    if error is None:
        answer.set_result(result)
        return
    if not isinstance(error, Exception):
        error = EnvironmentFault(f"the environment left with {type(error).__name__}: {error}")
    answer.set_exception(error)
    answer.exception()  # it counts as seen, also when who asked has gone
