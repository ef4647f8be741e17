"""What the events of the ledger mean: `fold` is the whole truth of it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from wisen.core.errors import WisenError
from wisen.core.records import EventKind, ItemStatus, LedgerEvent, MemoryItem
from wisen.memory.items import joined

T = TypeVar("T")
RECALLABLE = frozenset({ItemStatus.PROBATION, ItemStatus.ACTIVE})
RESTING = frozenset({ItemStatus.RETIRED, ItemStatus.QUARANTINED})

LEGAL_MOVES: Mapping[ItemStatus, frozenset[ItemStatus]] = MappingProxyType(
    {
        ItemStatus.CANDIDATE: frozenset({ItemStatus.PROBATION, ItemStatus.QUARANTINED, ItemStatus.RETIRED}),
        ItemStatus.PROBATION: frozenset({ItemStatus.ACTIVE, ItemStatus.QUARANTINED, ItemStatus.RETIRED}),
        ItemStatus.ACTIVE: frozenset({ItemStatus.PROBATION, ItemStatus.QUARANTINED, ItemStatus.RETIRED}),
        ItemStatus.RETIRED: frozenset({ItemStatus.PROBATION, ItemStatus.QUARANTINED}),  # revived ones prove anew
        ItemStatus.QUARANTINED: frozenset({ItemStatus.PROBATION, ItemStatus.RETIRED}),
    }
)


class BankError(WisenError):
    """A change of the bank that its rules do not allow, or a file that holds no items."""


@dataclass(frozen=True)
class Snapshot:
    """The bank at a version: items by id, with all evidence joined to them so far, and their statuses."""

    version: int = 0
    items: Mapping[str, MemoryItem] = field(default_factory=lambda: MappingProxyType({}))
    statuses: Mapping[str, ItemStatus] = field(default_factory=lambda: MappingProxyType({}))

    def __len__(self) -> int:
        return len(self.items)

    @property
    def recallable(self) -> tuple[MemoryItem, ...]:
        """Items on probation and active ones that enough tasks support, in order of id."""
        able = (self.items[key] for key in sorted(self.items) if self.statuses[key] in RECALLABLE)
        return tuple(item for item in able if max(1, len(item.source_tasks)) >= item.needs_tasks)

    def queue(self) -> tuple[MemoryItem, ...]:
        """Items that wait for a person's approval, in the order in which they came."""
        return tuple(item for key, item in self.items.items() if self.statuses[key] is ItemStatus.CANDIDATE)


@dataclass(frozen=True)
class ItemChange:
    """What befell an item that both versions hold. `evidence` are the trajectory ids that only the later one has."""

    item: MemoryItem
    before: ItemStatus
    after: ItemStatus
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class BankDiff:
    """From `old` to `new`. All three are in order of item id."""

    old: int
    new: int
    added: tuple[MemoryItem, ...]
    removed: tuple[MemoryItem, ...]
    changed: tuple[ItemChange, ...]


def fold(events: Iterable[LedgerEvent], start: Snapshot | None = None) -> Snapshot:
    """The bank that the events make, from the empty bank on, or from an earlier version.

    Raises `BankError` for an event that fits no bank: a status of an unknown item, a version that is still to come.
    """
    events = tuple(events)
    kept_versions = {event.to_version for event in events if event.kind is EventKind.RESTORED}
    start = Snapshot() if start is None else start
    items, statuses, version = copied(start.items), copied(start.statuses), start.version
    kept: dict[int | None, tuple[Mapping[str, MemoryItem], Mapping[str, ItemStatus]]] = {
        0: ({}, {}),
        version: (start.items, start.statuses),
    }
    for event in events:
        version = event.seq
        if event.kind is EventKind.RESTORED:
            if event.to_version not in kept:
                raise BankError(f"event {version} restores version {event.to_version}, which is not before it")
            items, statuses = copied(kept[event.to_version][0]), copied(kept[event.to_version][1])
        elif event.kind is EventKind.PROPOSED:
            if event.item is None:
                raise BankError(f"event {version} proposes nothing")
            items[event.item.id] = event.item
            statuses[event.item.id] = event.status or ItemStatus.CANDIDATE
        elif event.item_id not in items:
            raise BankError(f"event {version} is about item {event.item_id!r}, which the bank does not hold")
        elif event.kind is EventKind.EVIDENCE:
            items[event.item_id] = joined(items[event.item_id], event.evidence, event.source_tasks, event.trust)
        elif event.status is None:
            raise BankError(f"event {version} sets no status")
        else:
            statuses[event.item_id] = event.status
        if version in kept_versions:
            kept[version] = (items.copy(), statuses.copy())
    return Snapshot(version, MappingProxyType(items), MappingProxyType(statuses))


def copied(read_only: Mapping[str, T]) -> dict[str, T]:
    """A dict of one's own. To `dict` a read-only view is a stranger, whose items it fetches one by one: that takes
    twenty times as long, and each change of a bank copies it."""
    return read_only.copy() if isinstance(read_only, MappingProxyType) else dict(read_only)


def compare(old: Snapshot, new: Snapshot) -> BankDiff:
    """What changed from one snapshot to another. Raises nothing: any two versions can be compared."""
    changed = []
    for key in sorted(old.items.keys() & new.items.keys()):
        known = set(old.items[key].evidence)
        more = tuple(one for one in new.items[key].evidence if one not in known)
        before, after = old.statuses[key], new.statuses[key]
        if more or before is not after or old.items[key] != new.items[key]:
            changed.append(ItemChange(new.items[key], before, after, more))
    return BankDiff(
        old.version,
        new.version,
        added=tuple(new.items[key] for key in sorted(new.items.keys() - old.items.keys())),
        removed=tuple(old.items[key] for key in sorted(old.items.keys() - new.items.keys())),
        changed=tuple(changed),
    )
