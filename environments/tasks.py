"""Tasks of a suite: the seeds of the three splits, and the checks that a task is the suite's own and an episode of it
runs."""

from typing import TypeVar

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Split, Task

E = TypeVar("E")
SEEDS = 1_000_000  # of each split, so that those of two never meet
FIRST_SEED = {Split.LEARN: 0, Split.GATE: SEEDS, Split.REPORT: 2 * SEEDS}


def seeds(suite: str, split: Split, count: int, offset: int) -> range:
    """Of `count` tasks from `offset` in the split's own range. Raises `SettingsError` outside of it."""
    if count < 0 or offset < 0 or offset + count > SEEDS:
        raise SettingsError(
            f"{suite}: tasks {offset} to {offset + count} are outside the split's seeds",
            f"a split has {SEEDS:,} seeds, from 0",
        )
    first = FIRST_SEED[split] + offset
    return range(first, first + count)


def split_of(seed: int) -> Split:
    """The split that a seed is for."""
    return list(FIRST_SEED)[max(0, min(seed // SEEDS, len(FIRST_SEED) - 1))]


def not_ours(task: Task, suite: str, version: str) -> EnvironmentFault:
    """The error for a task of another suite or version."""
    return EnvironmentFault(
        f"{task.id} is a task of {task.suite} version {task.version!r}, not of {suite} {version!r}",
        "make the panel anew with this version",
    )


def refuse_closed(closed: bool) -> None:
    """Raises `EnvironmentFault` for an environment that was closed for good."""
    if closed:
        raise EnvironmentFault("the environment is closed", "make a new one with the suite's create()")


def running(episode: E | None) -> E:
    """The episode that runs. Raises `EnvironmentFault` where none does."""
    if episode is None:
        raise EnvironmentFault("no episode is running", "reset the environment with a task first")
    return episode


def checked_task(task: Task, suite: str, version: str) -> None:
    """Raises `EnvironmentFault` for a task of another suite or version."""
    if task.suite != suite or task.version != version:
        raise not_ours(task, suite, version)
