import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.build import item
from wisen.core.records import EventKind, Interval, ItemCredit, ItemStatus, LedgerEvent, MemoryItem
from wisen.memory.bank import LEGAL_MOVES
from wisen.memory.lifecycle import ACTOR, LifecycleSettings, moves, taught_since_retired

ITEMS = [item(f"Advice {number}.") for number in range(6)]
ONE, TWO = ITEMS[0], ITEMS[1]


def credited(
    of: MemoryItem,
    low: float = -0.2,
    high: float = 0.3,
    *,
    odds: float = 1.0,
    alarm: float = 1.0,
    others: tuple[str, ...] = (),
) -> ItemCredit:
    return ItemCredit(
        item=of,
        lift=Interval(mean=(low + high) / 2, low=low, high=high, level=0.95),
        shown=300,
        held_out=300,
        success_shown=0.5,
        success_held_out=0.5,
        deviation=1.0,
        log_e=math.log(odds),
        log_alarm=math.log(alarm),
        others=others,
    )


def decided(
    *credits: ItemCredit, status: ItemStatus = ItemStatus.PROBATION, rules: LifecycleSettings | None = None
) -> dict[str, ItemStatus | None]:
    statuses = {one.id: status for one in ITEMS}
    return {event.item_id: event.status for event in moves(credits, statuses, rules)}


def test_an_item_becomes_active_on_proof_and_not_before() -> None:
    assert decided(credited(ONE, 0.01, 0.4, odds=50)) == {ONE.id: ItemStatus.ACTIVE}
    assert decided(credited(ONE, 0.01, 0.4, odds=50), status=ItemStatus.ACTIVE) == {}
    assert decided(credited(ONE, -0.01, 0.4, odds=50)) == {}  # its interval holds 0
    # of two, 50 to 1 is no discovery; where the other is one too, it is
    assert decided(credited(ONE, 0.01, 0.4, odds=39), credited(TWO)) == {}
    both = decided(credited(ONE, 0.01, 0.4, odds=39), credited(TWO, 0.1, 0.4, odds=500))
    assert both == {ONE.id: ItemStatus.ACTIVE, TWO.id: ItemStatus.ACTIVE}
    assert decided(credited(ONE, 0.01, 0.4, odds=50, alarm=11)) == {}  # it did harm of late


def test_an_item_that_does_not_help_is_retired() -> None:
    for status in (ItemStatus.PROBATION, ItemStatus.ACTIVE):
        assert decided(credited(ONE, -0.2, 0.01), status=status) == {ONE.id: ItemStatus.RETIRED}
        assert decided(credited(ONE, -0.2, 0.03), status=status) == {}
    harsh = LifecycleSettings(quarantine=-0.05)
    assert decided(credited(ONE, -0.3, -0.06), rules=harsh) == {ONE.id: ItemStatus.QUARANTINED}
    assert decided(credited(ONE, -0.3, -0.04), rules=harsh) == {ONE.id: ItemStatus.RETIRED}


def test_a_suspected_item_is_tried_again() -> None:
    assert decided(credited(ONE, alarm=11), status=ItemStatus.ACTIVE) == {ONE.id: ItemStatus.PROBATION}
    assert decided(credited(ONE, alarm=9), status=ItemStatus.ACTIVE) == {}
    assert decided(credited(ONE, alarm=11)) == {}


@pytest.mark.parametrize("status", [ItemStatus.CANDIDATE, ItemStatus.RETIRED, ItemStatus.QUARANTINED])
def test_what_is_not_recalled_is_left_alone(status: ItemStatus) -> None:
    assert decided(credited(ONE, 0.1, 0.4, odds=1e6), credited(TWO, -0.4, -0.1), status=status) == {}


def test_near_duplicates_rise_together_and_fall_one_by_one() -> None:
    pair = credited(ONE, 0.01, 0.4, odds=50, others=(TWO.id,))
    assert decided(pair) == {ONE.id: ItemStatus.ACTIVE, TWO.id: ItemStatus.ACTIVE}
    useless = credited(ONE, -0.4, 0.0, others=(TWO.id,))
    assert decided(useless) == {ONE.id: ItemStatus.RETIRED}
    mixed = {ONE.id: ItemStatus.ACTIVE, TWO.id: ItemStatus.PROBATION}
    assert [event.item_id for event in moves([pair], mixed)] == [TWO.id]  # a newcomer among the proven


def test_a_move_tells_why() -> None:
    (event,) = moves([credited(ONE, 0.01, 0.41, odds=50)], {ONE.id: ItemStatus.PROBATION})
    assert (event.kind, event.actor) == (EventKind.STATUS, ACTOR)
    assert event.reason == "it helps: lift +21.0 [+1.0, +41.0] points over 600 appearances"
    assert event.figures["log_e"] == pytest.approx(math.log(50)) and event.figures["shown"] == 300
    assert LedgerEvent.model_validate_json(event.model_dump_json()) == event


def test_a_retired_item_is_revived_by_new_episodes() -> None:
    def status(seq: int, to: ItemStatus, actor: str = ACTOR) -> LedgerEvent:
        return LedgerEvent(seq=seq, kind=EventKind.STATUS, item_id=ONE.id, status=to, actor=actor)

    def taught(seq: int, *ids: str) -> LedgerEvent:
        return LedgerEvent(seq=seq, kind=EventKind.EVIDENCE, item_id=ONE.id, evidence=ids)

    ledger = [taught(1, "a"), status(2, ItemStatus.RETIRED), taught(3, "b"), taught(4, "c", "d")]
    assert taught_since_retired(ledger) == {ONE.id: 3}
    assert taught_since_retired([*ledger, status(5, ItemStatus.PROBATION)]) == {}
    by_hand = [status(2, ItemStatus.RETIRED, actor="person"), taught(3, "b", "c", "d")]
    assert taught_since_retired(by_hand) == {}  # what a person retired, a person revives
    retired = {ONE.id: ItemStatus.RETIRED}
    (event,) = moves([], retired, taught=taught_since_retired(ledger))
    assert event.status is ItemStatus.PROBATION and "3 further episodes" in event.reason
    assert moves([], retired, taught={ONE.id: 2}) == ()


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_every_move_is_legal_and_none_is_made_twice(data: st.DataObject) -> None:
    statuses = {one.id: data.draw(st.sampled_from(ItemStatus)) for one in ITEMS}
    credits = []
    for one in ITEMS:
        low, high = sorted(data.draw(st.tuples(st.floats(-1, 1), st.floats(-1, 1))))
        odds, alarm = data.draw(st.floats(0.01, 1e6)), data.draw(st.floats(0.01, 1e6))
        credits.append(credited(one, low, high, odds=odds, alarm=alarm))
    found = moves(credits, statuses, taught={one.id: 5 for one in ITEMS})
    assert len({event.item_id for event in found}) == len(found)
    assert all(event.status in LEGAL_MOVES[statuses[event.item_id]] for event in found)
