"""What concepts and sub-tasks ask of a model, and what they make of its replies."""

import json
from typing import Any

import pytest

from tests.memory.build import judged, trajectory
from wisen.core.records import ItemKind
from wisen.memory.distillers.concepts import Concepts
from wisen.memory.distillers.subtasks import STEPS_SHOWN, Subtasks
from wisen.models.scripted import ScriptedModel

TASK = 'Open "Log", enter "bela" as the name, then save.'
WAY = ('click link "Log"', 'click link "Help"', 'type textbox "Name" "bela"', 'click button "Save"')


def concept(**fields: Any) -> dict[str, Any]:
    return {
        "title": "Find, then fill",
        "cues": ["A value has a place.", "The place is not in sight."],
        "when_not": "The place is in sight.",
        "parameters": [{"name": "place", "meaning": "Where the value goes."}],
        "content": "Go to the {place} first.",
        **fields,
    }


def part(first: int, last: int, **fields: Any) -> dict[str, Any]:
    return {
        "title": "Fill in",
        "condition": "A form is open.",
        "first": first,
        "last": last,
        "result": "It is saved.",
        **fields,
    }


def says(field: str, *replies: list[Any]) -> ScriptedModel:
    return ScriptedModel([json.dumps({field: one}) for one in replies])


async def test_a_concept_has_its_cues_as_condition_and_explains_its_parameters() -> None:
    told = [judged(trajectory(TASK, WAY, number=1), True), judged(trajectory(TASK, WAY[:2], number=2), False)]
    model = says("concepts", [concept(), concept(title="Wait", parameters=[], content="Wait.")])
    item, other = await Concepts(model).distil(told)
    assert item.kind is ItemKind.STRATEGY
    assert item.when_to_use == "A value has a place.; The place is not in sight."
    assert item.when_not == "The place is in sight."
    assert item.content == "Go to the {place} first.\n{place}: Where the value goes."
    assert other.content == "Wait."
    assert item.evidence == ("traj-1-1",)  # the failure taught nothing, and was not shown
    assert "failed" not in model.requests[0].messages[1].text
    assert await Concepts(says("concepts")).distil(told[1:]) == ()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"cues": []}, "cues"),
        ({"content": "Go to the {thing}, the {place}."}, "'thing', which is no parameter"),
        ({"content": "Go there."}, "does not use the parameter 'place'"),
        ({"parameters": [{"name": "place", "meaning": "a"}, {"name": "place", "meaning": "b"}]}, "two parameters"),
        ({"cues": ["Where bela is."]}, "'bela' is a value"),
        ({"parameters": [{"name": "place", "meaning": "Such as bela."}]}, "'bela' is a value"),
    ],
)
async def test_a_concept_that_breaks_the_rules_is_asked_for_again(wrong: dict[str, Any], why: str) -> None:
    told = [judged(trajectory(TASK, WAY), True)]
    model = says("concepts", [concept(**wrong)], [concept()])
    assert len(await Concepts(model).distil(told)) == 1
    assert why in model.requests[1].messages[-1].text
    assert await Concepts(says("concepts", *[[concept(), concept(**wrong)]] * 2)).distil(told) == ()


async def test_the_steps_of_a_sub_task_are_those_of_the_record() -> None:
    attempt = trajectory(TASK, WAY)
    steps = list(attempt.steps)
    steps[1] = steps[1].model_copy(
        update={"result": steps[1].result.model_copy(update={"info": {"refused": "it is not there"}})}
    )
    attempt = attempt.model_copy(update={"steps": tuple(steps)})
    again = trajectory(TASK, [WAY[0], *WAY[2:]], number=2)  # did the same
    model = says("subtasks", [part(0, 0, title="Open"), part(1, 3)])
    opened, filled = await Subtasks(model).distil([judged(attempt, True), judged(again, True)])
    assert opened.kind is filled.kind is ItemKind.WORKFLOW
    assert opened.content == 'click link "<link>"\nResult: It is saved.'
    assert filled.content == 'type textbox "Name" "<name>"; click button "Save"\nResult: It is saved.'
    assert filled.when_to_use == "Part of a longer task: A form is open."
    assert (filled.scope.suite, filled.scope.environment, filled.scope.actions) == ("web", "", ("click", "type"))
    assert filled.evidence == ("traj-1-1", "traj-1-2")
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([part(0, 4)], "no step 4"),
        ([part(2, 1)], "ends before it begins"),
        ([part(0, 2), part(2, 3)], "before the one before it has ended"),
        ([part(2, 3), part(0, 1)], "before the one before it has ended"),
        ([part(1, 1)], "none of its steps did anything"),
        ([part(0, 3, result="bela is saved.")], "'bela' is a value"),
        ([part(-1, 3)], "first"),
        ([part(0, "3")], "last"),
        ([part(0, 3, condition="a\nb")], "condition"),
    ],
)
async def test_a_part_that_breaks_the_rules_is_asked_for_again(wrong: list[Any], why: str) -> None:
    attempt = trajectory(TASK, WAY)
    steps = list(attempt.steps)
    steps[1] = steps[1].model_copy(update={"result": steps[1].result.model_copy(update={"violation": "not yours"})})
    told = [judged(attempt.model_copy(update={"steps": tuple(steps)}), True)]
    model = says("subtasks", wrong, [part(0, 3)])
    assert len(await Subtasks(model).distil(told)) == 1
    assert why in model.requests[1].messages[-1].text
    assert await Subtasks(says("subtasks", wrong, wrong)).distil(told) == ()


async def test_a_value_that_cannot_be_named_is_not_taken_apart() -> None:
    one = trajectory("Select New York.", ['click checkbox "New York"', 'click checkbox "York"'])
    assert await Subtasks(says("subtasks")).distil([judged(one, True)]) == ()
    assert await Subtasks(says("subtasks")).distil([judged(trajectory(TASK, WAY), False)]) == ()
    long = trajectory(TASK, [f'click link "l{number}"' for number in range(STEPS_SHOWN + 1)])  # nobody saw its middle
    assert await Subtasks(says("subtasks")).distil([judged(long, True)]) == ()
