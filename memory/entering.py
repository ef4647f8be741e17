"""How an item enters the bank, is moved by a person and gets a new text: the events of it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wisen.core.records import JSON, Author, EventKind, ItemStatus, LedgerEvent, MemoryItem, Trust
from wisen.memory.folding import LEGAL_MOVES, RECALLABLE, RESTING, BankError, Snapshot, copied
from wisen.memory.guard import Doubt, GuardVerdict
from wisen.memory.items import identified, joined

GUARD = "guard"


@dataclass
class Draft:
    """The bank as it will be after the events that were gathered so far."""

    items: dict[str, MemoryItem]
    statuses: dict[str, ItemStatus]
    events: list[LedgerEvent] = field(default_factory=list)

    @classmethod
    def of(cls, now: Snapshot) -> "Draft":
        return cls(copied(now.items), copied(now.statuses))

    def enter(
        self,
        verdict: GuardVerdict,
        *,
        actor: str,
        outside: bool = False,
        waits: bool = False,
        doubt: Doubt | None = None,
        rests: ItemStatus | None = None,
    ) -> None:
        """One item, after the guard.

        outside: it comes through a channel that proves nothing: a new item then waits for a person, also without
        evidence, and one that is there already gains nothing. waits: a new one waits, what is there gains evidence as
        usual. doubt: a reason to quarantine a new one. rests: the status in which it was at rest elsewhere.
        """
        known = self.items.get(verdict.item.id)
        if known is None:
            self._new(verdict, actor, waits or outside, outside, doubt, rests)
        elif not outside or self.statuses[known.id] is ItemStatus.CANDIDATE:
            self._more(known, verdict.item, actor)
            if self.statuses[known.id] is ItemStatus.CANDIDATE and verdict.ok and not (outside or waits):
                self._status(known.id, ItemStatus.PROBATION, GUARD, "taught from within as well")

    def set_aside(self, key: str, doubt: Doubt) -> None:
        """Quarantine an item that is in use; any other stays as it is."""
        if self.statuses.get(key) in RECALLABLE:
            self._status(key, ItemStatus.QUARANTINED, GUARD, doubt.reason, doubt.figures)

    def replace(self, old: MemoryItem, new: MemoryItem, *, actor: str, reason: str) -> None:
        """A new version of an item's text. One that waits goes on waiting; any other has to prove itself anew."""
        before = self.statuses[old.id]
        waits = before is ItemStatus.CANDIDATE
        if new.id == old.id:  # what makes its id is untouched
            self._proposed(new, before, actor, reason)
            return
        self._proposed(new, ItemStatus.CANDIDATE, actor, reason)
        if not waits:
            self._status(new.id, ItemStatus.PROBATION, GUARD, "passed the guard")
        if before not in RESTING:
            self._status(old.id, ItemStatus.RETIRED, actor, f"{new.id} is its new version")

    def _new(
        self,
        verdict: GuardVerdict,
        actor: str,
        waits: bool,
        outside: bool,
        doubt: Doubt | None,
        rests: ItemStatus | None,
    ) -> None:
        item = verdict.item
        self._proposed(item, ItemStatus.CANDIDATE, actor, "waits for a person's approval" if waits else "")
        refused = not (verdict.ok or (outside and verdict.unsupported))
        if refused:
            self._status(item.id, ItemStatus.QUARANTINED, GUARD, "; ".join(verdict.reasons))
        elif doubt:
            self._status(item.id, ItemStatus.QUARANTINED, GUARD, doubt.reason, doubt.figures)
        elif not waits:
            self._status(item.id, ItemStatus.PROBATION, GUARD, "; ".join(verdict.reasons) or "passed the guard")
        if rests in RESTING and rests is not self.statuses[item.id]:
            self._status(item.id, rests, actor, "as imported")

    def _more(self, known: MemoryItem, item: MemoryItem, actor: str) -> None:
        more = joined(known, item.evidence, item.source_tasks, item.trust)
        if more == known:
            return
        self.items[known.id] = more
        self.events.append(
            LedgerEvent(
                seq=0,
                kind=EventKind.EVIDENCE,
                item_id=known.id,
                evidence=more.evidence[len(known.evidence) :],
                source_tasks=more.source_tasks[len(known.source_tasks) :],
                trust=None if more.trust is known.trust else more.trust,
                actor=actor,
            )
        )

    def _proposed(self, item: MemoryItem, status: ItemStatus, actor: str, reason: str) -> None:
        self.items[item.id], self.statuses[item.id] = item, status
        self.events.append(
            LedgerEvent(
                seq=0, kind=EventKind.PROPOSED, item_id=item.id, item=item, status=status, actor=actor, reason=reason
            )
        )

    def _status(self, key: str, status: ItemStatus, actor: str, reason: str, figures: JSON | None = None) -> None:
        self.statuses[key] = status
        self.events.append(moved(key, status, actor, reason, figures))


