"""Cases and raw episodes: what is kept of an attempt, in which length, and in which order it is shown."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.build import item, judged, trajectory
from tests.support.attempts import attempt, verdict
from wisen.agent.prompts import instruct
from wisen.core.prompts import compact, positive_first
from wisen.core.records import ItemKind, MemoryItem, Observation
from wisen.memory.distillers.cases import Cases
from wisen.memory.distillers.raw import LENGTH, Raw
from wisen.memory.recall import RecallSettings, tokens


async def test_a_case_says_plainly_whether_it_worked() -> None:
    good = judged(trajectory("Order tea.", ["click tea", "click pay"], number=1), True)
    bad = judged(trajectory("Order tea.", ["click pay"], number=2), False)
    bad = (bad[0], bad[1].model_copy(update={"reason": "the basket\nwas empty"}))
    worked, failed = await Cases().distil([bad, good])
    assert worked.content == "This worked: click tea; click pay"
    assert failed.content == "This did not work: click pay\nWhy it failed: the basket was empty"
    assert (worked.success, failed.success) == (True, False)
    assert worked.kind is failed.kind is ItemKind.CASE
    assert worked.when_to_use == failed.when_to_use == "Order tea."


async def test_equal_attempts_are_one_case_and_opposite_outcomes_two() -> None:
    same = [judged(trajectory("Order tea.", ["click tea"], number=number), number < 3) for number in (1, 2, 3)]
    worked, failed = await Cases().distil(same)
    assert (worked.evidence, failed.evidence) == (("traj-1-1", "traj-1-2"), ("traj-1-3",))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text("abc <", min_size=1, max_size=300).filter(str.strip), min_size=1, max_size=40), st.booleans())
async def test_what_is_kept_of_an_attempt_fits_a_prompt(actions: list[str], success: bool) -> None:
    told = [judged(trajectory("Do it. " * 200, actions), success)]
    (case,) = await Cases().distil(told)
    (episode,) = await Raw().distil(told)
    assert tokens(case.text) <= RecallSettings().max_tokens
    assert tokens(episode.text) <= RecallSettings().max_tokens
    assert len(episode.content) <= LENGTH


async def test_a_long_plan_keeps_its_beginning_and_its_end() -> None:
    long = trajectory("Do it.", [f"click link {n} {'x' * 30}" for n in range(50)])
    (case,) = await Cases().distil([judged(long, True)])
    assert "click link 0 " in case.content and "click link 49 " in case.content
    assert "steps left out]" in case.content


async def test_a_raw_episode_is_its_transcript_and_outcome() -> None:
    one = attempt([("a shelf with tea", "The tea is here.", "click tea")], success=False)
    (episode,) = await Raw().distil([(one, verdict(one, False))])
    for part in ("a shelf with tea", "The tea is here.", "click tea", "the last page", "OUTCOME: it did not work"):
        assert part in episode.content
    assert one.instruction not in episode.content  # it is what the item is found by
    assert episode.when_to_use == one.instruction
    assert (episode.kind, episode.success) == (ItemKind.CASE, False)


async def test_long_observations_are_cut_before_steps_are() -> None:
    one = attempt([("word " * 400, "", f"click {number}") for number in range(6)], success=True)
    (episode,) = await Raw().distil([(one, verdict(one, True))])
    assert all(f"Action: click {number}" in episode.content for number in range(6))
    assert "characters left out" in episode.content


def told(success: bool | None, number: int) -> MemoryItem:
    return item(f"Number {number}.").model_copy(update={"success": success})


@given(st.lists(st.sampled_from([True, False, None]), max_size=8))
def test_failed_cases_come_last_and_nothing_else_moves(outcomes: list[bool | None]) -> None:
    items = [told(success, number) for number, success in enumerate(outcomes)]
    failed = [one for one in items if one.success is False]
    assert list(positive_first(items)) == [one for one in items if one.success is not False] + failed


@pytest.mark.parametrize("style", ["compact", "instruct"])
def test_prompts_show_them_so(style: str) -> None:
    items = [told(False, 0), told(True, 1), told(None, 2)]
    seen = Observation(instruction="Do it.", text="a page")
    messages = compact(seen, [], items) if style == "compact" else instruct(seen, [], items, tools=False)
    shown = [span.item_id for message in messages for span in message.spans if span.item_id]
    assert shown == [items[1].id, items[2].id, items[0].id]
