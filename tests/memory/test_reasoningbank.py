import asyncio
import json
import logging
from typing import Any

import pytest

from tests.support.attempts import MEMORY, attempt, verdict
from wisen.core.errors import ModelFault, SettingsError
from wisen.core.protocols import Capability, Distiller
from wisen.core.records import (
    EpisodeEnd,
    ItemKind,
    ModelReply,
    ModelRequest,
    Phase,
    Purpose,
    Trajectory,
    Trust,
    VerdictSource,
)
from wisen.memory.distillers.reasoningbank import PROMPT_VERSION, ReasoningBank
from wisen.memory.guard import check_item
from wisen.models.scripted import ScriptedModel

MOVES = [("a shelf with tea", "The tea is here.", "click tea"), ("a basket", "", "click pay")]


def lesson(**fields: str) -> dict[str, str]:
    return {
        "title": "Check the basket before paying",
        "when_to_use": "An order has a last page that cannot be undone.",
        "when_not": "Nothing was put into a basket.",
        "content": "Open the basket, compare each line with the order, and pay only when all of them agree.",
        **fields,
    }


def lessons(*items: Any) -> str:
    return json.dumps({"items": list(items)})


def won(number: int = 0, **fields: Any) -> Trajectory:
    return attempt(MOVES, success=True, reward=1.0, number=number, **fields)


async def test_a_success_becomes_strategies_with_their_evidence() -> None:
    trajectory = won()
    model = ScriptedModel([lessons(lesson(), lesson(content="  Sort by price first. "))], name="writer")
    items = await ReasoningBank(model).distil([(trajectory, verdict(trajectory, True))])
    assert [item.content for item in items] == [lesson()["content"], "Sort by price first."]
    for item in items:
        assert item.kind is ItemKind.STRATEGY
        assert item.evidence == (trajectory.id,)
        assert item.source_tasks == (trajectory.task.id,)
        assert (item.author.distiller, item.author.model) == ("reasoningbank", "writer")
        assert item.author.prompt_version == PROMPT_VERSION
        assert item.trust is Trust.ENVIRONMENT
        assert item.outcome_source == "environment"
        assert item.scope.suite == "shop"
        assert check_item(item).ok  # the guard lets a plain lesson pass
    assert len({item.id for item in items}) == 2


async def test_a_failure_becomes_warnings_and_is_asked_for_its_cause() -> None:
    trajectory = attempt(MOVES, success=None)
    judged = verdict(trajectory, False, "The basket held two boxes.").model_copy(update={"source": VerdictSource.JUDGE})
    model = ScriptedModel([lessons(lesson())])
    (item,) = await ReasoningBank(model).distil([(trajectory, judged)])
    assert item.kind is ItemKind.WARNING
    assert item.outcome_source == "judge"
    (request,) = model.requests
    assert "cause" in request.messages[0].text
    assert "failed: The basket held two boxes." in request.messages[1].text


