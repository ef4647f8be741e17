"""How a curator's items are read from the bank, and how its revision becomes events of the ledger. Pure.

What a curator counts for and against an item (votes, tags) stands in events of evidence, under `counts` of their
figures; an item's counts are their sum. Which item took the place of a retired one stands under `into` of that event's.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from wisen.core.records import JSON, Entry, EventKind, ItemStatus, LedgerEvent, Recall, Revision, Tally
from wisen.memory.entering import Draft, moved
from wisen.memory.folding import LEGAL_MOVES, RECALLABLE, BankError, Snapshot

COUNTS = "counts"
INTO = "into"


def standing(events: Iterable[LedgerEvent]) -> tuple[LedgerEvent, ...]:
    """The events that the bank as it is now rests on: a return to an earlier version undoes what came after it."""
    events = tuple(events)
    wanted = {event.to_version for event in events if event.kind is EventKind.RESTORED}
    kept: dict[int | None, tuple[LedgerEvent, ...]] = {0: ()}
    now: list[LedgerEvent] = []
    for event in events:
        if event.kind is EventKind.RESTORED:
            now = list(kept[event.to_version])
        else:
            now.append(event)
        if event.seq in wanted:
            kept[event.seq] = tuple(now)
    return tuple(now)


def counted(events: Iterable[LedgerEvent]) -> dict[str, dict[str, int]]:
    """By item id, what was counted for and against it, by name; from the whole ledger, in order."""
    found: dict[str, dict[str, int]] = {}
    for event in standing(events):
        if event.kind is EventKind.EVIDENCE:
            counts = found.setdefault(event.item_id, {})
            for name, number in event.figures.get(COUNTS, {}).items():
                counts[name] = counts.get(name, 0) + number
    return found


def retired_by(actor: str, events: Iterable[LedgerEvent]) -> frozenset[str]:
    """Items whose newest status is retired, by this actor; from the whole ledger, in order."""
    last = {event.item_id: event for event in standing(events) if event.kind is EventKind.STATUS}
    return frozenset(key for key, event in last.items() if event.status is ItemStatus.RETIRED and event.actor == actor)


def present_names(shown: Iterable[str], events: Iterable[LedgerEvent]) -> tuple[str, ...]:
    """The items, or what took their places since, each once. What was shown in an episode may have been merged by the
    time that the episode is read."""
    last = {event.item_id: event for event in standing(events) if event.kind is EventKind.STATUS}

    def heir(key: str) -> str:
        passed = {key}
        while key in last and (into := last[key].figures.get(INTO)) and into not in passed:
            key = into
            passed.add(key)
        return key

    return tuple(dict.fromkeys(heir(key) for key in shown))


def uses(recalls: Iterable[Recall]) -> Counter[str]:
    """By item id, in how many episodes it was shown."""
    return Counter(key for recall in recalls for key in recall.shown)


def entries(
    curator: str, suite: str, snapshot: Snapshot, events: Iterable[LedgerEvent], used: Mapping[str, int]
) -> tuple[Entry, ...]:
    """All that the curator ever made for the suite, in the order in which it came. `events` are those of the
    snapshot, `used` what `uses` says."""
    counts = counted(events)
    return tuple(
        Entry(item=item, status=snapshot.statuses[key], counts=counts.get(key, {}), shown=used.get(key, 0))
        for key, item in snapshot.items.items()
        if item.author.distiller == curator and item.scope.suite == suite
    )


def follow(draft: Draft, revision: Revision, names: Mapping[str, str], *, actor: str, own: frozenset[str]) -> None:
    """The rest of a revision, once its items have entered the draft.

    names: the ids under which they entered, which are others where the guard redacted them. own: what the curator has
    retired itself, and no one else; it comes back when it is written again. An item leaves its place to another only
    where that one can be recalled: not to one that the guard refused, or that waits for a person. Raises `BankError`
    for an item that the bank does not hold, or that the curator did not write.
    """
    for key in names.values():
        if key in own and draft.statuses[key] is ItemStatus.RETIRED:
            _move(draft, key, ItemStatus.PROBATION, actor, "it was written again")
    for tally in revision.tallies:
        _count(draft, _known(draft, names.get(tally.item_id, tally.item_id)), tally, actor)
    parents = {item.parent_id: item.id for item in revision.replace if item.parent_id}
    reasons = {one.item_id: one.reason for one in revision.retire}
    for key, into in {**{one.item_id: one.into for one in revision.retire}, **parents}.items():
        heir = names.get(into, into)
        if draft.items[_known(draft, key)].author.distiller != actor:
            raise BankError(f"item {key} is not one that {actor} wrote", "a curator retires nothing but its own")
        if heir and draft.statuses[_known(draft, heir)] not in RECALLABLE:
            continue
        if ItemStatus.RETIRED in LEGAL_MOVES[draft.statuses[key]] and heir != key:
            why = reasons.get(key, "")
            said = f"{heir} takes its place: {why}".rstrip(": ") if heir else why
            _move(draft, key, ItemStatus.RETIRED, actor, said, figures={INTO: heir} if heir else None)


def _known(draft: Draft, key: str) -> str:
    if key not in draft.items:
        raise BankError(f"the bank holds no item {key!r}", "a revision was made for another bank")
    return key


def _count(draft: Draft, key: str, tally: Tally, actor: str) -> None:
    known = draft.items[key]
    event = LedgerEvent(
        seq=0,
        kind=EventKind.EVIDENCE,
        item_id=key,
        evidence=tuple(one for one in tally.evidence if one not in known.evidence),
        source_tasks=tuple(one for one in tally.source_tasks if one not in known.source_tasks),
        actor=actor,
        reason=tally.reason,
        figures={COUNTS: tally.counts} if tally.counts else {},
    )
    draft.events.append(event)


def _move(draft: Draft, key: str, status: ItemStatus, actor: str, reason: str, *, figures: JSON | None = None) -> None:
    draft.statuses[key] = status
    draft.events.append(moved(key, status, actor, reason).model_copy(update={"figures": figures or {}}))
