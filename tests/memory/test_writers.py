"""What AWM and MaTTS ask of a model, and what they make of its replies."""

import json
from typing import Any

import pytest

from tests.memory.build import judged, trajectory
from wisen.core.records import ItemKind, ModelRequest
from wisen.memory.distillers.awm import AWM, MAX_SHOWN
from wisen.memory.distillers.matts import MaTTS
from wisen.models.scripted import ScriptedModel

TASK = 'Enter "bela" as the name, then press save.'
WAY = ('type textbox "Name" "bela"', 'click button "Save"')


def step(action: str, **fields: str) -> dict[str, str]:
    return {"state": "A form.", "reason": "It is asked for.", "action": action, **fields}


def workflow(*steps: dict[str, str], **fields: Any) -> dict[str, Any]:
    steps = steps or (step('type textbox "Name" "{name}"'), step('click button "Save"'))
    return {
        "title": "Fill in a form",
        "when_to_use": "A form is shown.",
        "variables": ["name"],
        "steps": list(steps),
        **fields,
    }


def replies(*workflows: dict[str, Any]) -> str:
    return json.dumps({"workflows": list(workflows)})


def lesson(text: str) -> dict[str, str]:
    return {"title": "Forms", "when_to_use": "A form is shown.", "when_not": "None is.", "content": text}


async def test_awm_writes_workflows_of_states_reasons_and_actions() -> None:
    model = ScriptedModel([replies(workflow())])
    (item,) = await AWM(model).distil([judged(trajectory(TASK, WAY), True)])
    assert item.kind is ItemKind.WORKFLOW
    assert item.content.splitlines() == [
        '1. type textbox "Name" "{name}" — A form.; It is asked for.',
        '2. click button "Save" — A form.; It is asked for.',
    ]
    assert (item.scope.suite, item.scope.environment, item.scope.actions) == ("web", "", ("click", "type"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (workflow(step('type textbox "Name" "{name}"')), "at least 2"),
        (workflow(variables=[]), "'name', which variables does not list"),
        (workflow(step('type textbox "Name" "bela"'), step("click x")), "'bela' is a value"),
        (workflow(step('fill textbox "Name" "{name}"'), step("click x")), "'fill' is no action of the record"),
        (workflow(step("click x", reason="two\nlines"), step("click x")), "reason"),
        (workflow(variables=["name of it"]), "variables"),
    ],
)
async def test_awm_refuses_what_breaks_its_rules(wrong: dict[str, Any], says: str) -> None:
    model = ScriptedModel([replies(wrong), replies(workflow())])
    assert len(await AWM(model).distil([judged(trajectory(TASK, WAY), True)])) == 1
    assert says in model.requests[1].messages[-1].text
    stubborn = ScriptedModel([replies(workflow(), wrong)] * 2)
    assert await AWM(stubborn).distil([judged(trajectory(TASK, WAY), True)]) == ()


async def test_awm_takes_any_action_where_text_is_free() -> None:
    one = trajectory(TASK, WAY)
    bare = [each.observation.model_copy(update={"actions": ()}) for each in one.steps]
    steps = [each.model_copy(update={"observation": seen}) for each, seen in zip(one.steps, bare, strict=True)]
    free = one.model_copy(update={"steps": tuple(steps)})
    reply = replies(workflow(step("ls {name}"), step("cat {name}")))
    (item,) = await AWM(ScriptedModel([reply])).distil([judged(free, True)])
    assert item.scope.actions == ()


async def test_awm_shows_the_shortest_of_each_way_and_no_failure() -> None:
    ways = [[*WAY, *(f'click link "{n}"' for n in range(extra))] for extra in (4, 3, 2, 1, 0)]
    told = [judged(trajectory(TASK, way, number=number), True) for number, way in enumerate(ways, start=1)]
    told.append(judged(trajectory(TASK, WAY, number=8), True))  # as the fifth
    told.append(judged(trajectory(TASK, WAY[:1], number=9), False))
    model = ScriptedModel([replies(workflow())])
    (item,) = await AWM(model).distil(told)
    assert item.evidence == ("traj-1-5", "traj-1-4", "traj-1-3")
    assert f"ATTEMPT {MAX_SHOWN}" in model.requests[0].messages[1].text
    assert f"ATTEMPT {MAX_SHOWN + 1}" not in model.requests[0].messages[1].text


async def test_matts_asks_once_about_all_attempts_with_their_verdicts() -> None:
    def reply(request: ModelRequest) -> str:
        return json.dumps({"items": [lesson("Fill in all before you press.")]})

    model = ScriptedModel(reply)
    told = [judged(trajectory(TASK, WAY[: 1 + number % 2], number=number), number % 2 == 1) for number in (1, 2, 3)]
    (item,) = await MaTTS(model).distil(told)
    (request,) = model.requests
    shown = request.messages[1].text
    assert [shown.count(f"ATTEMPT {number}") for number in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert (shown.count("succeeded"), shown.count("failed")) == (2, 1)
    assert item.evidence == ("traj-1-1", "traj-1-2", "traj-1-3")
    assert item.kind is ItemKind.STRATEGY
    (warning,) = await MaTTS(model).distil([judged(one, False) for one, _ in told])
    assert warning.kind is ItemKind.WARNING


async def test_matts_takes_five_items_and_no_sixth() -> None:
    told = [judged(trajectory(TASK, WAY, number=number), True) for number in (1, 2)]
    items = [lesson(f"Press it {'very ' * number}well.") for number in range(6)]
    model = ScriptedModel([json.dumps({"items": items}), json.dumps({"items": items[:5]})])
    assert len(await MaTTS(model).distil(told)) == 5
    assert "at most 5" in model.requests[1].messages[-1].text


async def test_many_long_attempts_still_fit_one_prompt() -> None:
    model = ScriptedModel([json.dumps({"items": []})])
    told = [judged(trajectory(TASK, ["x" * 2000] * 40, number=number), True) for number in range(8)]
    assert await MaTTS(model).distil(told) == ()
    assert len(model.requests[0].messages[1].text) < 60_000