async def test_what_is_asked_depends_on_the_outcome_and_shows_the_record_without_memory() -> None:
    trajectory = won()
    model = ScriptedModel([lessons(), lessons()])
    distiller = ReasoningBank(model)
    assert await distiller.distil([(trajectory, verdict(trajectory, True))]) == ()
    await distiller.distil([(trajectory, verdict(trajectory, False))])
    success, failure = model.requests
    assert success.messages[0].text != failure.messages[0].text
    assert success.purpose is Purpose.DISTIL
    assert success.temperature == 1.0
    assert success.seed == failure.seed
    assert success.seed is not None
    shown = success.messages[1].text
    for part in ("Order a box of tea.", "a shelf with tea", "The tea is here.", "click pay", "succeeded"):
        assert part in shown
    assert MEMORY not in shown


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("Here are my lessons.", "malformed"),
        (lessons(lesson(), lesson(content="a"), lesson(content="b"), lesson(content="c")), "at most 3"),
        (lessons(lesson(when_to_use="two\nlines")), "when_to_use"),
        (lessons(lesson(title=" ")), "title"),
        (lessons(lesson(content="")), "content"),
        (lessons(lesson(content="x" * 801)), "content"),
        (lessons({**lesson(), "votes": "3"}), "votes"),
        (lessons({key: text for key, text in lesson().items() if key != "when_not"}), "when_not"),
        (lessons("be careful"), "items.0"),
        (json.dumps([lesson()]), "malformed"),
        ('{"items": [], "items": []}', "twice"),
        (lessons(lesson())[:-3], "malformed"),
    ],
)
async def test_a_malformed_reply_is_retried_once_and_then_a_failed_distillation(
    reply: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    trajectory = won()
    case = [(trajectory, verdict(trajectory, True))]
    mended = ScriptedModel([reply, lessons(lesson())])
    assert len(await ReasoningBank(mended).distil(case)) == 1
    assert mended.requests[1].messages[-2].text == reply
    assert "could not be read" in mended.requests[1].messages[-1].text
    assert caplog.records == []

    stubborn = ScriptedModel([reply, reply, lessons(lesson())])
    with caplog.at_level(logging.WARNING):
        assert await ReasoningBank(stubborn).distil(case) == ()
    assert len(stubborn.requests) == 2
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert trajectory.id in record.getMessage()
    assert says in record.getMessage()


async def test_each_attempt_is_distilled_and_the_same_lesson_joins_its_evidence() -> None:
    first, second, third = won(0), won(1), attempt(MOVES, success=False, number=2)
    said = {
        first.id: lessons(lesson(), lesson(content="Only the first says this.")),
        second.id: lessons(lesson(title="Another title", content=lesson()["content"].replace(" ", "  "))),
        third.id: lessons(lesson()),
    }
    seeds: dict[int | None, str] = {}

    async def learn(trajectory: Trajectory, success: bool) -> None:
        probe = ScriptedModel([lessons()])
        await ReasoningBank(probe).distil([(trajectory, verdict(trajectory, success))])
        seeds[probe.requests[0].seed] = trajectory.id

    for trajectory, success in ((first, True), (second, True), (third, False)):
        await learn(trajectory, success)
    assert len(seeds) == 3  # each attempt is sampled with its own seed

    model = ScriptedModel(lambda request: said[seeds[request.seed]])
    case = [(first, verdict(first, True)), (second, verdict(second, True)), (third, verdict(third, False))]
    items = await ReasoningBank(model).distil(case)
    assert [(item.kind, item.title, item.evidence) for item in items] == [
        (ItemKind.STRATEGY, "Check the basket before paying", (first.id, second.id)),
        (ItemKind.STRATEGY, "Check the basket before paying", (first.id,)),
        (ItemKind.WARNING, "Check the basket before paying", (third.id,)),
    ]
    assert items[0].source_tasks == (first.task.id,)
    assert items == await ReasoningBank(model).distil(case)  # ids derive from content: nothing new the second time


async def test_one_failed_distillation_does_not_cost_the_others() -> None:
    first, second = won(0), won(1)
    seeds: list[int | None] = []

    def answer(request: ModelRequest) -> str:
        seeds.append(request.seed)
        return "nonsense" if request.seed == seeds[0] else lessons(lesson())

    model = ScriptedModel(answer)
    items = await ReasoningBank(model).distil([(first, verdict(first, True)), (second, verdict(second, True))])
    assert [item.evidence for item in items] == [(second.id,)]
    assert len(seeds) == 3


async def test_broken_and_empty_episodes_teach_nothing_and_cost_no_call() -> None:
    broken = attempt(MOVES, end=EpisodeEnd.FAILED, error="page crashed")
    empty = attempt([], success=False, number=1)
    model = ScriptedModel([])
    case = [(broken, verdict(broken, False)), (empty, verdict(empty, False))]
    assert await ReasoningBank(model).distil(case) == ()
    assert await ReasoningBank(model).distil([]) == ()
    assert model.requests == []


@pytest.mark.parametrize("phase", [Phase.GATE, Phase.REPORT])
async def test_panels_that_measure_teach_nothing(phase: Phase) -> None:
    trajectory = won(phase=phase)
    with pytest.raises(SettingsError, match="may teach"):
        await ReasoningBank(ScriptedModel([lessons()])).distil([(trajectory, verdict(trajectory, True))])


async def test_a_verdict_on_another_trajectory_is_an_error() -> None:
    with pytest.raises(SettingsError, match="was given for"):
        await ReasoningBank(ScriptedModel([])).distil([(won(0), verdict(won(1), True))])


async def test_a_fault_of_the_model_is_passed_on_and_no_call_outlives_it() -> None:
    class Slow(ScriptedModel):
        finished = 0

        async def call(self, request: ModelRequest) -> ModelReply:
            reply = await super().call(request)
            await asyncio.sleep(0.05)
            self.finished += 1
            return reply

    first, second = won(0), won(1)
    model = Slow([ModelFault("the key was refused"), lessons(lesson())])
    with pytest.raises(ModelFault, match="key was refused"):
        await ReasoningBank(model).distil([(first, verdict(first, True)), (second, verdict(second, True))])
    assert model.finished == 1


def test_is_a_distiller_and_wants_a_chat_model() -> None:
    assert isinstance(ReasoningBank(ScriptedModel([])), Distiller)
    with pytest.raises(SettingsError, match="extractive"):
        ReasoningBank(ScriptedModel([], capabilities=(Capability.CHOICE,)))
