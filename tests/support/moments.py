"""Inside a process that runs the loop: writes down which stretch of work it is in and what the store took, and, when it
is told to, sets the kernel's clock to a `kill -9` somewhere in a stretch.

A trace is lines of `SIGN CLOCK WORDS`: `> 1.25 train 1 1` begins a stretch (phase, cycle, how often by now), `< 1.75`
ends the innermost one, and `+ 1.3 episode traj-1` is a write to the store that has returned.
"""

import ctypes
import functools
import inspect
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FIRST = "start"  # from the command's beginning until the first release is there
PHASES = (FIRST, "collect", "distil", "index", "train", "gate", "promote", "report")


class Watch:
    """`moment`: {"phase", "cycle", "nth", "delay"}: die `delay` seconds into that stretch."""

    def __init__(self, trace: Path, moment: dict[str, Any] | None) -> None:
        self._file = os.open(trace, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self._moment = moment
        self._count: Counter[tuple[str, int]] = Counter()
        self._inside: list[str] = []
        self._cycle = 0

    def start(self) -> None:
        """Watch the loop's parts from here on. Names that are no longer there are errors."""
        from wisen.core.store import Store
        from wisen.core.store.base import StoreBase
        from wisen.evolution import cycle, evolve
        from wisen.memory.index import ChromaIndex

        self._begin(FIRST)
        self._wrap(evolve, "first_release", after=self._end)
        self._wrap(evolve, "run_cycle", before=self._next_cycle)
        for phase, name in (("collect", "_collect"), ("distil", "_distil"), ("train", "_train"), ("gate", "gated")):
            self._wrap(cycle, name, *self._stretch(phase))
        # Outside `distil` it has nothing to add.
        self._wrap(ChromaIndex, "ensure", *self._stretch("index", within="distil"))
        self._wrap(Store, "add_gate", *self._stretch("promote"))
        self._wrap(evolve, "make_report", before=lambda *_: self._begin("report"))  # files come after it: to the end

        whole = StoreBase._write

        @contextmanager
        def _write(store: StoreBase, doing: str) -> Iterator[Any]:
            with whole(store, doing) as connection:
                yield connection
            self._say("+", doing)

        StoreBase._write = _write  # type: ignore[method-assign]

    def _next_cycle(self, _bench: Any, number: int) -> None:
        self._cycle = number

    def _stretch(self, phase: str, within: str = "") -> tuple[Callable[..., None], Callable[[], None]]:
        began: list[bool] = []

        def before(*_: Any) -> None:
            began.append(not within or self._inside[-1:] == [within])
            if began[-1]:
                self._begin(phase)

        def after() -> None:
            if began.pop():
                self._end()

        return before, after

    def _begin(self, phase: str) -> None:
        cycle = 0 if phase in (FIRST, "report") else self._cycle
        self._inside.append(phase)
        self._count[phase, cycle] += 1
        stretch = {"phase": phase, "cycle": cycle, "nth": self._count[phase, cycle]}
        self._say(">", *map(str, stretch.values()))
        if self._moment and stretch.items() <= self._moment.items():
            die_in(self._moment["delay"])

    def _end(self) -> None:
        self._inside.pop()
        self._say("<")

    def _say(self, sign: str, *words: str) -> None:
        os.write(self._file, " ".join((sign, f"{time.monotonic():.6f}", *words, "\n")).encode())

    @staticmethod
    def _wrap(
        owner: Any, name: str, before: Callable[..., None] = lambda *_: None, after: Callable[[], None] = lambda: None
    ) -> None:
        whole = getattr(owner, name)

        async def asynchronous(*args: Any, **options: Any) -> Any:
            before(*args)
            value = await whole(*args, **options)
            after()
            return value

        def synchronous(*args: Any, **options: Any) -> Any:
            before(*args)
            value = whole(*args, **options)
            after()
            return value

        wrapped = asynchronous if inspect.iscoroutinefunction(whole) else synchronous
        setattr(owner, name, functools.wraps(whole)(wrapped))


class _Event(ctypes.Structure):
    """`struct sigevent`: SIGEV_SIGNAL is 0. Padded to its size of 64 bytes."""

    _fields_ = [
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_byte * 48),
    ]


class _Setting(ctypes.Structure):
    """`struct itimerspec`."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")]


def die_in(seconds: float) -> None:
    """SIGKILL after that time, sent by the kernel: it needs no other process to be awake in time. Linux only."""
    libc = ctypes.CDLL(None, use_errno=True)
    timer = ctypes.c_void_p()
    event = _Event(signal=signal.SIGKILL)
    whole, part = divmod(max(1, round(seconds * 1e9)), 1_000_000_000)  # all zeros would disarm it
    if libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(timer)) or libc.timer_settime(
        timer, 0, ctypes.byref(_Setting(first_s=whole, first_ns=part)), None
    ):
        raise OSError(ctypes.get_errno(), "no timer")
