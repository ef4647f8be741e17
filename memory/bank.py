"""The bank: the set of memory items at a version. Every change is an event; a version is a position in the ledger.

`fold` is the whole truth of what events mean. `Bank` is the thin shell around it that reads and appends.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from pydantic import ValidationError

from wisen.core.errors import WisenError
from wisen.core.records import JSON, EventKind, ItemStatus, LedgerEvent, MemoryItem
from wisen.memory.guard import GuardVerdict, check_item
from wisen.memory.items import item_id, joined, make_item, normalised

__all__ = [
    "Bank",
    "BankDiff",
    "BankError",
    "ItemChange",
    "Ledger",
    "Mark",
    "Snapshot",
    "compare",
    "fold",
    "item_id",
    "make_item",
    "normalised",
]

Mark = tuple[str, str, JSON]  # run id, key, value: what makes an append happen once

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


class Ledger(Protocol):
    """The part of the store that the bank needs."""

    def append_events(self, events: Sequence[LedgerEvent], *, mark: Mark | None = None) -> int:
        """Append all or none, assign `seq`, return the version. A mark that stands already makes it a no-op."""
        ...

    def events(self, up_to: int | None = None) -> tuple[LedgerEvent, ...]: ...

    def bank_version(self) -> int: ...


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
        """Items on probation and active ones, in order of id."""
        return tuple(self.items[key] for key in sorted(self.items) if self.statuses[key] in RECALLABLE)


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


def fold(events: Iterable[LedgerEvent]) -> Snapshot:
    """The bank that the events make, from the empty bank on.

    Raises `BankError` for an event that fits no bank: a status of an unknown item, a version that is still to come.
    """
    events = tuple(events)
    kept_versions = {event.to_version for event in events if event.kind is EventKind.RESTORED}
    items: dict[str, MemoryItem] = {}
    statuses: dict[str, ItemStatus] = {}
    kept = {0: (items.copy(), statuses.copy())}
    version = 0
    for event in events:
        version = event.seq
        if event.kind is EventKind.RESTORED:
            if event.to_version not in kept:
                raise BankError(f"event {version} restores version {event.to_version}, which is not before it")
            items, statuses = (state.copy() for state in kept[event.to_version])  # type: ignore[assignment]
        elif event.kind is EventKind.PROPOSED:
            if event.item is None:
                raise BankError(f"event {version} proposes nothing")
            items[event.item.id] = event.item
            statuses[event.item.id] = event.status or ItemStatus.CANDIDATE
        elif event.item_id not in items:
            raise BankError(f"event {version} is about item {event.item_id!r}, which the bank does not hold")
        elif event.kind is EventKind.EVIDENCE:
            items[event.item_id] = joined(items[event.item_id], event.evidence, event.source_tasks)
        elif event.status is None:
            raise BankError(f"event {version} sets no status")
        else:
            statuses[event.item_id] = event.status
        if version in kept_versions:
            kept[version] = (items.copy(), statuses.copy())
    return Snapshot(version, MappingProxyType(items), MappingProxyType(statuses))


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


class Bank:
    """Reads and changes the bank through its ledger. One owner at a time: it is not meant for several threads."""

    def __init__(self, ledger: Ledger, *, guard: Callable[[MemoryItem], GuardVerdict] = check_item) -> None:
        self._ledger = ledger
        self._guard = guard
        self._folded: dict[int, Snapshot] = {}

    @property
    def version(self) -> int:
        return self._ledger.bank_version()

    def snapshot(self, version: int | None = None) -> Snapshot:
        """The bank at a version, by default the present one. Raises `BankError` for one that never was."""
        version = self._known(self.version if version is None else version)
        if version not in self._folded:
            while len(self._folded) >= 16:  # a loop reads a few versions again and again: incumbent, candidate, latest
                del self._folded[next(iter(self._folded))]
            self._folded[version] = fold(self._ledger.events(up_to=version))
        return self._folded[version]

    def propose(self, items: Iterable[MemoryItem], *, actor: str, mark: Mark | None = None) -> int:
        """Offer items; returns the new version.

        Each passes the guard first, which may redact it. One that the bank holds already (same id) joins its evidence
        to it, if it has any that is new; others enter as candidates and go on to probation or, refused, to quarantine.
        """
        now = self.snapshot()
        present = dict(now.items)
        events: list[LedgerEvent] = []
        for offered in items:
            events += self._entry(offered, present, actor)
        return self._append(events, now.version, mark)

    def set_status(
        self, key: str, status: ItemStatus, *, actor: str, reason: str = "", mark: Mark | None = None
    ) -> int:
        """Move an item along its life; returns the new version (the present one where it has the status already).
        Raises `BankError` for an unknown item or a move that its life does not have (see `LEGAL_MOVES`)."""
        now = self.snapshot()
        if key not in now.items:
            raise BankError(f"the bank holds no item {key!r}", "list them with `wisen memory list`")
        events = []
        if now.statuses[key] is not status:
            if status not in LEGAL_MOVES[now.statuses[key]]:
                allowed = ", ".join(sorted(LEGAL_MOVES[now.statuses[key]]))
                raise BankError(f"item {key} is {now.statuses[key]} and cannot become {status}", f"allowed: {allowed}")
            events = [_event(EventKind.STATUS, key, status=status, actor=actor, reason=reason)]
        return self._append(events, now.version, mark)

    def restore(self, version: int, *, actor: str, reason: str = "", mark: Mark | None = None) -> int:
        """Set the bank back to what it was at a version. History stays: the return is itself an event."""
        self._known(version)
        event = LedgerEvent(seq=0, kind=EventKind.RESTORED, to_version=version, actor=actor, reason=reason)
        return self._ledger.append_events([event], mark=mark)

    def diff(self, old: int, new: int | None = None) -> BankDiff:
        """What changed from one version to another, by default to the present one."""
        return compare(self.snapshot(old), self.snapshot(new))

    def export_items(self, path: Path, version: int | None = None) -> int:
        """Write the items of a version as JSON lines, `{"item": …, "status": …}`; returns how many."""
        shown = self.snapshot(version)
        lines = [
            json.dumps({"item": shown.items[key].model_dump(mode="json"), "status": shown.statuses[key]})
            for key in sorted(shown.items)
        ]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return len(lines)

    def import_items(self, path: Path, *, actor: str, mark: Mark | None = None) -> int:
        """Propose the items of an exported file; returns the new version. The guard runs as for any other item. Of the
        statuses only `retired` and `quarantined` are taken over, and only for new items: an active item has earned
        that elsewhere and starts here on probation."""
        now = self.snapshot()
        present = dict(now.items)
        events: list[LedgerEvent] = []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            item, status = _parsed(line, f"{path}:{number}")
            entry = self._entry(item, present, actor)
            events += entry
            entered = bool(entry) and entry[0].kind is EventKind.PROPOSED
            if entered and status in RESTING and status is not entry[-1].status:
                key = entry[0].item_id
                events.append(_event(EventKind.STATUS, key, status=status, actor=actor, reason="as imported"))
        return self._append(events, now.version, mark)

    def _entry(self, offered: MemoryItem, present: dict[str, MemoryItem], actor: str) -> list[LedgerEvent]:
        """The events by which an item enters; `present` learns of it."""
        verdict = self._guard(offered)
        item = verdict.item
        known = present.get(item.id)
        if known is not None:
            more = joined(known, item.evidence, item.source_tasks)
            if more == known:
                return []
            present[item.id] = more
            return [
                _event(
                    EventKind.EVIDENCE,
                    item.id,
                    evidence=more.evidence[len(known.evidence) :],
                    source_tasks=more.source_tasks[len(known.source_tasks) :],
                    actor=actor,
                )
            ]
        present[item.id] = item
        status = ItemStatus.PROBATION if verdict.ok else ItemStatus.QUARANTINED
        reason = "; ".join(verdict.reasons) or "passed the guard"
        return [
            _event(EventKind.PROPOSED, item.id, item=item, status=ItemStatus.CANDIDATE, actor=actor),
            _event(EventKind.STATUS, item.id, status=status, actor="guard", reason=reason),
        ]

    def _append(self, events: Sequence[LedgerEvent], version: int, mark: Mark | None) -> int:
        if not events and mark is None:
            return version
        return self._ledger.append_events(events, mark=mark)

    def _known(self, version: int) -> int:
        latest = self.version
        if not 0 <= version <= latest:
            raise BankError(f"the bank has no version {version}", f"versions go from 0 to {latest}")
        return version


def _event(
    kind: EventKind,
    key: str,
    *,
    actor: str,
    reason: str = "",
    item: MemoryItem | None = None,
    status: ItemStatus | None = None,
    evidence: tuple[str, ...] = (),
    source_tasks: tuple[str, ...] = (),
) -> LedgerEvent:
    return LedgerEvent(
        seq=0,  # the ledger assigns it
        kind=kind,
        item_id=key,
        item=item,
        status=status,
        evidence=evidence,
        source_tasks=source_tasks,
        actor=actor,
        reason=reason,
    )


def _parsed(line: str, where: str) -> tuple[MemoryItem, ItemStatus]:
    try:
        raw = json.loads(line)
        return MemoryItem.model_validate(raw["item"]), ItemStatus(raw["status"])
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        raise BankError(f"{where} holds no exported memory item", str(error).splitlines()[0]) from error
