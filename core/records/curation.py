"""What passes between the bank and a curator, which rewrites what it wrote before."""

from wisen.core.records.base import Record
from wisen.core.records.memory import ItemStatus, MemoryItem
from wisen.core.records.trajectory import Trajectory, Verdict


class Attempted(Record):
    """An attempt with its verdict. `shown` are the ids of the items that it was told, best first, or of what took their
    places since."""

    trajectory: Trajectory
    verdict: Verdict
    shown: tuple[str, ...] = ()


class Entry(Record):
    """An item as its curator sees it. `counts` is what the ledger has counted for and against it, by name (votes,
    helpful, harmful); `shown` says in how many episodes it was shown."""

    item: MemoryItem
    status: ItemStatus
    counts: dict[str, int] = {}
    shown: int = 0

    @property
    def present(self) -> bool:
        """Whether it is on the list that its curator works on. One that was retired or quarantined is not."""
        return self.status not in (ItemStatus.RETIRED, ItemStatus.QUARANTINED)


class Retirement(Record):
    """`into` is the item that says it from now on. Where the guard refuses that one, this one stays."""

    item_id: str
    reason: str
    into: str = ""


class Tally(Record):
    """What is added to an item's counts, and further evidence for it."""

    item_id: str
    counts: dict[str, int] = {}
    evidence: tuple[str, ...] = ()
    source_tasks: tuple[str, ...] = ()
    reason: str = ""


class Revision(Record):
    """What a curator wants done, all of it or nothing. An item of `replace` takes the place of its `parent_id`, which
    is retired. `failed` says why a curation came to nothing; the rest is empty then."""

    add: tuple[MemoryItem, ...] = ()
    replace: tuple[MemoryItem, ...] = ()
    retire: tuple[Retirement, ...] = ()
    tallies: tuple[Tally, ...] = ()
    failed: str = ""
