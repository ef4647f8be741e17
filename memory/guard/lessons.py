"""The store of lessons: what consensus set aside, and what would have been usual instead.

The second half of A-MemGuard's dual memory (arXiv 2510.02373): a departure that was noticed once is known when it comes
again. A lesson is no memory item and is never recalled as one. It is a fold over the ledger, where each quarantine by
consensus keeps its departure, so it needs no table and a bank that is set back forgets none. A person who approves the
item withdraws it.
"""

from collections.abc import Iterable, Sequence

from wisen.core.records import EventKind, ItemKind, ItemStatus, LedgerEvent, MemoryItem, Record, Scope
from wisen.memory.guard.consensus import Departure, departs_alike
from wisen.memory.guard.steps import Reading
from wisen.memory.guard.verdict import Doubt

KEY = "consensus"  # of the event's figures
SET_ASIDE = frozenset({ItemStatus.QUARANTINED, ItemStatus.RETIRED})


class Lesson(Record):
    """`when_to_use`, `kind` and `scope` are those of the item that was set aside."""

    departure: Departure
    kind: ItemKind
    scope: Scope
    when_to_use: str
    version: int  # of the bank that set it aside


def doubt_of(departure: Departure) -> Doubt:
    """What the ledger is to keep of a departure."""
    return Doubt(departure.reason, {KEY: departure.model_dump(mode="json")})


def lessons_of(events: Iterable[LedgerEvent]) -> tuple[Lesson, ...]:
    """All lessons that stand, oldest first, from the whole ledger in its order."""
    items: dict[str, MemoryItem] = {}
    found: dict[str, Lesson] = {}
    for event in events:
        if event.kind is EventKind.PROPOSED and event.item is not None:
            items[event.item_id] = event.item
        elif event.kind is EventKind.STATUS and event.item_id in items:
            if event.status not in SET_ASIDE:
                found.pop(event.item_id, None)
            elif KEY in event.figures:
                item = items[event.item_id]
                found[event.item_id] = Lesson(
                    departure=Departure.model_validate(event.figures[KEY]),
                    kind=item.kind,
                    scope=item.scope,
                    when_to_use=item.when_to_use,
                    version=event.seq,
                )
    return tuple(found.values())


def repeated(reading: Reading, lessons: Sequence[Lesson]) -> Departure | None:
    """The departure that an item repeats, of the lessons of its situation; None where it repeats none."""
    for lesson in lessons:
        if departs_alike(reading, lesson.departure):
            return lesson.departure.model_copy(update={"item_id": reading.item_id})
    return None
