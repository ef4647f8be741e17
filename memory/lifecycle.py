"""The life of an item, decided by what it was seen to do. Pure: what is proposed here the caller appends to the ledger.

probation -> active when its sequence lies above 0 and e-BH over all items under trial agrees; active -> probation when
the alarm for a fall has gone off; either -> retired when its sequence lies below a small margin, or -> quarantined when
it does harm for certain; retired -> probation when new episodes go on teaching the same. Whether a candidate enters
probation is the guard's matter, and a person's.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from wisen.core.records import EventKind, ItemCredit, ItemStatus, LedgerEvent, Record
from wisen.core.sequential import e_bh
from wisen.memory.bank import LEGAL_MOVES, RECALLABLE

ACTOR = "credit"


class LifecycleSettings(Record):
    """When items move. Shares of success: 0.02 is two points.

    false_active: the expected share of items that do not help among those that are made active, at most. margin: an
    item is retired once its lift is below this for certain. quarantine: once it is below this, it is put in quarantine
    instead, from which new episodes do not revive it; None: never. suspicion: an active item goes back to probation
    when the evidence of its doing harm is this many to one. revive: a retired item is tried anew when so many further
    episodes have taught it since.
    """

    false_active: float = Field(0.05, gt=0, lt=1)
    margin: float = Field(0.02, gt=-1, lt=1)
    quarantine: float | None = Field(None, gt=-1, le=0)
    suspicion: float = Field(10.0, gt=1)
    revive: int = Field(3, ge=1)


def moves(
    credits: Sequence[ItemCredit],
    statuses: Mapping[str, ItemStatus],
    settings: LifecycleSettings | None = None,
    *,
    taught: Mapping[str, int] | None = None,
) -> tuple[LedgerEvent, ...]:
    """The status events that the evidence asks for, in order of item id, each with its reason and figures.

    credits: of all units with an account, also of those that are decided: they count among the hypotheses. statuses: of
    all items of the bank. taught: `taught_since_retired`. Near-duplicates become active, and go back to probation,
    together; of a cluster that does not help the oldest is retired, and the rest have a new account.
    """
    settings = settings or LifecycleSettings()
    proven = e_bh([one.log_e for one in credits], settings.false_active) if credits else ()
    found: list[LedgerEvent] = []
    for one, helps in zip(credits, proven, strict=True):
        for key, status, reason in _decided(one, helps, statuses, settings):
            if status in LEGAL_MOVES[statuses[key]]:
                found.append(_event(key, status, reason, one))
    for key, count in (taught or {}).items():
        if statuses.get(key) is ItemStatus.RETIRED and count >= settings.revive:
            found.append(_event(key, ItemStatus.PROBATION, f"{count} further episodes taught it since it was retired"))
    return tuple(sorted(found, key=lambda event: event.item_id))


def taught_since_retired(events: Iterable[LedgerEvent]) -> dict[str, int]:
    """By item that credit retired, how many trajectories supported it since; from the whole ledger, in order."""
    found: dict[str, int] = {}
    for event in events:
        if event.kind is EventKind.STATUS:
            found.pop(event.item_id, None)
            if event.status is ItemStatus.RETIRED and event.actor == ACTOR:
                found[event.item_id] = 0
        elif event.kind is EventKind.EVIDENCE and event.item_id in found:
            found[event.item_id] += len(event.evidence)
    return found


def _decided(
    one: ItemCredit, helps: bool, statuses: Mapping[str, ItemStatus], settings: LifecycleSettings
) -> list[tuple[str, ItemStatus, str]]:
    able = [key for key in (one.item.id, *one.others) if statuses.get(key) in RECALLABLE]
    if not able or one.lift is None:
        return []
    seen = f"lift {_points(one.lift.mean)} [{_points(one.lift.low)}, {_points(one.lift.high)}] points"
    seen += f" over {one.appearances} appearances"
    if settings.quarantine is not None and one.lift.high < settings.quarantine:
        return [(able[0], ItemStatus.QUARANTINED, f"it does harm: {seen}")]
    if one.lift.high < settings.margin:
        return [(able[0], ItemStatus.RETIRED, f"it does not help: {seen}")]
    if one.log_alarm >= math.log(settings.suspicion):
        odds = f"{math.exp(min(one.log_alarm, 30)):.3g} to 1"
        reason = f"suspected of harm, {odds}: {seen}"
        return [(key, ItemStatus.PROBATION, reason) for key in able if statuses[key] is ItemStatus.ACTIVE]
    if helps and one.lift.low > 0:
        return [(key, ItemStatus.ACTIVE, f"it helps: {seen}") for key in able if statuses[key] is ItemStatus.PROBATION]
    return []


def _event(key: str, status: ItemStatus, reason: str, one: ItemCredit | None = None) -> LedgerEvent:
    figures = one.model_dump(mode="json", exclude={"item", "more"}) if one else {}
    return LedgerEvent(
        seq=0, kind=EventKind.STATUS, item_id=key, status=status, actor=ACTOR, reason=reason, figures=figures
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
