"""What items are worth to rankers."""

from statistics import fmean

import pytest

from tests.memory.build import item, outcome
from wisen.core.errors import SettingsError
from wisen.core.records import Candidate, Recall, Standing
from wisen.memory.credit import appearances
from wisen.memory.standing import check_value, standings

GOOD, BAD, NEW = (item(f"Advice that is {what}.") for what in ("good", "bad", "new"))
ITEMS = {one.id: one for one in (GOOD, BAD, NEW)}


def recall(number: int, key: str, shown: bool, *, version: int = 1, cluster: str = "") -> Recall:
    place = Candidate(item_id=key, score=1.0, propensity=0.5, shown=shown, cluster=cluster)
    return Recall(
        id=f"recall-{number}",
        trajectory_id=f"traj-{number}",
        query="",
        ranker="similarity",
        bank_version=version,
        release_id="rel-1",
        eligible=1,
        ranked=(place,),
    )


# (item, shown, success)
SEEN = [(GOOD, True, True), (GOOD, False, False), (BAD, True, False), (BAD, False, True), (GOOD, True, True)] * 4
RECALLS = [recall(number, one.id, shown) for number, (one, shown, _) in enumerate(SEEN)]
OUTCOMES = [outcome(f"traj-{number}", success) for number, (_, _, success) in enumerate(SEEN)]


def test_each_value_is_folded_over_the_appearances() -> None:
    account = appearances(RECALLS, OUTCOMES)[GOOD.id]
    by_lift = standings(RECALLS, OUTCOMES, ITEMS, value="lift", before=9)
    assert by_lift[GOOD.id] == Standing(value=fmean(one.score for one in account), shown=8, wins=8)
    assert by_lift[BAD.id].value < 0 and (by_lift[BAD.id].shown, by_lift[BAD.id].wins) == (4, 0)
    assert by_lift[NEW.id] == Standing()
    wins = standings(RECALLS, OUTCOMES, ITEMS, value="evolver", before=9)
    assert [wins[one.id].value for one in (GOOD, BAD, NEW)] == [9 / 10, 1 / 6, 1 / 2]


def test_pooled_draws_lifts_together_and_gives_the_unseen_their_mean() -> None:
    raw = standings(RECALLS, OUTCOMES, ITEMS, value="lift", before=9)
    pooled = standings(RECALLS, OUTCOMES, ITEMS, value="pooled", before=9)
    assert raw[BAD.id].value < pooled[BAD.id].value < pooled[NEW.id].value < pooled[GOOD.id].value < raw[GOOD.id].value
    assert standings([], [], ITEMS, value="pooled", before=9) == dict.fromkeys(ITEMS, Standing())


@pytest.mark.parametrize("value", ["pooled", "lift", "memrl", "evolver", "d2skill"])
def test_a_version_knows_only_what_came_before_it(value: str) -> None:
    later = [recall(100 + number, GOOD.id, True, version=2) for number in range(5)]
    outcomes = [*OUTCOMES, *(outcome(f"traj-{100 + number}", False) for number in range(5))]
    first = standings(RECALLS, OUTCOMES, ITEMS, value=value, before=2)
    assert standings([*RECALLS, *later], outcomes, ITEMS, value=value, before=2) == first
    assert standings([*RECALLS, *later], outcomes, ITEMS, value=value, before=3) != first
    assert {one.shown for one in standings(RECALLS, OUTCOMES, ITEMS, value=value, before=1).values()} == {0}


def test_a_cluster_has_one_account_under_its_oldest() -> None:
    together = [recall(number, BAD.id, True, cluster=GOOD.id) for number in range(3)]
    outcomes = [outcome(f"traj-{number}", True) for number in range(3)]
    found = standings(together, outcomes, ITEMS, value="evolver", before=9)
    assert (found[GOOD.id].shown, found[BAD.id].shown) == (3, 0)


def test_a_value_that_is_not_there_is_refused() -> None:
    check_value("pooled")
    with pytest.raises(SettingsError, match="pooled, lift"):
        check_value("worth")
