"""What a schedule has done: a small file in the workspace that is there whole at any moment, and the lock that lets one
schedule at a time work on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from wisen.core.disk import disk_faults
from wisen.core.errors import StoreError
from wisen.core.records import Record
from wisen.evolution.schedule.settings import ScheduleSettings

FILE, LOCK = "schedule.json", "schedule.lock"


class End(StrEnum):
    DONE = "done"
    CUT = "cut off by its budget"
    FAILED = "failed"
    USED_UP = "nothing left to learn from"


class Taken(Record):
    """What work took. See `Budget`."""

    seconds: float = 0.0
    tokens: int = 0
    dollars: float = 0.0

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(
            seconds=self.seconds + other.seconds,
            tokens=self.tokens + other.tokens,
            dollars=self.dollars + other.dollars,
        )

    def told(self) -> str:
        """For a person."""
        price = f", ${self.dollars:,.4f}" if self.dollars else ""
        return f"{self.seconds / 3600:.2f} h, {self.tokens:,} tokens{price}"


class Turn(Record):
    """Work on one cycle. due: when it should have begun. cycle: which one it works on, known before the work begins, so
    that a turn that was killed goes on with that one and no other. held: trajectories and marks in the store when it
    began. fault, next_try: of the last try that failed."""

    number: int
    due: datetime
    why: str
    begun: datetime
    cycle: int | None = None
    held: int = 0
    ended: datetime | None = None
    end: End | None = None
    taken: Taken = Taken()
    failures: int = 0
    fault: str = ""
    next_try: datetime | None = None


class State(Record):
    """handled: due times up to then are dealt with. seen: how many trajectories of others there were at that moment.
    plan: the settings of whoever worked on it last."""

    format: Literal[1] = 1
    plan: ScheduleSettings = ScheduleSettings()
    handled: datetime | None = None
    seen: int = 0
    turns: tuple[Turn, ...] = Field(())

    @property
    def open(self) -> Turn | None:
        """The turn that has begun and not ended."""
        return self.turns[-1] if self.turns and self.turns[-1].end is None else None

    @property
    def taken(self) -> Taken:
        return sum((turn.taken for turn in self.turns), Taken())

    def with_turn(self, turn: Turn) -> "State":
        """The same with this turn in place of the one of its number, or added."""
        return self.model_copy(update={"turns": (*self.turns[: turn.number - 1], turn)})


def read_state(root: Path) -> State:
    """Empty where there is none. Raises `StoreError` for what cannot be read."""
    path = root / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return State()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    try:
        return State.model_validate_json(text)
    except ValidationError as error:
        raise StoreError(
            f"{path} is not what a schedule writes: {error.errors()[0]['msg']}",
            "move it away to begin anew: the releases are in the store, and what the schedule spent is forgotten",
        ) from error


def write_state(root: Path, state: State) -> None:
    """On the disk when this returns, or the one before is still there. Raises `StoreError`."""
    path, scratch = root / FILE, root / f"{FILE}.part"
    with disk_faults(f"could not write {path}"):
        with scratch.open("w", encoding="utf-8") as file:
            file.write(state.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        folder = os.open(root, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def only_one(root: Path) -> Iterator[None]:
    """While the block runs no other schedule works on the workspace; the system frees the lock when the process ends.
    Raises `StoreError` at once where another does."""
    from filelock import FileLock, Timeout

    lock = FileLock(root / LOCK, blocking=False, fallback_to_soft=False)
    with disk_faults(f"could not lock the schedule of {root}"):
        try:
            lock.acquire()
        except Timeout as error:
            raise StoreError(
                f"another wisen schedule is working on {root}", "`wisen schedule status` says what it does"
            ) from error
    try:
        yield
    finally:
        lock.release()


def working(root: Path) -> bool:
    """Whether a schedule is working on the workspace. Leaves everything as it was."""
    if not (root / LOCK).exists():
        return False
    with suppress(OSError):
        try:
            with only_one(root):
                return False
        except StoreError:
            return True
    return False
