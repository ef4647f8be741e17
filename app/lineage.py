"""Where an item comes from: the episodes that taught it, and its versions."""

from dataclasses import asdict, dataclass
from typing import Any

from wisen.core.records import MemoryItem
from wisen.core.store import Store
from wisen.memory.bank import Snapshot

MOST_SOURCES = 10


@dataclass(frozen=True)
class Source:
    """An episode that taught an item. run, task: empty where the episode is not in this store (it was imported, or its
    application never said how it went)."""

    episode: str
    task: str = ""
    run: str = ""
    success: bool | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        if not self.run:
            return f"{self.episode}  not in this store"
        ended = {True: "solved", False: "failed", None: "undecided"}[self.success]
        return f"{self.episode}  {ended}  task {self.task}, run {self.run}"


def sources(store: Store, item: MemoryItem) -> list[Source]:
    """The newest episodes among an item's evidence, newest first."""
    ids = item.evidence[: -MOST_SOURCES - 1 : -1]
    runs = {one.id: one.run_id for one in store.trajectories(ids)}
    outcomes = store.outcomes(ids)
    return [
        Source(key, outcomes[key].task_id, runs[key], outcomes[key].success) if key in outcomes else Source(key)
        for key in ids
    ]


def versions(snapshot: Snapshot, item: MemoryItem) -> list[MemoryItem]:
    """What the item was made from, itself, and what was made from it; oldest first."""
    line = [item]
    while (parent := snapshot.items.get(line[0].parent_id or "")) is not None and parent not in line:
        line.insert(0, parent)
    after = {item.id}
    for key, one in snapshot.items.items():  # in the order in which they came
        if one.parent_id in after and key not in after:
            after.add(key)
            line.append(one)
    return line
