import math
import random
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.build import item, outcome
from wisen.core.records import (
    Candidate,
    EventKind,
    Interval,
    ItemCredit,
    ItemStatus,
    LedgerEvent,
    MemoryItem,
    Outcome,
    Recall,
)
from wisen.memory.credit import Appearance, Restarts, appearances, baselines, credit, restarts, score

HELPS, IDLE, HARMS = (item(f"Advice that {what}.") for what in ("helps", "does nothing", "harms"))
LIFTS = {HELPS.id: 0.25, IDLE.id: 0.0, HARMS.id: -0.2}
ITEMS = {one.id: one for one in (HELPS, IDLE, HARMS)}


def appearance(number: int, *, arm: str = "on", **candidates: tuple[float, bool]) -> Recall:
    """`candidates`: by name of an item, its propensity and whether it was shown."""
    named = {"helps": HELPS, "idle": IDLE, "harms": HARMS}
    ranked = tuple(
        Candidate(item_id=named[name].id, score=1.0, propensity=propensity, shown=shown)
        for name, (propensity, shown) in candidates.items()
    )
    return Recall(
        id=f"recall-{number}",
        trajectory_id=f"traj-{number}",
        query="",
        ranker="similarity",
        bank_version=1,
        release_id="rel-1",
        eligible=3,
        ranked=ranked,
        arm=arm,
    )


def simulate(seed: int, episodes: int) -> tuple[list[Recall], list[Outcome]]:
    """Episodes of two templates of unlike difficulty, a fifth of them without memory; two of three items compete in
    each, at propensities that differ. An item shown adds its lift to the chance of success."""
    chance = random.Random(seed)
    recalls, outcomes = [], []
    for number in range(episodes):
        template, base = chance.choice([("easy", 0.65), ("hard", 0.3)])
        on = chance.random() < 0.8
        draws = {}
        for name, propensity in zip(chance.sample(["helps", "idle", "harms"], 2), (0.5, 0.7), strict=True):
            draws[name] = (propensity, on and chance.random() < propensity)
        named = {"helps": 0.25, "idle": 0.0, "harms": -0.2}
        rate = base + sum(named[name] for name, (_, shown) in draws.items() if shown)
        recalls.append(appearance(number, arm="on" if on else "off", **draws))
        outcomes.append(outcome(f"traj-{number}", chance.random() < rate, template=template))
    return recalls, outcomes


def shared_credit(recalls: list[Recall], outcomes: list[Outcome]) -> dict[str, tuple[float, float]]:
    """The control: what most memories do, the pass rate of an item's episodes against that of all. Mean and half width
    of its 95 % interval."""
    passed = {one.trajectory_id: one.success for one in outcomes}
    overall = sum(passed.values()) / len(passed)
    found = {}
    for key in ITEMS:
        own = [passed[recall.trajectory_id] - overall for recall in recalls if key in recall.shown]
        found[key] = (fmean(own), 1.96 * stdev(own) / math.sqrt(len(own)))
    return found


def test_known_lifts_are_recovered_and_covered_where_shared_credit_fails() -> None:
    replications, covered, missed = 60, dict.fromkeys(ITEMS, 0), dict.fromkeys(ITEMS, 0)
    means = dict.fromkeys(ITEMS, 0.0)
    for seed in range(replications):
        recalls, outcomes = simulate(seed, 300)
        for one in credit(recalls, outcomes, ITEMS):
            assert one.lift is not None
            means[one.item.id] += one.lift.mean / replications
            covered[one.item.id] += one.lift.low <= LIFTS[one.item.id] <= one.lift.high
        for key, (mean, half) in shared_credit(recalls, outcomes).items():
            missed[key] += abs(mean - LIFTS[key]) > half
    for key, lift in LIFTS.items():
        assert means[key] == pytest.approx(lift, abs=0.03)
        assert covered[key] / replications >= 0.95
    # the control: the same look at a wrong estimator finds far more than 5 % misses
    assert missed[HELPS.id] / replications > 0.25
    assert missed[HARMS.id] / replications > 0.15


def test_the_interval_tightens_with_evidence_and_names_the_sign() -> None:
    few, many = ({one.item.id: one.lift for one in credit(*simulate(1, episodes), ITEMS)} for episodes in (300, 6000))
    for key in ITEMS:
        narrow, wide = many[key], few[key]
        assert narrow is not None
        assert wide is not None
        assert narrow.high - narrow.low < (wide.high - wide.low) / 3
        assert -1 <= wide.low <= wide.mean <= wide.high <= 1
    assert many[HELPS.id].low > 0 > many[HARMS.id].high  # type: ignore[union-attr]


