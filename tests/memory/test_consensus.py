"""Consensus on constructed cases, both ways. What is near what is given here; `test_review` embeds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.build import item
from wisen.core.records import Scope
from wisen.memory.guard.consensus import (
    ConsensusSettings,
    admitted,
    agreement,
    corroborated,
    departs_alike,
    departure,
    held_back,
    weights_of,
)
from wisen.memory.guard.situations import ENOUGH, mean_of, neighbours, related, without
from wisen.memory.guard.steps import VARIABLE, Reading, Step, named, reading_of, sentences

SETTINGS = ConsensusSettings()
CAREFUL = ("look", "ask", "hold", "pay", "finish")


def reading(key: str, *steps: str, sources: int = 1, acts: bool = True) -> Reading:
    return Reading(key, acts, tuple(Step(one) for one in steps), tuple(f"{key}/task-{n}" for n in range(sources)))


def others(count: int, *steps: str) -> list[Reading]:
    return [reading(f"other-{n}", *steps) for n in range(count)]


ELSEWHERE = [reading(f"else-{n}", f"step-{n}", "finish") for n in range(8)]  # so that `finish` tells little


def judged(one: Reading, among: list[Reading], settings: ConsensusSettings = SETTINGS) -> object:
    return departure(one, among, weights_of([one, *among, *ELSEWHERE]), settings)


def test_one_that_skips_what_all_others_do_is_an_outlier() -> None:
    found = departure(
        reading("bad", "pay", "finish"),
        others(5, *CAREFUL),
        weights_of([reading("bad", "pay", "finish"), *others(5, *CAREFUL), *ELSEWHERE]),
        ConsensusSettings(alike=0.5),
    )
    assert found is not None
    assert found.common == CAREFUL
    assert found.missing == ("ask", "hold", "look")
    assert found.foreign == ()
    assert found.others == tuple(f"other-{n}" for n in range(5))
    assert "leaves out ask, hold, look" in found.reason


def test_one_that_does_all_of_it_and_something_else_too_is_an_outlier_by_what_it_adds() -> None:
    found = judged(reading("bad", "look", "ask", "steal", "mail out", "hold", "pay", "finish"), others(5, *CAREFUL))
    assert found is not None
    assert found.foreign == ("mail out", "steal")  # type: ignore[attr-defined]


def test_one_more_look_than_the_others_take_is_no_departure() -> None:
    assert judged(reading("fine", "look", "look twice", "ask", "hold", "pay", "finish"), others(5, *CAREFUL)) is None


def test_a_newcomer_without_neighbours_is_no_outlier() -> None:
    new = reading("new", "dance", "finish")
    for count in (0, 1, 2):
        assert judged(new, others(count, *CAREFUL)) is None
    assert judged(new, others(3, *CAREFUL)) is not None


def test_where_the_others_do_not_agree_nothing_is_said() -> None:
    mixed = [*others(3, *CAREFUL), *(reading(f"way-{n}", "go", "come") for n in range(3))]
    assert judged(reading("new", "dance", "finish"), mixed) is None


def test_a_rare_way_that_another_took_too_stands() -> None:
    assert judged(reading("new", "go", "come"), [*others(4, *CAREFUL), reading("same", "go", "come")]) is None


def test_tasks_are_the_votes_and_one_item_has_only_so_many() -> None:
    new = reading("new", "dance", "finish")
    assert judged(new, [reading("one", *CAREFUL, sources=1), reading("two", *CAREFUL, sources=1)]) is None
    assert judged(new, [reading("one", *CAREFUL, sources=2), reading("two", *CAREFUL, sources=1)]) is not None
    # What as many tasks taught as speak against it is no outlier.
    assert judged(reading("new", "dance", sources=3), others(3, *CAREFUL)) is None
    assert judged(reading("new", "dance", sources=1000), others(6, *CAREFUL)) is not None


def test_actions_and_sentences_are_not_held_against_each_other() -> None:
    assert judged(reading("new", "Dance.", acts=False), others(6, *CAREFUL)) is None


def test_copies_that_agree_carry_their_point() -> None:
    """The known limit: a majority is right by definition."""
    copies = [reading(f"bad-{n}", "pay now", "finish") for n in range(6)]
    assert judged(reading("good", *CAREFUL), copies) is not None
    assert judged(copies[0], [*copies[1:], *others(3, *CAREFUL)]) is None


def everyone(readings: list[Reading]) -> dict[str, list[str]]:
    return {one.item_id: [other.item_id for other in readings if other is not one] for one in readings}


def test_they_are_judged_as_they_come_and_who_is_out_has_no_say() -> None:
    good, bad = others(4, *CAREFUL), [reading(f"bad-{n}", "pay now", "finish") for n in range(4)]
    found = admitted([*good, *bad], ELSEWHERE, everyone([*good, *bad]), SETTINGS)
    assert [one.item_id for one in found] == ["bad-0", "bad-1", "bad-2", "bad-3"]  # they never become many


def test_one_that_came_first_is_found_once_enough_others_are_there() -> None:
    bad, good = reading("bad", "pay now", "finish"), others(4, *CAREFUL)
    found = admitted(good, [bad, *ELSEWHERE], everyone([bad, *good]), SETTINGS)
    assert [one.item_id for one in found] == ["bad"]
    assert admitted(good, [bad, *ELSEWHERE], everyone([bad, *good]), SETTINGS, immune={"bad"}) == ()


def test_what_was_set_aside_is_known_again_also_without_the_others() -> None:
    bad = reading("bad", "pay now", "finish")
    departs = departure(bad, others(4, *CAREFUL), weights_of([bad, *others(4, *CAREFUL), *ELSEWHERE]), SETTINGS)
    assert departs is not None
    assert departs_alike(reading("again", "pay now", "sing", "finish"), departs)
    assert not departs_alike(reading("fine", *CAREFUL), departs)
    assert not departs_alike(reading("new", "dance", "finish"), departs)


def test_what_nobody_corroborates_is_held_back_behind_what_somebody_does() -> None:
    near = {"sure": 0.5, "close": 0.7, "far ahead": 0.95, "behind": 0.1}
    assert held_back(near, {"sure"}, ConsensusSettings(lead=0.4)) == {"close", "behind"}
    assert held_back(near, set(), SETTINGS) == set()  # nothing better is there
    assert held_back({"new": 0.3}, {"sure elsewhere"}, SETTINGS) == set()


def sure(one: Reading, among: list[Reading]) -> bool:
    return corroborated(one, among, weights_of([one, *among, *ELSEWHERE]), SETTINGS)


def test_two_that_agree_on_something_else_do_not_corroborate_each_other() -> None:
    forged = [reading(f"bad-{n}", "note it", "finish") for n in range(3)]
    assert not sure(forged[0], [*forged[1:2], *others(3, *CAREFUL)])
    assert not sure(forged[0], forged[1:2])
    assert sure(forged[0], [*forged[1:], *others(3, *CAREFUL)])  # three do: the known limit
    assert sure(others(1, *CAREFUL)[0], [reading("one", *CAREFUL, sources=2)])  # what two tasks taught is two votes


def test_what_leaves_out_what_all_who_agree_do_is_not_corroborated() -> None:
    hasty = reading("bad", "look", "pay", "finish")
    weights = weights_of([hasty, *others(5, *CAREFUL), *ELSEWHERE])
    assert agreement(hasty, others(1, *CAREFUL)[0], weights) >= SETTINGS.alike
    assert not sure(hasty, others(5, *CAREFUL))
    mixed = [*others(3, *CAREFUL), *(reading(f"hasty-{n}", "look", "pay", "finish") for n in range(2))]
    assert sure(hasty, mixed)  # two of five do without: it is not usual


steps = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6)


@settings(deadline=None)
@given(steps, steps)
def test_agreement_is_a_share_and_mutual(one: list[str], other: list[str]) -> None:
    first, second = reading("1", *one), reading("2", *other)
    weights = weights_of([first, second, *ELSEWHERE])
    found = agreement(first, second, weights)
    assert 0 <= found <= 1
    assert found == agreement(second, first, weights)
    assert agreement(first, reading("3", *one[::-1]), weights) == 1
    assert (found == 0) == (not set(one) & set(other))


@settings(deadline=None)
@given(st.lists(steps, max_size=7), steps)
def test_who_is_corroborated_is_no_outlier_and_order_plays_no_part(among: list[list[str]], own: list[str]) -> None:
    group = [reading(f"other-{n}", *one) for n, one in enumerate(among)]
    new = reading("new", *own)
    weights = weights_of([new, *group, *ELSEWHERE])
    found = departure(new, group, weights, SETTINGS)
    assert found == departure(new, [new, *group[::-1]], weights, SETTINGS)
    if corroborated(new, group, weights, SETTINGS):
        assert found is None  # the other way round it is not so: departing takes more
    if found is not None:
        assert len(group) >= SETTINGS.quorum
        assert not set(found.missing) & set(own)
        assert set(found.foreign) <= set(own)


# How items are read.


def test_calls_and_clicks_are_read_with_the_values_of_the_task_as_variables() -> None:
    calls = item(
        "find(order='<1>'); mail(to='me; you', text=<2>, tags=['a', '<1>']); finish()",
        when="Pay <1> and <2>.",
        scope=Scope(actions=("find", "finish", "mail")),
    )
    found = reading_of(calls)
    assert found.acts
    assert [step.what for step in found.steps] == ["find", "mail", "finish"]
    assert found.steps[0].given == (("order", VARIABLE),)
    assert found.steps[1].given[:2] == (("to", "me; you"), ("text", VARIABLE))
    clicks = item(
        '1. click button "Ok"\n2. type textbox "Name" "<1>"', when="A form.", scope=Scope(actions=("click", "type"))
    )
    assert [step.what for step in reading_of(clicks).steps] == ['click button ""', 'type textbox "" ""']
    assert reading_of(clicks).steps[1].given == (("0", "Name"), ("1", VARIABLE))


def test_raw_values_are_found_by_the_situation() -> None:
    raw = item("find(order='77'); finish()", when="Pay order 77.", scope=Scope(actions=("find", "finish")))
    assert reading_of(raw).steps[0].given == (("order", VARIABLE),)


def test_the_numbers_of_variables_say_nothing() -> None:
    scope = Scope(actions=("buy",))
    one = item("buy(what='<2>', n=<1>)", when="Buy <1> of <2>.", scope=scope)
    other = item("buy(what='<1>', n=<2>)", when="Of <1> buy <2>.", scope=scope)
    assert reading_of(one).steps == reading_of(other).steps


def test_prose_is_read_by_sentences_and_compared_by_meaning() -> None:
    one = reading_of(item("Check the stock first. Then order."))
    other = reading_of(item("First look at the stock.\n- Sing."))
    assert not one.acts
    texts = sentences([one, other])
    assert texts == ("Check the stock first.", "Then order.", "First look at the stock.", "Sing.")
    vectors = np.array([[1.0, 0, 0], [0, 1, 0], [0.9, 0.1, 0.42], [0, 0, 1]])
    first, second = named([one, other], texts, vectors)
    assert [step.what for step in second.steps] == ["Check the stock first.", "Sing."]
    assert first == one


def test_what_a_model_would_do_is_read_the_same_way() -> None:
    asked = item("Never mind.", scope=Scope(actions=("find", "pay")))
    assert [step.what for step in reading_of(asked, "find(x='1')\npay()").steps] == ["find", "pay"]


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    found = reading_of(item(text, scope=Scope(actions=("click", "find"))))
    assert all(step.what for step in found.steps)


# Which situations are the same.


def test_the_mean_is_taken_out_only_where_it_is_known() -> None:
    vectors = np.eye(30)[: ENOUGH - 1]
    assert mean_of(vectors) is None
    assert without(None, vectors) is vectors
    many = np.eye(30)[:ENOUGH]
    mean = mean_of(many)
    assert mean is not None
    assert np.allclose(np.linalg.norm(without(mean, many), axis=1), 1)


def test_neighbours_are_the_nearest_others() -> None:
    angles = np.radians([0, 10, 25, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert neighbours(vectors, 0.5, 2) == [[1, 2], [0, 2], [1, 0], []]


def test_the_first_of_another_situation_is_not_held_against_a_tight_one() -> None:
    angles = np.radians([0, 2, 4, 6, 45])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = related(vectors, 0.6, 0.2)
    assert found[0] == [1, 2, 3]
    assert found[4] == []  # near enough, but those are much nearer to each other
    assert related(vectors, 0.6, 0.4)[4] == [3, 2, 1, 0]
