"""Skills: what a model may write as one, how one is read back, and how a task gives its arguments."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.build import judged, trajectory
from wisen.core.records import Action, ItemKind, ToolCall
from wisen.memory.distillers.skills import Skills
from wisen.memory.guard import check_item
from wisen.memory.skill import Skill, action_of, asked_for, bind, read
from wisen.models.scripted import ScriptedModel

TASK = 'Log in as "bela" with the password "x1-y2", then open the 2nd page.'
WAY = (
    'type textbox "User" "bela"',
    'click link "Help"',
    'type textbox "Password" "x1-y2"',
    'click link "page 2"',
)
GIVEN = {"user": "bela", "password": "x1-y2", "page": "2"}
STEPS = ['type textbox "User" "{user}"', 'type textbox "Password" "{password}"', 'click link "page {page}"']
SEND = Action(tool_call=ToolCall(name="send", arguments={"to": "Bob", "copies": 3, "tags": ["tea", 1.5, None]}))


def reply(values: dict[str, str] = GIVEN, **fields: Any) -> dict[str, Any]:
    made = {
        "name": "log_in_and_open",
        "description": "Logs in and opens a page.",
        "when_to_use": "A task asks to log in.",
        "parameters": [
            {"name": name, "meaning": f"the {name} to take", "value": value} for name, value in values.items()
        ],
        "steps": STEPS,
        **fields,
    }
    return {"skill": made}


def says(*replies: Any) -> ScriptedModel:
    return ScriptedModel([json.dumps(one) for one in replies])


async def test_a_success_becomes_a_function_that_its_task_gives_the_arguments_of() -> None:
    told = [judged(trajectory(TASK, WAY, number=1), True), judged(trajectory(TASK, WAY[:1], number=2), False)]
    (item,) = await Skills(says(reply())).distil(told)
    assert item.kind is ItemKind.SKILL and item.title == "log_in_and_open"
    assert item.evidence == ("traj-1-1",)
    assert (item.scope.environment, item.scope.actions) == ("page", ("click", "type"))
    assert check_item(item).ok
    assert item.content.splitlines() == [
        "log_in_and_open(user, password, page): Logs in and opens a page.",
        "{user}: the user to take",
        "{password}: the password to take",
        "{page}: the page to take",
        'For: Log in as "{user}" with the password "{password}", then open the {page} page.',
        *(f"{number}. {step}" for number, step in enumerate(STEPS, start=1)),
    ]
    skill = read(item.content)
    assert bind(skill, TASK) == GIVEN
    other = bind(skill, 'Log in as "Ann B" with the  password "q",\nthen open the 3rd page.')
    assert other == {"user": "Ann B", "password": "q", "page": "3"}
    assert str(action_of(skill.steps[2], other, ())) == 'click link "page 3"'
    assert bind(skill, "Log out.") is None
    assert await Skills(says({"skill": None})).distil(told) == ()
    assert await Skills(says()).distil(told[1:]) == ()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (reply(steps=[*STEPS[1:], STEPS[0]]), "out of order"),
        (reply(steps=[*STEPS[:2], 'click link "site {page}"']), "step 3 is no action of the record"),
        (reply(steps=[*STEPS, "click {more}"]), "'more', which is no parameter"),
        (reply({**GIVEN, "help": "Help"}, steps=[*STEPS, 'click link "{help}"']), "do not name 'Help'"),
        (reply({**GIVEN, "more": "then"}), "no step uses the parameter 'more'"),
        (reply({**GIVEN, "more": "bela"}), "one name or one value"),
        (reply(steps=[]), "steps"),
        (reply(steps=["a\nb"]), "steps"),
        (reply(name="Log in"), "name"),
        (reply({"user": "bela", "page": "2"}, steps=[STEPS[0], WAY[2], STEPS[2]]), "'x1-y2' is a value"),
        (reply(description="Logs bela in."), "'bela' is a value"),
        ({"skill": "print(1)"}, "skill"),
        ({}, "skill"),
    ],
)
async def test_what_is_no_function_over_the_record_is_malformed(wrong: Any, why: str) -> None:
    told = [judged(trajectory(TASK, WAY), True)]
    model = says(wrong, reply())
    assert len(await Skills(model).distil(told)) == 1
    assert why in model.requests[1].messages[-1].text
    assert await Skills(says(wrong, wrong)).distil(told) == ()


async def test_a_tool_call_is_kept_with_the_types_of_its_arguments() -> None:
    task = "Send Bob 3 notes on tea."
    steps = ["send(to='{to}', copies={copies}, tags=['{topic}', 1.5, None])"]
    model = says(reply({"to": "Bob", "copies": "3", "topic": "tea"}, steps=steps))
    (item,) = await Skills(model).distil([judged(trajectory(task, [SEND]), True)])
    skill = read(item.content)
    arguments = bind(skill, "Send Ann 12 notes on it's.")
    assert arguments == {"to": "Ann", "copies": "12", "topic": "it's"}
    made = action_of(skill.steps[0], arguments, {"send"})
    assert made.tool_call and made.tool_call.arguments == {"to": "Ann", "copies": 12, "tags": ["it's", 1.5, None]}
    assert bind(skill, "Send Ann many notes on tea.") is not None  # what is no number is seen when it is filled in
    with pytest.raises(ValueError, match="could not convert"):
        action_of(skill.steps[0], {**arguments, "copies": "many"}, {"send"})


@pytest.mark.parametrize(
    "call",
    ["send(__import__('os').getcwd())", "send(to=open('x'))", "send(to=x)", "send(**{})", "send(to='", "send(to={to})"],
)
def test_nothing_but_plain_values_is_read_from_a_call(call: str) -> None:
    with pytest.raises(ValueError, match=r"plain value|cannot be read|of the form"):
        action_of(call, {}, {"send"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "press(): x",
        "press(): x\nFor: y",
        "press(a): x\nFor: y\n1. z",
        "press(): x\nFor: y\n2. z",
        "Press(): x\nFor: y\n1. z",
    ],
)
def test_a_text_of_another_form_is_no_skill(text: str) -> None:
    with pytest.raises(ValueError, match=r"its|it does not"):
        read(text)


words = st.text("abcxyz", min_size=1, max_size=4)


@settings(deadline=None, max_examples=40)
@given(st.lists(words, min_size=1, max_size=4, unique=True), st.lists(words, min_size=4, max_size=4))
def test_a_skill_is_read_back_as_it_was_and_takes_any_values(values: list[str], others: list[str]) -> None:
    arguments = {f"v{number}": value for number, value in enumerate(values)}
    said = "Press " + ", ".join(f'"{value}"' for value in values) + "!"
    task = asked_for(said, arguments)
    skill = Skill(
        "press", "presses", dict.fromkeys(arguments, "one"), task, tuple(f"press {{{one}}}" for one in arguments)
    )
    assert read(skill.text) == skill
    assert bind(skill, said) == arguments
    new = dict(zip(arguments, others, strict=False))
    assert bind(skill, "Press " + ", ".join(f'"{value}"' for value in new.values()) + "!") == new


def test_a_parameter_that_stands_twice_must_be_the_same_twice() -> None:
    skill = Skill("a", "b", {"x": "y"}, 'From "{x}" to "{x}".', ("press {x}",))
    assert bind(skill, 'From "1" to "1".') == {"x": "1"}
    assert bind(skill, 'From "1" to "2".') is None