def moved(key: str, status: ItemStatus, actor: str, reason: str, figures: JSON | None = None) -> LedgerEvent:
    return LedgerEvent(
        seq=0,
        kind=EventKind.STATUS,
        item_id=key,
        status=status,
        actor=actor,
        reason=reason,
        figures=figures or {},
    )


def legal(key: str, before: ItemStatus, after: ItemStatus) -> None:
    """Raises `BankError` for a move that an item's life does not have."""
    if after not in LEGAL_MOVES[before]:
        allowed = ", ".join(sorted(LEGAL_MOVES[before]))
        raise BankError(f"item {key} is {before} and cannot become {after}", f"allowed: {allowed}")


@dataclass(frozen=True)
class Verb:
    """What a person does to an item: from which statuses to which; where it is done already; what to do instead."""

    name: str
    moves: Mapping[ItemStatus, ItemStatus]
    done: frozenset[ItemStatus]
    instead: str

    def after(self, key: str, before: ItemStatus) -> ItemStatus:
        """The status that it leads to. Raises `BankError` where it cannot be done."""
        if before in self.done:
            return before
        if before not in self.moves:
            raise BankError(f"item {key} is {before}: there is nothing to {self.name}", self.instead)
        return self.moves[before]


APPROVE = Verb(
    "approve",
    {ItemStatus.CANDIDATE: ItemStatus.PROBATION, ItemStatus.QUARANTINED: ItemStatus.PROBATION},
    RECALLABLE,
    "revive it to have it tried again",
)
REFUSE = Verb(
    "refuse",
    {ItemStatus.CANDIDATE: ItemStatus.QUARANTINED},
    frozenset({ItemStatus.QUARANTINED}),
    "only an item that waits can be refused; retire one that is in use",
)
RETIRE = Verb(
    "retire",
    {status: ItemStatus.RETIRED for status in ItemStatus if status is not ItemStatus.RETIRED},
    frozenset({ItemStatus.RETIRED}),
    "",
)
REVIVE = Verb(
    "revive",
    {ItemStatus.RETIRED: ItemStatus.PROBATION},
    RECALLABLE,
    "approve it to let it in",
)


def from_outside(item: MemoryItem) -> MemoryItem:
    """What a channel that proves nothing says of an item's trust counts for nothing."""
    return item.model_copy(update={"trust": Trust.ENVIRONMENT})


def new_version(old: MemoryItem, texts: Mapping[str, str]) -> MemoryItem:
    """An item with some of its texts written anew by a person.

    Its trust class is its parent's: the parent is among its sources, and a class is the least of them. Whoever vouches
    for it approves it, which the ledger keeps; a text that is a person's own alone is added as a new item.
    """
    new = identified(old.model_copy(update=dict(texts)))
    if new.id == old.id:
        return new
    return new.model_copy(update={"parent_id": old.id, "author": Author(distiller="person")})
