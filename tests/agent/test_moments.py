"""Memory asked in the midst of an episode: when, what for, and what the record says of it."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.corridor import TOOL, Corridor, Corridors, moving, walk
from wisen.agent.graph import AgentState, EpisodeContext, compiled, history
from wisen.agent.judge import choose_judge
from wisen.agent.moments import RECALL_TOOL, Moments, asked, failed, lead, occasion, stuck, weak
from wisen.agent.rollouts import LocalRollouts
from wisen.core.errors import SettingsError
from wisen.core.protocols import Capability, Model
from wisen.core.records import (
    Action,
    Author,
    Candidate,
    Choice,
    EpisodeRequest,
    ItemKind,
    ItemStatus,
    MemoryItem,
    MemoryMode,
    ModelCall,
    ModelReply,
    ModelRequest,
    Moment,
    Observation,
    Occasion,
    Purpose,
    Recall,
    SpanKind,
    Step,
    StepResult,
    ToolCall,
    ToolSpec,
)
from wisen.memory.bank import Snapshot
from wisen.memory.items import make_item
from wisen.memory.recall import RecallSettings, SnapshotRecaller
from wisen.models.scripted import ScriptedModel
from wisen.models.uniform import UniformModel

JUDGE = choose_judge(environment_decides=True)


def advice(number: int) -> MemoryItem:
    return make_item(
        kind=ItemKind.STRATEGY,
        title="Doors",
        when_to_use="a corridor",
        content=f"Advice {number}.",
        author=Author(distiller="test"),
        evidence=[f"traj-{number}"],
        source_tasks=[f"task-{number}"],
    )


ITEMS = sorted((advice(number) for number in range(3)), key=lambda one: one.id)
BANK = Snapshot(4, {one.id: one for one in ITEMS}, {one.id: ItemStatus.PROBATION for one in ITEMS})


class InOrder:
    """An index that finds items in order of id, and what it was asked."""

    def __init__(self) -> None:
        self.queries: list[str] = []

    async def query(self, text: str, ids: Sequence[str], n: int) -> list[tuple[str, float]]:
        self.queries.append(text)
        return [(key, 0.9) for key in sorted(ids)][:n]


def step_of(before: str, action: Action | str, after: str, **info: Any) -> Step:
    seen, came = (Observation(instruction="Open it.", text=text) for text in (before, after))
    act = Action(text=action) if isinstance(action, str) else action
    return Step(index=0, observation=seen, calls=(), action=act, result=StepResult(observation=came, info=info))


def test_stuck_is_the_same_kind_of_action_failing_again_and_again() -> None:
    knock, again = step_of("a", "knock at 1", "a"), step_of("a", "knock at 2", "a", note="nobody")
    moved, other = step_of("a", "knock at 3", "b"), step_of("a", "pull", "a")
    assert stuck([knock], 2) is None and stuck([], 2) is None
    assert stuck([knock, again], 2) == "Open it. knock at 2 (nobody)"
    assert stuck([moved, again], 2) is stuck([knock, moved], 2) is stuck([knock, other], 2) is None
    assert stuck([moved, other], 1) == "Open it. pull"
    assert stuck([moved, knock, again], 2) and not stuck([moved, knock, again], 3)
    calls = [Action(tool_call=ToolCall(name=name, arguments={})) for name in ("search", "search", "open")]
    assert stuck([step_of("a", calls[0], "a"), step_of("a", calls[1], "a")], 2)
    assert not stuck([step_of("a", calls[0], "a"), step_of("a", calls[2], "a")], 2)


def test_a_refused_action_failed_whatever_is_seen_then() -> None:
    assert failed(step_of("a", "x", "no such order", refused="no such order"))
    assert failed(step_of("a", "x", "a")) and not failed(step_of("a", "x", "b", note="well done"))


def drafted(*shares: float) -> ModelCall:
    choice = Choice(logprobs=tuple(math.log(share) for share in shares), index=0) if shares else None
    reply = ModelReply(text="", choice=choice)
    return ModelCall(id="c", model="m", request=ModelRequest(purpose=Purpose.ACT, messages=()), reply=reply)


def test_a_draft_is_weak_where_the_best_two_lie_close() -> None:
    choice = drafted(0.2, 0.5, 0.3).reply.choice
    assert choice is not None and lead(choice) == pytest.approx(0.2)
    assert weak(drafted(0.5, 0.45, 0.05), 0.2) and not weak(drafted(0.7, 0.2, 0.1), 0.2) and not weak(drafted(1.0), 0.2)
    with pytest.raises(SettingsError, match="does not say how sure"):
        weak(drafted(), 0.2)


def test_what_a_call_for_memory_asks() -> None:
    assert asked(ToolCall(name="recall", arguments={"query": " doors "})) == "doors"
    assert asked(ToolCall(name="recall", arguments={})) == asked(ToolCall(name="recall", arguments={"query": 3})) == ""
    assert asked(ToolCall(name="move", arguments={"query": "doors"})) is asked(None) is None


def test_an_occasion_names_all_that_had_a_draw() -> None:
    places = [("shown", 0.5, True), ("held out", 0.5, False), ("no place", 0.0, False)]
    ranked = tuple(Candidate(item_id=key, score=1, propensity=p, shown=shown) for key, p, shown in places)
    first = Recall(
        id="r", trajectory_id="t", query="", ranker="", bank_version=1, release_id="", eligible=3, ranked=ranked
    )
    assert occasion(Moment.TOOL, 4, [first, first], "why") == Occasion(
        moment=Moment.TOOL, step=4, number=2, query="why", past=("shown", "held out")
    )
    assert not Moments(Moment.STUCK, most=1).left(Moment.STUCK, [first]) and not Moments().left(Moment.TOOL, [])


def test_history_tells_where_memory_was_asked() -> None:
    steps = [step_of("a", "x", "b"), step_of("b", "y", "c")]
    assert history(steps, [(0, "p"), (1, "q"), (1, "r"), (2, "s")]) == ["p", "x", "q", "r", "y", "s"]
    assert history(steps, []) == ["x", "y"]


async def play(
    model: Model, request: EpisodeRequest, moments: Moments, **parts: Any
) -> tuple[list[str], AgentState, InOrder]:
    index = InOrder()
    settings = RecallSettings(when=moments.when, **parts.pop("settings", {}))
    recaller = parts.pop("recaller", SnapshotRecaller(BANK, index, settings))
    context = EpisodeContext(
        request, parts.pop("environment", None) or Corridor(), model, JUDGE, recaller, moments=moments
    )
    nodes: list[str] = []
    state: AgentState = {}
    async for mode, part in compiled().astream(
        {"steps": []}, {"recursion_limit": 100}, context=context, stream_mode=["updates", "values"]
    ):
        if mode == "updates":
            nodes += part
        else:
            state = part
    return nodes, state, index


def told(request: ModelRequest) -> list[str | None]:
    return [span.item_id for message in request.messages for span in message.spans if span.kind is SpanKind.MEMORY]


def caller(*acts: ToolCall) -> ScriptedModel:
    return ScriptedModel([ModelReply(text="", tool_calls=(act,)) for act in acts])


def ask(query: str) -> ToolCall:
    return ToolCall(name="recall", arguments={"query": query}, id="ask")


async def test_the_agent_asks_when_it_wants_to() -> None:
    right, opens = moving("right", "open")
    model = caller(ask("which way"), right, ask("what now"), ask("and then"), opens)
    moments = Moments(Moment.TOOL)
    nodes, state, index = await play(model, walk(1, memory=MemoryMode.FROZEN), moments)
    asking = ["act", "remember"]
    assert nodes == ["begin", "recall", *asking, "act", "step", *asking, *asking, "act", "step", "judge", "distil"]
    assert state["trajectory"].success and len(state["trajectory"].steps) == 2
    assert index.queries == ["which way", "what now", "and then"]
    recalls = [state["recall"], *state["later"]]
    assert [(one.number, one.step, one.moment) for one in recalls if one] == [
        (0, 0, Moment.TOOL), (1, 1, Moment.TOOL), (2, 1, Moment.TOOL),
    ]  # fmt: skip
    assert len({one.id for one in recalls if one}) == 3
    assert [one.shown for one in recalls if one] == [(one.id,) for one in ITEMS]  # each is told once
    assert [len(told(request)) for request in model.requests] == [0, 1, 1, 2, 3]
    offered = [RECALL_TOOL in request.tools for request in model.requests]
    assert offered == [True, True, True, True, False]  # `most` is 3
    assert "1. recall(query='which way') (advice came)\n2. move(to='right')" in model.requests[2].messages[-1].text
    first, second = state["trajectory"].steps
    assert [call.id for call in first.calls] == ["traj-1/0", "traj-1/0.1"]
    assert [call.parent_id for call in second.calls] == [None, "traj-1/1", "traj-1/1.1"]


async def test_an_agent_is_told_where_memory_has_nothing() -> None:
    model = caller(ask("x"), *moving("open"))
    _, state, _ = await play(model, walk(0, memory=MemoryMode.FROZEN), Moments(Moment.TOOL), settings={"floor": 0.95})
    assert state["recall"] is not None and state["recall"].shown == ()
    assert "recall(query='x') (memory has nothing on that)" in model.requests[1].messages[-1].text


async def test_without_memory_there_is_no_tool_for_it() -> None:
    model = caller(*moving("open"))
    nodes, state, _ = await play(model, walk(0), Moments(Moment.TOOL), recaller=None)
    assert model.requests[0].tools == (TOOL,) and state["recall"] is None and "remember" not in nodes


@pytest.mark.parametrize(
    ("model", "environment", "why"),
    [
        (UniformModel(), Corridor(), "uniform calls no tools"),
        (ScriptedModel([], capabilities=[Capability.CHAT]), Corridor(), "scripted calls no tools"),
        (ScriptedModel([]), Corridor(tools=False), "the environment offers no tools"),
    ],
)
async def test_a_tool_that_nobody_could_call_is_refused(model: Model, environment: Corridor, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        await play(model, walk(0, memory=MemoryMode.FROZEN), Moments(Moment.TOOL), environment=environment)


async def test_a_tool_of_the_same_name_is_refused() -> None:
    class Own(Corridor):
        def _seen(self) -> Observation:
            return super()._seen().model_copy(update={"tools": (ToolSpec(name="recall", description=""),)})

    with pytest.raises(SettingsError, match="of its own"):
        await play(ScriptedModel([]), walk(0, memory=MemoryMode.FROZEN), Moments(Moment.TOOL), environment=Own())


async def test_memory_is_asked_when_the_same_action_fails_again() -> None:
    # "knock" changes nothing; a caller may repeat it, and does.
    model = caller(*moving("knock", "knock", "right", "knock", "knock", "open"))
    nodes, state, index = await play(model, walk(1, memory=MemoryMode.FROZEN), Moments(Moment.STUCK))
    steps = ["act", "step"]
    assert nodes == [
        "begin", "recall", *steps * 2, "remember", *steps * 3, "remember", *steps, "judge", "distil"
    ]  # fmt: skip
    assert [len(told(request)) for request in model.requests] == [0, 0, 1, 1, 1, 2]
    assert index.queries == ["Open door 1. move(to='knock')"] * 2
    assert state["recall"] is not None
    assert [(one.number, one.step) for one in (state["recall"], *state["later"])] == [(0, 2), (1, 5)]
    assert all(len(step.calls) == 1 for step in state["trajectory"].steps)


async def test_an_episode_that_is_never_stuck_asks_nothing() -> None:
    nodes, state, index = await play(
        caller(*moving("knock", "right", "open")), walk(1, memory=MemoryMode.FROZEN), Moments(Moment.STUCK)
    )
    assert (state["recall"], state.get("later", []), index.queries) == (None, [], []) and "remember" not in nodes


def sure(request: ModelRequest) -> ModelReply:
    """Does not know the way until it is told."""
    best = "right" if told(request) else "left"
    first, second = (0.4, 0.35) if not told(request) else (0.9, 0.05)
    shares = [first if one == best else second if one == "knock" else 0.01 for one in request.options]
    choice = Choice(logprobs=tuple(math.log(share) for share in shares), index=request.options.index(best))
    return ModelReply(text=best, choice=choice)


async def test_a_weak_draft_asks_and_is_made_anew() -> None:
    model = ScriptedModel(sure, capabilities=[Capability.CHOICE])
    nodes, state, index = await play(model, walk(4, memory=MemoryMode.FROZEN, max_steps=2), Moments(Moment.WEAK))
    assert nodes == ["begin", "recall", "act", "remember", "act", "step", "act", "step", "judge", "distil"]
    first, second = state["trajectory"].steps
    assert [call.reply.text for call in first.calls] == ["left", "right"] and first.action.text == "right"
    assert first.calls[1].parent_id == first.calls[0].id != first.calls[1].id
    assert len(second.calls) == 1  # by then it is sure
    assert index.queries == ["Open door 4."]


async def test_a_weak_draft_stands_where_memory_has_nothing() -> None:
    model = ScriptedModel(sure, capabilities=[Capability.CHOICE])
    nodes, state, _ = await play(
        model,
        walk(4, memory=MemoryMode.FROZEN, max_steps=1),
        Moments(Moment.WEAK),
        settings={"floor": 0.95},
    )
    assert nodes == ["begin", "recall", "act", "remember", "step", "judge", "distil"]
    assert [call.reply.text for call in state["trajectory"].steps[0].calls] == ["left"] and len(model.requests) == 1


async def test_a_model_that_does_not_say_how_sure_it_is_is_refused() -> None:
    model = ScriptedModel(["left"], capabilities=[Capability.CHOICE])
    with pytest.raises(SettingsError, match="scripted does not say how sure"):
        await play(model, walk(0, memory=MemoryMode.FROZEN), Moments(Moment.WEAK))


async def test_episodes_come_back_with_all_their_recalls() -> None:
    settings = RecallSettings(when=Moment.WEAK, most=2, propensity=0.5, arm_propensity=0.7)
    requests = [
        walk(4, memory=MemoryMode.RANDOMISED, max_steps=6, attempt=n, trajectory_id=f"traj-{n}") for n in range(30)
    ]
    rollouts = LocalRollouts(
        Corridors(),
        UniformModel(),
        JUDGE,
        recaller=SnapshotRecaller(BANK, InOrder(), settings),
        moments=Moments.of(settings),
    )
    several = off = 0
    async for episode in rollouts.run(requests):
        assert episode.recall is not None  # a policy that knows nothing is never sure
        recalls = (episode.recall, *episode.later_recalls)
        assert len({one.id for one in recalls}) == len(recalls) <= 2
        assert [one.number for one in recalls] == list(range(len(recalls)))
        assert len({one.arm for one in recalls}) == 1  # an episode is with memory or without
        had = [one.item_id for recall in recalls for one in recall.ranked if one.propensity]
        assert len(had) == len(set(had))
        several += len(recalls) == 2
        off += recalls[0].arm == "off" and not any(recall.shown for recall in recalls)
    assert several > 15 and off > 2
