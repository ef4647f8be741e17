"""Insights with conditions: what they are drawn from, and what a misfire does to them."""

import json
from typing import Any

import pytest

from tests.memory.build import judged, trajectory
from tests.memory.curating import held, listed, says, step, tried
from wisen.core.records import Attempted, ItemKind, ItemStatus
from wisen.core.store import Store
from wisen.memory.bank import Bank
from wisen.memory.distillers.conditions import Conditions

NONE: dict[str, Any] = {"items": []}


def insight(content: str, when: str = "A page with buttons.") -> dict[str, str]:
    return {"title": "Buttons", "when_to_use": when, "when_not": "No button.", "content": content}


def insights(*contents: str) -> dict[str, Any]:
    return {"items": [insight(one) for one in contents]}


def keep(number: int) -> dict[str, Any]:
    return {"do": "KEEP", "number": number, "why": "It was not followed."}


def narrow(number: int, when: str = "A page with one button.") -> dict[str, Any]:
    return {
        "do": "NARROW",
        "number": number,
        "why": "There were two.",
        "when_to_use": when,
        "when_not": "Two buttons are there.",
    }


def decisions(*all: dict[str, Any]) -> dict[str, Any]:
    return {"decisions": list(all)}


async def with_two(store: Store) -> tuple[str, str]:
    await step(Conditions(says(insights("a", "b"))), store, [tried(1, True)])
    first, second = [entry.item.id for entry in held(Conditions(says()), store)]
    return first, second


async def test_a_success_gives_strategies_and_a_failure_warnings(store: Store) -> None:
    await with_two(store)
    await step(Conditions(says(insights("c"))), store, [tried(2, False)])
    found = [(one.item.content, one.item.kind, one.item.when_not) for one in held(Conditions(says()), store)]
    assert [kind for _, kind, _ in found] == [ItemKind.STRATEGY, ItemKind.STRATEGY, ItemKind.WARNING]
    assert {when_not for _, _, when_not in found} == {"No button."}


async def test_a_misfire_narrows_the_condition_into_a_new_version(store: Store) -> None:
    first, second = await with_two(store)
    worked = says(NONE)
    await step(Conditions(worked), store, [tried(2, True, shown=[first, second])])
    assert len(worked.requests) == 1  # nothing misfired
    model = says(decisions(narrow(1), keep(2)), insights("c"))
    revision = await step(Conditions(model), store, [tried(3, False, shown=[first, second])])
    asked = model.requests[0].messages[1].text
    assert "1. (Not when: No button.) When: A page with buttons. | a" in asked and "failed" in asked
    (new,) = revision.replace
    assert new.parent_id == first
    assert (new.content, new.when_to_use, new.when_not) == ("a", "A page with one button.", "Two buttons are there.")
    assert new.evidence == ("traj-1-1", "traj-3-1") and new.source_tasks == ("task-1", "task-3")
    bank = Bank(store).snapshot()
    assert bank.statuses[first] is ItemStatus.RETIRED
    assert bank.statuses[new.id] is ItemStatus.PROBATION
    assert bank.statuses[second] is ItemStatus.PROBATION
    both = {"worked": 1, "misfired": 1}
    assert listed(Conditions(says()), store) == {"a": both, "b": both, "c": {}}


async def test_one_that_did_worse_misfired_by_what_the_better_one_was_not_told(store: Store) -> None:
    first, second = await with_two(store)
    good = tried(5, True, number=1, shown=[second])
    worse = tried(5, True, number=2, shown=[first, second])
    worse = worse.model_copy(update={"verdict": worse.verdict.model_copy(update={"score": 0.5})})
    other = tried(6, True)
    batches = Conditions(says()).batches([good, worse, other])
    assert batches == ((good,), (worse, good), (other,))
    model = says(decisions(narrow(1)), NONE)
    revision = await step(Conditions(model), store, batches[1])
    assert [new.parent_id for new in revision.replace] == [first]
    asked = model.requests[0].messages[1].text
    assert "A BETTER ATTEMPT" in asked and "2. (" not in asked


async def test_an_earlier_attempt_is_not_read_again_beside_a_later_one() -> None:
    bad, good = tried(5, False, number=1), tried(5, True, number=2)
    assert Conditions(says()).batches([bad, good]) == ((bad,), (good,))
    assert Conditions(says()).batches([good, bad]) == ((good,), (bad, good))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([keep(1)], "2 insights were told, and 1 have a decision"),
        ([keep(1), keep(1)], "named twice"),
        ([keep(1), keep(3)], "no line 3"),
        ([keep(1), narrow(2, " A page with  buttons.")], "is what it was before"),
        ([keep(1), {"do": "WIDEN", "number": 2, "why": "."}], "decisions"),
        ([keep(1), {**narrow(2), "content": "new"}], "content"),
        ([keep(1), narrow(2, "On the page of bela.")], "'bela' is a value"),
    ],
)
async def test_a_malformed_decision_changes_nothing(store: Store, wrong: list[Any], why: str) -> None:
    shown = await with_two(store)
    one, verdict = judged(trajectory('Enter "bela".', ['type textbox "Name" "bela"'], of=2), False)
    attempt = Attempted(trajectory=one, verdict=verdict, shown=shown)
    model = says(decisions(*wrong), decisions(keep(1), keep(2)), NONE)
    mended = await Conditions(model).curate(held(Conditions(says()), store), [attempt])
    assert not mended.failed and not mended.replace
    assert why in model.requests[1].messages[-1].text
    before = Bank(store).version
    failed = await step(Conditions(says(*[decisions(*wrong)] * 2)), store, [attempt])
    assert why in failed.failed
    assert Bank(store).version == before


async def test_insights_that_cannot_be_read_undo_the_narrowing_as_well(store: Store) -> None:
    shown = await with_two(store)
    model = says(decisions(narrow(1), narrow(2)), json.dumps(insights("c"))[:-1], "no")
    revision = await step(Conditions(model), store, [tried(2, False, shown=shown)])
    assert revision.failed and not (revision.replace or revision.tallies)


async def test_what_is_no_insight_of_its_own_is_not_narrowed(store: Store) -> None:
    await with_two(store)
    model = says(NONE)
    revision = await step(Conditions(model), store, [tried(2, False, shown=["mem-of-another"])])
    assert len(model.requests) == 1 and not (revision.replace or revision.tallies)
