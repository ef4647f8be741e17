"""What this process and all that it started use: processor time, memory. Linux."""

import os
import time
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def below(pid: int) -> list[int]:
    """Processes started by this one, and by those."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, above = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents.setdefault(int(above), []).append(int(folder.name))
    found, queue = [], [pid]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def resident() -> tuple[float, int]:
    """Memory (proportional set size, MB) of this process and all below it, and how many there are."""
    total, pids = 0, [os.getpid(), *below(os.getpid())]
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024, len(pids)


class Meter:
    """Seconds by the clock, and of processors, over all that ran within `with meter`: those of this process, and of all
    below it (theirs in steps of 10 ms)."""

    def __init__(self) -> None:
        self.clock = self.processor = 0.0

    def __enter__(self) -> "Meter":
        self.processor -= _of_others()  # a look at /proc is not to be counted itself
        self.processor -= time.process_time()
        self.clock -= time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.clock += time.perf_counter()
        self.processor += time.process_time()
        self.processor += _of_others()


def _of_others() -> float:
    """Of all below this process, and of those that have ended and were waited for."""
    ended, ticks = os.times(), 0
    for pid in below(os.getpid()):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS + ended.children_user + ended.children_system
