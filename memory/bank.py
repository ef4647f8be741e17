"""The bank: the set of memory items at a version. Every change is an event; a version is a position in the ledger.

What events mean is `folding`'s matter, which events a change makes `entering`'s. `Bank` is the thin shell around them
that reads and appends.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from pydantic import ValidationError

from wisen.core.records import JSON, EventKind, ItemStatus, LedgerEvent, MemoryItem, Revision, Trust
from wisen.memory.curation import follow, retired_by
from wisen.memory.entering import (
    APPROVE,
    REFUSE,
    RETIRE,
    REVIVE,
    Draft,
    Verb,
    from_outside,
    legal,
    moved,
    new_version,
)
from wisen.memory.folding import (
    LEGAL_MOVES,
    RECALLABLE,
    RESTING,
    BankDiff,
    BankError,
    ItemChange,
    Snapshot,
    compare,
    fold,
)
from wisen.memory.guard import Doubt, GuardVerdict, check_item
from wisen.memory.items import item_id, make_item, normalised

__all__ = [
    "LEGAL_MOVES",
    "RECALLABLE",
    "RESTING",
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

P = ParamSpec("P")
R = TypeVar("R")
Mark = tuple[str, str, JSON]  # run id, key, value: what makes an append happen once


class Ledger(Protocol):
    """The part of the store that the bank needs."""

    def append_events(self, events: Sequence[LedgerEvent], *, mark: Mark | None = None) -> int:
        """Append all or none, assign `seq`, return the version. A mark that stands already makes it a no-op."""
        ...

    def events(self, up_to: int | None = None, *, after: int = 0) -> tuple[LedgerEvent, ...]: ...

    def bank_version(self) -> int: ...

    def turn(self) -> AbstractContextManager[None]:
        """While it is held nobody else appends."""
        ...


def _in_turn(change: Callable[Concatenate["Bank", P], R]) -> Callable[Concatenate["Bank", P], R]:
    """A change rests on the version that it read: no other process comes between."""

    @wraps(change)
    def changed(bank: "Bank", /, *args: P.args, **named: P.kwargs) -> R:
        with bank._ledger.turn():
            return change(bank, *args, **named)

    return changed


class Bank:
    """Reads and changes the bank through its ledger. One owner at a time: it is not meant for several threads.

    guard: judges each new item. hold: trust classes whose new items wait for a person's approval.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        guard: Callable[[MemoryItem], GuardVerdict] = check_item,
        hold: Collection[Trust] = (),
    ) -> None:
        self._ledger = ledger
        self._guard = guard
        self._hold = frozenset(hold)
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
            self._folded[version] = self._fold(version)
        return self._folded[version]

    def _fold(self, version: int) -> Snapshot:
        """From the nearest version that is at hand: a bank grows by a few events at a time."""
        start = (
            self._folded[max(earlier)] if (earlier := [one for one in self._folded if one < version]) else Snapshot()
        )
        events = self._ledger.events(up_to=version, after=start.version)
        if any(0 < (event.to_version or 0) < start.version for event in events):  # back to before what is at hand
            return fold(self._ledger.events(up_to=version))
        return fold(events, start)

    @_in_turn
    def propose(
        self,
        items: Iterable[MemoryItem],
        *,
        actor: str,
        mark: Mark | None = None,
        hold: bool = False,
        doubts: Mapping[str, Doubt] | None = None,
    ) -> int:
        """Offer items; returns the new version.

        Each passes the guard first, which may redact it. One that the bank holds already (same id) joins its evidence
        to it, if it has any that is new; others enter as candidates and go on to probation or, refused, to quarantine.
        With `hold` they come from outside (a client, a stranger's file): whatever they say of themselves they have the
        lowest trust class, new ones wait for `approve` or `refuse`, and those that are there already gain nothing.
        `doubts`: why items are to be quarantined, by id, new ones and such as are in use (what consensus found).
        """
        now = self.snapshot()
        draft = Draft.of(now)
        for offered in items:
            self._enter(draft, offered, actor, hold, doubts or {})
        for key, doubt in (doubts or {}).items():
            draft.set_aside(key, doubt)
        return self._append(draft.events, now.version, mark)

    @_in_turn
    def revise(self, revision: Revision, *, actor: str, mark: Mark | None = None) -> int:
        """Do what a curator decided, all of it or nothing; returns the new version. `actor` is the curator's name. What
        is new passes the guard as in `propose`; for the rest see `curation.follow`. Raises `BankError` for an item that
        is not there, or not the curator's."""
        now = self.snapshot()
        draft = Draft.of(now)
        names: dict[str, str] = {}
        for item in (*revision.replace, *revision.add):
            verdict = self._guard(item)
            names[item.id] = verdict.item.id
            draft.enter(verdict, actor=actor, waits=verdict.item.trust in self._hold)
        follow(draft, revision, names, actor=actor, own=retired_by(actor, self._ledger.events()))
        return self._append(draft.events, now.version, mark)

    @_in_turn
    def set_status(
        self, key: str, status: ItemStatus, *, actor: str, reason: str = "", mark: Mark | None = None
    ) -> int:
        """Move an item along its life; returns the new version (the present one where it has the status already).
        Raises `BankError` for an unknown item or a move that its life does not have (see `LEGAL_MOVES`)."""
        now = self.snapshot()
        self._item(now, key)
        events = []
        if now.statuses[key] is not status:
            legal(key, now.statuses[key], status)
            events = [moved(key, status, actor, reason)]
        return self._append(events, now.version, mark)

    def queue(self) -> tuple[MemoryItem, ...]:
        """Items that wait for a person, in the order in which they came."""
        return self.snapshot().queue()

    def approve(self, key: str, *, actor: str, reason: str = "") -> int:
        """Let an item that waits, or one in quarantine, on to probation; returns the new version, the present one where
        the item can be recalled already. Raises `BankError` for an unknown item and for a retired one."""
        return self._do(APPROVE, key, actor, reason)

    def refuse(self, key: str, *, actor: str, reason: str = "") -> int:
        """Put an item that waits in quarantine; returns the new version. Raises `BankError` for one that does not
        wait."""
        return self._do(REFUSE, key, actor, reason)

    def retire(self, key: str, *, actor: str, reason: str = "") -> int:
        """Take an item out of use; returns the new version. It stays in the bank, and credit does not bring it back."""
        return self._do(RETIRE, key, actor, reason)

    def revive(self, key: str, *, actor: str, reason: str = "") -> int:
        """Put a retired item on probation again; returns the new version. Raises `BankError` for one that waits or is
        in quarantine: those are approved."""
        return self._do(REVIVE, key, actor, reason)

    @_in_turn
    def edit(
        self,
        key: str,
        *,
        actor: str,
        title: str | None = None,
        when_to_use: str | None = None,
        when_not: str | None = None,
        content: str | None = None,
        reason: str = "",
    ) -> tuple[str, int]:
        """Write texts of an item anew; returns the id of the new version and the bank's version.

        The new version keeps scope, evidence and trust class, names its parent, and goes to probation; the old one
        retires, unless it is at rest already. One that waits goes on waiting. Another title or `when_not` alone makes
        no other item: it keeps id and status. Raises `BankError` for an unknown item, a text that the guard refuses,
        and one that another item has.
        """
        given = {"title": title, "when_to_use": when_to_use, "when_not": when_not, "content": content}
        texts = {name: text for name, text in given.items() if text is not None}
        now = self.snapshot()
        old = self._item(now, key)
        verdict = self._guard(new_version(old, texts))
        new = verdict.item
        if new == old:
            return key, now.version
        if not (verdict.ok or verdict.unsupported):
            raise BankError(f"the guard refuses this text: {'; '.join(verdict.reasons)}", "write it in other words")
        if new.id != key and new.id in now.items:
            raise BankError(f"item {new.id} says that already", f"it is {now.statuses[new.id]}; retire {key} instead")
        draft = Draft.of(now)
        draft.replace(old, new, actor=actor, reason=reason)
        return new.id, self._append(draft.events, now.version, None)

    @_in_turn
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

    @_in_turn
    def import_items(self, path: Path, *, actor: str, mark: Mark | None = None, hold: bool = False) -> int:
        """Propose the items of an exported file; returns the new version. The guard runs as for any other item. Of the
        statuses only `retired` and `quarantined` are taken over, and only for new items, and one that waited for a
        person waits here too: an active item has earned that elsewhere and starts here on probation. `hold` as in
        `propose`: for a file from a stranger."""
        now = self.snapshot()
        draft = Draft.of(now)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if line.strip():
                item, status = _parsed(line, f"{path}:{number}")
                self._enter(draft, item, actor, hold, {}, was=status)
        return self._append(draft.events, now.version, mark)

    def _enter(
        self,
        draft: Draft,
        offered: MemoryItem,
        actor: str,
        outside: bool,
        doubts: Mapping[str, Doubt],
        was: ItemStatus | None = None,
    ) -> None:
        verdict = self._guard(from_outside(offered) if outside else offered)
        draft.enter(
            verdict,
            actor=actor,
            outside=outside,
            waits=was is ItemStatus.CANDIDATE or verdict.item.trust in self._hold,
            doubt=doubts.get(verdict.item.id) or doubts.get(offered.id),
            rests=was,
        )

    @_in_turn
    def _do(self, verb: Verb, key: str, actor: str, reason: str) -> int:
        now = self.snapshot()
        self._item(now, key)
        return self.set_status(key, verb.after(key, now.statuses[key]), actor=actor, reason=reason)

    def _item(self, now: Snapshot, key: str) -> MemoryItem:
        if key not in now.items:
            raise BankError(f"the bank holds no item {key!r}", "list them with `wisen memory list`")
        return now.items[key]

    def _append(self, events: Sequence[LedgerEvent], version: int, mark: Mark | None) -> int:
        if not events and mark is None:
            return version
        return self._ledger.append_events(events, mark=mark)

    def _known(self, version: int) -> int:
        latest = self.version
        if not 0 <= version <= latest:
            raise BankError(f"the bank has no version {version}", f"versions go from 0 to {latest}")
        return version


def _parsed(line: str, where: str) -> tuple[MemoryItem, ItemStatus]:
    try:
        raw = json.loads(line)
        return MemoryItem.model_validate(raw["item"]), ItemStatus(raw["status"])
    except (ValueError, TypeError, KeyError, ValidationError) as error:
        raise BankError(f"{where} holds no exported memory item", str(error).splitlines()[0]) from error
