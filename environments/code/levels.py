"""Which wall stands between untrusted code and this machine, and what each wall holds and does not."""

import functools
import os
from pathlib import Path
from typing import Literal

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Record
from wisen.environments.code import bubblewrap, jail

Level = Literal["namespaces", "landlock", "none"]
NUMBERS: dict[str, int] = {"namespaces": 1, "landlock": 2, "none": 3}
_CONTAINS = {
    "namespaces": "files, network, processes and system calls of its own; hard limits on memory, processes and disk",
    "landlock": "no file outside its folder can be read or written, no sockets, no foreign process, hard limits",
    "none": "nothing is run",
}
_LEAVES = {
    "namespaces": "exploits of the kernel; CPU and cache shared with the machine",
    "landlock": "names, sizes and times of files can be seen, and which processes run by /proc's numbers; the disk and "
    "memory of all its processes together are watched, not walled; exploits of the kernel",
    "none": "",
}


class SandboxLevel(Record):
    """What stands between untrusted code and this machine. With `none` no code is run; `hint` says what would help."""

    level: Level
    detail: str
    hint: str = ""

    @property
    def number(self) -> int:
        """1 is the strongest."""
        return NUMBERS[self.level]

    @property
    def contains(self) -> str:
        return _CONTAINS[self.level]

    @property
    def leaves(self) -> str:
        """What this level does not contain."""
        return _LEAVES[self.level]


@functools.cache
def sandbox_level() -> SandboxLevel:
    """Tries the levels once per process, strongest first, and says which is in force. Blocks for some 50 ms the first
    time."""
    problem, hint = bubblewrap.why_not()
    if not problem:
        return SandboxLevel(level="namespaces", detail=f"bubblewrap, no network, memory limited per process {_total()}")
    second = landlock_level()
    if second.level == "landlock":
        return SandboxLevel(level="landlock", detail=f"{second.detail} ({problem})", hint=hint)
    return SandboxLevel(level="none", detail=f"{problem}; {second.detail}", hint=hint)


def landlock_level() -> SandboxLevel:
    """Level 2, whether or not level 1 can be had."""
    problem, hint = jail.why_not()
    if problem:
        return SandboxLevel(level="none", detail=problem, hint=hint)
    return SandboxLevel(
        level="landlock", detail=f"another user, Landlock and seccomp, memory limited per process {_total()}"
    )


def checked_level(name: str) -> Literal["namespaces", "landlock"]:
    """The name of a least level, as a setting. Raises `SettingsError`."""
    known: dict[str, Literal["namespaces", "landlock"]] = {"namespaces": "namespaces", "landlock": "landlock"}
    if name in known:
        return known[name]
    raise SettingsError(f"unknown sandbox level {name!r}", "namespaces (level 1) or landlock (level 2)")


def require_sandbox(least: str = "landlock") -> SandboxLevel:
    """The level in force. Raises `EnvironmentFault` where it is weaker than `least`, or there is none."""
    found = sandbox_level()
    if found.level == "none":
        raise EnvironmentFault(f"model-written code cannot be run safely here: {found.detail}", found.hint)
    if found.number > NUMBERS[checked_level(least)]:
        raise EnvironmentFault(
            f"sandbox level {NUMBERS[least]} ({least}) is asked for, but only level {found.number} "
            f"({found.level}) can be had: {found.detail}",
            found.hint,
        )
    return found


def children_file(pid: int) -> Path:
    return Path(f"/proc/{pid}/task/{pid}/children")


def _total() -> str:
    return "and in total" if children_file(os.getpid()).exists() else "but not in total (kernel lists no children)"
