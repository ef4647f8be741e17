"""What any registered distiller must do, whether or not a language model writes for it.

The suite takes every name that `make_distiller` knows. One that needs a model joins `REPLIES`: what a model says to
each of its requests. One that promises to keep no value of its task joins `KEEPS_NO_VALUE`.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.memory.build import judged, trajectory
from wisen.core.errors import ModelFault, SettingsError
from wisen.core.protocols import Capability, Curator, Distiller
from wisen.core.records import (
    Attempted,
    EpisodeEnd,
    ItemKind,
    MemoryItem,
    ModelRequest,
    Phase,
    Trajectory,
    Trust,
    Verdict,
)
from wisen.memory.distillers import COMPARING, distiller_names, make_distiller
from wisen.memory.distillers.attempts import made_one
from wisen.memory.guard import check_item
from wisen.memory.items import item_id
from wisen.models.scripted import ScriptedModel

LESSON = {
    "title": "Fill before pressing",
    "when_to_use": "A form asks for several values.",
    "when_not": "The form is filled already.",
    "content": "Type every value that the task names, then press the button once.",
}
BULLET = {name: LESSON[name] for name in ("when_to_use", "content")}
WORKFLOW = {
    "title": "Fill in a form",
    "when_to_use": "A form asks for several values.",
    "variables": ["name"],
    "steps": [
        {"state": "An empty field.", "reason": "It is asked for.", "action": 'type textbox "Username" "{name}"'},
        {"state": "All is filled.", "reason": "It sends the form.", "action": 'click button "Login"'},
    ],
}


def ace(request: ModelRequest) -> Any:
    if "reflection" in request.messages[0].text:
        return {"operations": [{"do": "ADD", "kind": "strategy", **BULLET}]}
    return {"cause": "All was filled.", "lesson": "Fill all.", "tags": []}


CONCEPT = {
    "title": "Fill before pressing",
    "cues": ["A form asks for several values."],
    "when_not": "The form is filled already.",
    "parameters": [{"name": "values", "meaning": "What the task gives."}],
    "content": "Type all {values}, then press the button once.",
}
SUBTASK = {
    "title": "Fill in a form",
    "condition": "A form asks for several values.",
    "first": 0,
    "last": 2,
    "result": "Every field holds its value.",
}


def skill(request: ModelRequest) -> Any:
    """It tells the steps in the order in which the record has them."""
    steps = ['type textbox "Username" "{user}"', 'type textbox "Password" "{password}"']
    steps.sort(key=lambda step: request.messages[1].text.index(f"Action: {step[:18]}"))
    values = {"user": VALUES[0], "password": VALUES[1], "age": VALUES[2]}
    return {
        "skill": {
            "name": "fill_in",
            "description": "Fills in a form and sends it.",
            "when_to_use": "A form asks for several values.",
            "parameters": [{"name": name, "meaning": "As given.", "value": value} for name, value in values.items()],
            "steps": [*steps, 'type textbox "Age" "{age}"', 'click button "Login"'],
        }
    }


REPLIES: dict[str, Callable[[ModelRequest], Any]] = {
    "ace": ace,
    "awm": lambda request: {"workflows": [WORKFLOW]},
    "cheatsheet": lambda request: {"sheet": [{"do": "NEW", **BULLET}]},
    "concepts": lambda request: {"concepts": [CONCEPT]},
    "conditions": lambda request: {"items": [LESSON]},
    "expel": lambda request: {"operations": [{"do": "ADD", **BULLET}]},
    "matts": lambda request: {"items": [LESSON]},
    "reasoningbank": lambda request: {"items": [LESSON]},
    "skills": skill,
    "subtasks": lambda request: {"subtasks": [SUBTASK]},
}
KEEPS_NO_VALUE = {"awm", "concepts", "extractive", "matts", "skills", "subtasks", "workflows"}

NAMES = distiller_names()
WRITERS = sorted(REPLIES)
VALUES = ("bela", "x1-y2", "31")
INSTRUCTION = 'Enter the username "bela", the password "x1-y2" and 31 as the age, then press login.'
RIGHT = (
    'type textbox "Username" "bela"',
    'type textbox "Password" "x1-y2"',
    'type textbox "Age" "31"',
    'click button "Login"',
)
WRONG = ('type textbox "Username" "bela"', 'type textbox "Password" "bela"', 'click button "Login"')

Attempts = list[tuple[Trajectory, Verdict]]


def attempts(of: int = 1) -> Attempts:
    return [
        judged(trajectory(INSTRUCTION, RIGHT, number=1, of=of), True),
        judged(trajectory(INSTRUCTION, WRONG, number=2, of=of), False),
        judged(trajectory(INSTRUCTION, [RIGHT[1], RIGHT[0], *RIGHT[2:]], number=3, of=of), True),
        judged(trajectory(INSTRUCTION, RIGHT, number=4, of=of), True),
    ]


def needs_model(name: str) -> bool:
    try:
        make_distiller(name)
    except SettingsError as error:
        assert "needs a language model" in str(error)
        return True
    return False


def made(name: str, model: ScriptedModel | None = None) -> Distiller:
    """The distiller over that model, or over one that gives what `REPLIES` has for it."""
    if name in REPLIES:
        return make_distiller(name, model or ScriptedModel(lambda request: json.dumps(REPLIES[name](request))))
    return make_distiller(name)


async def taught(name: str, given: Attempts, model: ScriptedModel | None = None) -> tuple[MemoryItem, ...]:
    """What comes of the attempts. A curator adds it batch by batch, each of them here to an empty list."""
    distiller = made(name, model)
    items = list(await distiller.distil(given))
    if isinstance(distiller, Curator):
        assert items == []
        for batch in distiller.batches([Attempted(trajectory=one, verdict=verdict) for one, verdict in given]):
            revision = await distiller.curate((), batch)
            assert not (revision.replace or revision.retire), "there was nothing to change"
            assert not (revision.failed and (revision.add or revision.tallies))
            items += revision.add
    return made_one(items)


def test_every_name_is_made_and_every_writer_has_a_script() -> None:
    assert {name for name in NAMES if needs_model(name)} == set(REPLIES), "give a new writer its replies"
    assert set(NAMES) >= KEEPS_NO_VALUE | COMPARING
    with pytest.raises(SettingsError, match="no distiller 'nosuch'"):
        make_distiller("nosuch")


@pytest.mark.parametrize("name", NAMES)
class TestDistiller:
    async def test_answers_to_its_name(self, name: str) -> None:
        assert isinstance(made(name), Distiller)
        assert made(name).name == name

    async def test_every_item_links_evidence_from_its_input(self, name: str) -> None:
        items = await taught(name, attempts())
        assert items
        for item in items:
            assert item.evidence
            assert set(item.evidence) <= {one.id for one, _ in attempts()}
            assert item.source_tasks == ("task-1",)
            assert item.author.distiller == name
            assert item.author.model == ("scripted" if name in REPLIES else "")
            assert item.outcome_source == "environment"
            assert item.scope.suite in ("", "web")
            assert item.scope.environment in ("", "page")
            assert set(item.scope.actions) <= {"click", "type"}
            assert item.title.strip() and item.when_to_use.strip() and item.content.strip()

    async def test_ids_come_from_content_and_are_unique(self, name: str) -> None:
        items = await taught(name, attempts())
        assert len({item.id for item in items}) == len(items)
        for item in items:
            assert item.id == item_id(item.kind, item.scope, item.when_to_use, item.content)

    async def test_equal_input_gives_equal_items_in_whatever_order(self, name: str) -> None:
        items = await taught(name, attempts())
        assert items == await taught(name, attempts())
        if not isinstance(made(name), Curator):  # one that rewrites its own list reads in order
            assert items == await taught(name, attempts()[::-1])

    async def test_other_evidence_for_the_same_advice_has_the_same_id(self, name: str) -> None:
        one, other = await taught(name, attempts(of=1)), await taught(name, attempts(of=2))
        assert [item.id for item in one] == [item.id for item in other]
        assert [item.evidence for item in one] != [item.evidence for item in other]

    async def test_nothing_in_nothing_out(self, name: str) -> None:
        model = ScriptedModel([])  # and nothing is asked
        assert await taught(name, [], model) == ()
        empty = judged(trajectory(INSTRUCTION, []), True)
        broken = judged(trajectory(INSTRUCTION, RIGHT, number=2, end=EpisodeEnd.FAILED), False)
        silent = judged(trajectory(" ", RIGHT, number=3), True)
        assert await taught(name, [empty, broken, silent], model) == ()

    async def test_a_workflow_keeps_no_value_of_its_task(self, name: str) -> None:
        for item in await taught(name, attempts()):
            if item.kind is ItemKind.WORKFLOW or name in KEEPS_NO_VALUE:
                assert not [value for value in VALUES if value in item.text]

    async def test_its_items_claim_no_trust_and_pass_the_guard(self, name: str) -> None:
        for item in await taught(name, attempts()):
            assert item.trust is Trust.ENVIRONMENT
            assert check_item(item).ok
            assert check_item(item).item == item

    @pytest.mark.parametrize("phase", [Phase.GATE, Phase.REPORT])
    async def test_panels_teach_nothing(self, name: str, phase: Phase) -> None:
        good = judged(trajectory(INSTRUCTION, RIGHT, number=1), True)
        measured = judged(trajectory(INSTRUCTION, RIGHT, number=2, phase=phase), True)
        with pytest.raises(SettingsError, match=phase.value):
            await taught(name, [good, measured], ScriptedModel([]))

    async def test_a_verdict_on_another_trajectory_is_refused(self, name: str) -> None:
        one, other = attempts()[:2]
        with pytest.raises(SettingsError, match="verdict"):
            await taught(name, [(one[0], other[1])], ScriptedModel([]))

    async def test_one_attempt_is_enough_unless_it_compares(self, name: str) -> None:
        assert bool(await taught(name, attempts()[:1])) is (name not in COMPARING)


@pytest.mark.parametrize("name", WRITERS)
class TestWriter:
    async def test_it_needs_a_model_that_chats(self, name: str) -> None:
        with pytest.raises(SettingsError, match="needs a language model"):
            make_distiller(name)
        with pytest.raises(SettingsError, match="free text"):
            make_distiller(name, ScriptedModel([], capabilities=[Capability.CHOICE]))

    @pytest.mark.parametrize("how", ["words", "cut", "unknown field", "not an object", "wrong type"])
    async def test_a_malformed_reply_is_asked_for_again_and_then_comes_to_nothing(
        self, name: str, how: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        def malformed(request: ModelRequest) -> str:
            reply = REPLIES[name](request)
            text = json.dumps(reply)
            wrong = {
                "words": f"Here you are: {text}",
                "cut": text[:-1],
                "unknown field": json.dumps({**reply, "more": 1}),
                "not an object": json.dumps([reply]),
                "wrong type": json.dumps(dict.fromkeys(reply, 1)),
            }
            return wrong[how]

        def mended(request: ModelRequest) -> str:
            return json.dumps(REPLIES[name](request)) if len(request.messages) > 2 else malformed(request)

        stubborn = ScriptedModel(malformed)
        with caplog.at_level(logging.WARNING):
            assert await taught(name, attempts(), stubborn) == ()
        assert caplog.records and all(name in record.getMessage() for record in caplog.records)
        assert len(stubborn.requests) == 2 * len(caplog.records)  # each is asked twice, and recorded once
        assert await taught(name, attempts(), ScriptedModel(mended)) == await taught(name, attempts())

    async def test_what_the_record_says_is_fenced_and_no_memory_is_in_it(self, name: str) -> None:
        model = ScriptedModel(lambda request: json.dumps(REPLIES[name](request)))
        await taught(name, attempts(), model)
        for request in model.requests:
            assert INSTRUCTION in request.messages[1].text
            assert INSTRUCTION not in request.messages[0].text
            assert request.messages[1].text.startswith("<record-")
            assert request.seed is not None

    async def test_a_fault_of_the_model_is_passed_on(self, name: str) -> None:
        def fault(request: ModelRequest) -> Exception:
            return ModelFault("the key was refused")

        with pytest.raises(ModelFault, match="key was refused"):
            await taught(name, attempts(), ScriptedModel(fault))


@pytest.mark.parametrize("name", sorted(KEEPS_NO_VALUE & set(WRITERS)))
async def test_a_reply_with_a_value_of_the_task_is_malformed_where_none_is_kept(name: str) -> None:
    def spelled(request: ModelRequest) -> str:
        return json.dumps(REPLIES[name](request)).replace("asks for several values", 'asks for \\"x1-y2\\"')

    model = ScriptedModel(spelled)
    assert await taught(name, attempts(), model) == ()
    assert "'x1-y2' is a value of this one task" in model.requests[1].messages[-1].text