def test_baselines_know_only_what_came_before() -> None:
    outcomes = [
        outcome("1", True, template="a"),
        outcome("2", True, template="a"),
        outcome("3", False, template="b"),
        outcome("4", False, template="a"),
        outcome("5", True, template="b"),
    ]
    assert baselines(outcomes) == {"1": 0.5, "2": 0.75, "3": 0.5, "4": 2.5 / 3, "5": 0.25}


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.data())
def test_an_outcome_never_moves_its_own_or_an_earlier_baseline(passed: list[bool], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(passed) - 1))
    flipped = [success != (number == place) for number, success in enumerate(passed)]
    one, other = (
        baselines(outcome(str(number), success) for number, success in enumerate(run)) for run in (passed, flipped)
    )
    assert all(one[str(number)] == other[str(number)] for number in range(place + 1))
    assert all(0 < value < 1 for value in one.values())


@given(st.floats(0.05, 0.95), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_score_is_unbiased_for_any_baseline(p: float, baseline: float, with_it: float, without: float) -> None:
    """Exact expectation over draw and outcome, for the two success rates."""
    expected = 0.0
    for shown, chance, rate in ((True, p, with_it), (False, 1 - p, without)):
        for success, weight in ((True, rate), (False, 1 - rate)):
            expected += chance * weight * score(shown, p, success, baseline)
    assert math.isclose(expected, with_it - without, abs_tol=1e-9)


def test_only_randomised_appearances_with_a_known_outcome_count() -> None:
    outcomes = [outcome(f"traj-{number}", number % 2 == 0) for number in range(6)]
    recalls = [
        appearance(0, helps=(0.5, True)),
        appearance(0, helps=(0.5, True)),  # the same retrieval, read twice
        appearance(1, helps=(0.5, False)),
        appearance(2, helps=(1.0, True)),  # frozen: shown with certainty
        appearance(3, helps=(0.0, False)),  # had no place
        appearance(4, arm="off", helps=(0.5, False)),
        appearance(99, helps=(0.5, True)),  # its outcome is not known
        appearance(5, idle=(0.5, True)),
    ]
    helps, idle = sorted(credit(recalls, outcomes, ITEMS), key=lambda one: one.item.id != HELPS.id)
    assert (helps.shown, helps.held_out) == (1, 1)
    assert (helps.success_shown, helps.success_held_out) == (1.0, 0.0)
    # traj-0: 2 * (1 - 0.5); traj-1: -2 * (0 - 0.75)
    assert [one.score for one in appearances(recalls, outcomes)[HELPS.id]] == [1.0, 1.5]
    assert helps.lift == Interval(mean=1.0, low=-1.0, high=1.0, level=0.95)  # no lift is larger than 1
    assert (idle.shown, idle.held_out, idle.lift) == (1, 0, None)
    assert idle.success_held_out is None
    assert credit(recalls, outcomes, {}) == ()


def test_certain_propensities_have_no_score() -> None:
    for certain in (0.0, 1.0):
        with pytest.raises(ValueError, match="not randomised"):
            score(True, certain, True, 0.5)


def test_items_are_in_order_of_id() -> None:
    found: list[MemoryItem] = [one.item for one in credit(*simulate(3, 50), ITEMS)]
    assert [one.id for one in found] == sorted(ITEMS)


def test_what_it_would_take_is_told() -> None:
    few, many = ({one.item.id: one for one in credit(*simulate(1, episodes), ITEMS)} for episodes in (150, 4000))
    more = few[HELPS.id].more
    assert more is not None and 50 < more < 5000
    assert many[HELPS.id].more == many[HARMS.id].more == 0
    assert many[HELPS.id].log_e > 10 > 0 > many[HARMS.id].log_e
    assert many[HARMS.id].log_alarm > 5 and many[HELPS.id].log_alarm < 2


def test_the_order_of_recalls_does_not_matter_that_of_outcomes_does() -> None:
    recalls, outcomes = simulate(4, 200)
    straight = credit(recalls, outcomes, ITEMS)
    assert credit(recalls[::-1], outcomes, ITEMS) == straight
    assert credit(recalls, outcomes[::-1], ITEMS) != straight


def test_a_propensity_next_to_1_tells_nothing_and_can_be_stored() -> None:
    recalls = [appearance(number, helps=(0.9999, True)) for number in range(3)]
    (one,) = credit(recalls, [outcome(f"traj-{number}", True) for number in range(3)], ITEMS)
    assert one.lift is None and one.appearances == 3
    assert ItemCredit.model_validate_json(one.model_dump_json()) == one


def clustered(number: int, version: int, shown: bool, *members: MemoryItem) -> Recall:
    """A recall in which near-duplicates had a place each; the first of `ITEMS` that is among them leads."""
    made = appearance(number)
    ranked = tuple(
        Candidate(item_id=one.id, score=1.0, propensity=0.5, shown=shown, cluster=HELPS.id) for one in members
    )
    return made.model_copy(update={"ranked": ranked, "bank_version": version})


def test_near_duplicates_have_one_account_and_start_afresh_without_one_of_them() -> None:
    outcomes = [outcome(f"traj-{number}", True) for number in range(6)]
    recalls = [
        clustered(0, 3, True, HELPS, IDLE),  # one appearance, though both had a place
        clustered(1, 3, False, IDLE),
        clustered(2, 3, True, HELPS),
        clustered(3, 9, True, HELPS),
    ]
    (one,) = credit(recalls, outcomes, ITEMS)
    assert (one.item, one.others, one.shown, one.held_out) == (HELPS, (IDLE.id,), 3, 1)
    assert [two.item_id for two in appearances(recalls, outcomes)[HELPS.id]] == [HELPS.id, IDLE.id, HELPS.id, HELPS.id]
    (afresh,) = credit(recalls, outcomes, ITEMS, begun=Restarts(left={IDLE.id: 7}))
    assert (afresh.shown, afresh.held_out) == (1, 0)
    (kept,) = credit(recalls, outcomes, ITEMS, begun=Restarts(left={HELPS.id: 7}))
    assert kept.appearances == 4  # what is known of a retired item itself is not forgotten


def moved(seq: int, key: str, status: ItemStatus) -> LedgerEvent:
    return LedgerEvent(seq=seq, kind=EventKind.STATUS, item_id=key, status=status)


def test_an_item_that_is_tried_again_has_a_new_account() -> None:
    events = [
        moved(1, "a", ItemStatus.PROBATION),
        moved(2, "b", ItemStatus.PROBATION),
        moved(3, "a", ItemStatus.ACTIVE),
        moved(4, "a", ItemStatus.PROBATION),
        moved(5, "b", ItemStatus.RETIRED),
        LedgerEvent(seq=6, kind=EventKind.EVIDENCE, item_id="b"),
    ]
    assert restarts(events) == Restarts(anew={"a": 4}, left={"b": 5})
    assert restarts([*events, moved(7, "b", ItemStatus.PROBATION)]).anew == {"a": 4, "b": 7}
    outcomes = [outcome(f"traj-{number}", True) for number in range(3)]
    recalls = [
        appearance(number, helps=(0.5, True)).model_copy(update={"bank_version": version})
        for number, version in enumerate((3, 4, 5))
    ]
    (one,) = credit(recalls, outcomes, ITEMS, begun=Restarts(anew={HELPS.id: 4}))
    assert one.appearances == 2
    assert credit(recalls, outcomes, ITEMS, begun=Restarts(anew={HELPS.id: 6})) == ()


@settings(deadline=None)
@given(st.floats(0.05, 0.95), st.floats(0.01, 0.99), st.booleans(), st.booleans())
def test_a_score_lies_within_what_was_known_before_it(p: float, baseline: float, shown: bool, success: bool) -> None:
    one = Appearance("", shown, p, success, baseline)
    assert one.low - 1e-9 <= one.score <= one.high + 1e-9 and one.low < 0 < one.high
    expected = sum(
        chance * Appearance("", z, p, y, baseline).score ** 2
        for z, a in ((True, p), (False, 1 - p))
        for y, b in ((True, baseline), (False, 1 - baseline))
        for chance in (a * b,)
    )
    assert math.isclose(one.variance, expected, rel_tol=1e-9)


def test_each_recall_of_an_episode_is_a_decision_and_a_unit_counts_once() -> None:
    first = appearance(1, helps=(0.5, True))
    second = appearance(1, helps=(0.5, True), idle=(0.8, False)).model_copy(update={"id": "a", "number": 1})
    third = appearance(1, harms=(0.5, True)).model_copy(update={"id": "0", "number": 2})
    accounts = appearances([third, second, first], [outcome("traj-1", True)])
    assert {key: len(account) for key, account in accounts.items()} == {HELPS.id: 1, IDLE.id: 1, HARMS.id: 1}
    assert list(accounts) == [HELPS.id, IDLE.id, HARMS.id]  # in their turn, whatever their ids
    assert accounts[IDLE.id][0].propensity == 0.8


def test_a_later_recall_is_unbiased_though_it_hangs_on_earlier_draws() -> None:
    """Only an episode in which the first item was held out gets into trouble and asks again."""
    chance = random.Random(5)
    recalls, outcomes = [], []
    for number in range(4000):
        first, second = chance.random() < 0.5, chance.random() < 0.7
        rate = 0.5 + 0.25 * first
        recalls.append(appearance(number, helps=(0.5, first)))
        if not first:
            rate -= 0.2 * second
            recalls.append(
                appearance(number, harms=(0.7, second)).model_copy(update={"id": f"again-{number}", "number": 1})
            )
        outcomes.append(outcome(f"traj-{number}", chance.random() < rate))
    accounts = appearances(recalls, outcomes)
    helps, harms = (fmean(one.score for one in accounts[key]) for key in (HELPS.id, HARMS.id))
    assert len(accounts[HARMS.id]) == sum(not one.shown for one in accounts[HELPS.id])
    assert helps == pytest.approx(0.25 + 0.2 * 0.7, abs=0.06)  # it also keeps the harmful one away
    assert harms == pytest.approx(-0.2, abs=0.06)
