from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.corridor import Corridor, moving, walk
from tests.support.talker import build_talker
from wisen.agent.checking import CHECK_NOTE
from wisen.agent.graph import AgentState, EpisodeContext, closed, compiled, line, without_effect
from wisen.agent.judge import choose_judge
from wisen.core.errors import ModelFault, SettingsError, UnreadableReply
from wisen.core.protocols import Capability, Environment, Model
from wisen.core.records import (
    Action,
    EpisodeEnd,
    EpisodeRequest,
    MemoryItem,
    ModelReply,
    ModelRequest,
    Observation,
    Recall,
    SpanKind,
    Step,
    StepResult,
    Trajectory,
    Verdict,
)
from wisen.memory.distillers.extractive import Extractive
from wisen.models.local import LocalModel
from wisen.models.scripted import Scripted, ScriptedModel
from wisen.models.uniform import UniformModel

ITEM = MemoryItem(id="mem-1", kind="strategy", title="Doors", when_to_use="a corridor", content="Walk right.")


class OneItem:
    """A recaller that always finds the same, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def recall(self, request: EpisodeRequest, observation: Observation) -> tuple[Recall, Sequence[MemoryItem]]:
        self.asked.append((request.trajectory_id, observation.text))
        found = Recall(
            id="recall-1",
            trajectory_id=request.trajectory_id,
            query=observation.instruction,
            ranker="fixed",
            bank_version=1,
            release_id=request.release.id,
            eligible=1,
            ranked=(),
        )
        return found, [ITEM]


class Watched:
    """The extractive distiller, and how often it was asked."""

    name = "extractive"

    def __init__(self) -> None:
        self.attempts: list[tuple[Trajectory, Verdict]] = []

    async def distil(self, attempts: Sequence[tuple[Trajectory, Verdict]]) -> tuple[MemoryItem, ...]:
        self.attempts += attempts
        return await Extractive().distil(attempts)


def chooser(*moves: str) -> ScriptedModel:
    return ScriptedModel(moves, capabilities=[Capability.CHOICE])


def caller(*moves: str) -> ScriptedModel:
    return ScriptedModel([ModelReply(text="", tool_calls=(call,)) for call in moving(*moves)])


async def play(model: Model, request: EpisodeRequest, **parts: Any) -> tuple[list[str], AgentState]:
    """(names of the nodes in the order in which they ran, the state at the end)."""
    environment: Environment = parts.pop("environment", None) or Corridor()
    context = EpisodeContext(request, environment, model, choose_judge(environment_decides=True), **parts)
    nodes: list[str] = []
    state: AgentState = {}
    config = {"recursion_limit": 100}
    async for mode, part in compiled().astream(
        {"steps": []}, config, context=context, stream_mode=["updates", "values"]
    ):
        if mode == "updates":
            nodes += part
        else:
            state = part
    return nodes, state


async def test_the_nodes_run_in_order_and_the_episode_is_recorded() -> None:
    nodes, state = await play(chooser("right", "right", "open"), walk(2))
    assert nodes == ["begin", "recall", *["act", "step"] * 3, "judge", "distil"]
    trajectory = state["trajectory"]
    assert trajectory.end is EpisodeEnd.TERMINATED
    assert trajectory.success is True
    assert trajectory.reward == 0.75
    assert trajectory.instruction == "Open door 2."
    assert [step.index for step in trajectory.steps] == [0, 1, 2]
    assert [step.action.text for step in trajectory.steps] == ["right", "right", "open"]
    assert [step.observation.text[-2] for step in trajectory.steps] == ["0", "1", "2"]
    for step, after in zip(trajectory.steps, trajectory.steps[1:], strict=False):
        assert step.result.observation == after.observation
    assert trajectory.final == trajectory.steps[-1].result.observation
    assert [step.calls[0].id for step in trajectory.steps] == ["traj-2/0", "traj-2/1", "traj-2/2"]
    assert state["verdict"].success
    assert (state["recall"], state["proposals"]) == (None, ())


async def test_what_was_asked_for_is_in_the_record() -> None:
    _, state = await play(chooser("open"), walk(1, attempt=3, arm="memory"))
    trajectory = state["trajectory"]
    assert (trajectory.id, trajectory.run_id, trajectory.release_id) == ("traj-1", "run-1", "rel-1")
    assert (trajectory.attempt, trajectory.arm, trajectory.task.seed) == (3, "memory", 1)
    assert trajectory.success is False
    assert not state["verdict"].success


async def test_an_action_without_effect_is_not_offered_again_where_it_had_none() -> None:
    model = chooser("knock", "left", "right", "left", "right", "open")
    await play(model, walk(1))
    assert [request.options for request in model.requests] == [
        ("left", "right", "open", "knock"),
        ("left", "right", "open"),  # at door 0 still
        ("right", "open"),
        ("left", "right", "open", "knock"),  # at door 1 nothing was tried
        ("right", "open"),  # at door 0 again: it is remembered
        ("left", "right", "open", "knock"),  # what had an effect is offered again
    ]


async def test_when_nothing_is_left_to_try_the_episode_ends_as_repeated() -> None:
    class Walled(Corridor):
        async def step(self, action: Action) -> StepResult:
            return StepResult(observation=self._seen())

    model = chooser("knock", "left", "right", "open")
    nodes, state = await play(model, walk(1, max_steps=20), environment=Walled())
    trajectory = state["trajectory"]
    assert trajectory.end is EpisodeEnd.REPEATED
    assert trajectory.success is False
    assert len(trajectory.steps) == 4
    assert nodes[-3:] == ["act", "judge", "distil"]
    assert not state["verdict"].success


async def test_the_limit_of_steps_ends_an_episode() -> None:
    _, state = await play(chooser(*["right", "left"] * 3), walk(1, max_steps=5))
    trajectory = state["trajectory"]
    assert (trajectory.end, trajectory.success, len(trajectory.steps)) == (EpisodeEnd.STEP_LIMIT, False, 5)
    _, state = await play(chooser(*["right"] * 4, "open"), walk(4, max_steps=5))
    assert (state["trajectory"].end, state["trajectory"].success) == (EpisodeEnd.TERMINATED, True)


async def test_the_policy_is_asked_as_the_request_says_and_each_step_with_its_own_seed() -> None:
    models = [chooser("right", "open"), chooser("right", "open"), chooser("right", "open")]
    for model, seed in zip(models, (7, 7, 8), strict=True):
        await play(model, walk(1, temperature=0.5, explore=0.25, seed=seed))
    asked, again, other = ([request.seed for request in model.requests] for model in models)
    assert asked == again
    assert not set(asked) & set(other)
    assert len(set(asked)) == 2
    assert {(request.temperature, request.explore) for request in models[0].requests} == {(0.5, 0.25)}


async def test_a_model_with_tools_gets_them_and_no_list_of_actions() -> None:
    model = caller("right", "open")
    _, state = await play(model, walk(1))
    assert state["trajectory"].success is True
    assert [str(step.action) for step in state["trajectory"].steps] == ["move(to='right')", "move(to='open')"]
    assert all([tool.name for tool in request.tools] == ["move"] for request in model.requests)
    assert all(request.options == () for request in model.requests)
    assert "1. move(to='right')" in model.requests[1].messages[-1].text


async def test_a_model_that_only_writes_is_read_by_the_line_that_is_an_action() -> None:
    def answer(request: ModelRequest) -> Scripted:
        assert not request.tools
        assert "Possible actions:\nleft\nright\nopen\nknock" in request.messages[-1].text
        return "I go on.\n\n`right`\nThat is all." if "at door 0" in request.messages[-1].text else "open"

    model = ScriptedModel(answer, capabilities=[Capability.CHAT])
    _, state = await play(model, walk(1))
    assert [step.action.text for step in state["trajectory"].steps] == ["right", "open"]


async def test_words_that_are_no_action_go_to_the_environment_and_its_note_into_the_history() -> None:
    model = ScriptedModel(["fly away", "open"], capabilities=[Capability.CHAT])
    await play(model, walk(0))
    assert "1. fly away (there is no fly away)" in model.requests[1].messages[-1].text


@pytest.mark.parametrize("nonsense", [" \n ", UnreadableReply("half a call", wrote='move({"to": ')])
async def test_a_model_that_answers_nothing_useful_wastes_a_step(nonsense: str | Exception) -> None:
    _, end = await play(ScriptedModel([nonsense, "open"], capabilities=[Capability.CHAT]), walk(0))
    wasted, last = end["steps"]
    assert wasted.result.info["note"] and not wasted.result.terminated
    assert last.result.success and end["trajectory"].success


async def test_a_model_that_chooses_needs_actions_to_choose_from() -> None:
    class Wordless(Corridor):
        def _seen(self) -> Observation:
            return super()._seen().model_copy(update={"actions": ()})

    with pytest.raises(ModelFault, match="none is listed"):
        await play(UniformModel(), walk(0), environment=Wordless())


async def test_a_local_model_that_chooses_and_writes_does_what_the_place_allows(tmp_path: Path) -> None:
    """Where actions are listed it chooses among them, where none are it writes: nonsense here, and kept token by
    token."""

    class Wordless(Corridor):
        def _seen(self) -> Observation:
            return super()._seen().model_copy(update={"actions": ()})

    model = LocalModel.load(build_talker(tmp_path / "weights", context=8192), name="talker", threads=1)
    assert {Capability.CHOICE, Capability.CHAT} <= model.capabilities
    try:
        _, chosen = await play(model, walk(0))
        _, wrote = await play(model, walk(0).model_copy(update={"max_steps": 1}), environment=Wordless())
    finally:
        await model.close()
    for step in (*chosen["steps"], *wrote["steps"]):
        (call,) = step.calls
        assert call.reply.tokens and call.reply.tokens.span_ranges
        assert bool(call.request.options) is bool(step.observation.actions)
    (step,) = wrote["steps"]
    assert step.action.text and step.result.info["note"]


async def test_where_no_actions_are_listed_the_whole_reply_is_the_action() -> None:
    class Wordless(Corridor):
        def _seen(self) -> Observation:
            return super()._seen().model_copy(update={"actions": ()})

    said = ScriptedModel(["write down\n\n  all of this\n", "open"], capabilities=[Capability.CHAT])
    _, end = await play(said, walk(0), environment=Wordless())
    assert [step.action.text for step in end["steps"]] == ["write down\n\n  all of this", "open"]


async def test_memory_is_asked_once_and_shown_at_each_step() -> None:
    recaller, model = OneItem(), chooser("right", "open")
    _, state = await play(model, walk(1), recaller=recaller)
    assert recaller.asked == [("traj-1", "You are at door 0.")]
    assert state["recall"] is not None
    assert state["recall"].id == "recall-1"
    for request in model.requests:
        shown = [span for span in request.messages[0].spans if span.kind is SpanKind.MEMORY]
        assert [span.item_id for span in shown] == ["mem-1"]
        assert "Walk right." in shown[0].text


async def test_distilling_happens_only_when_asked_for() -> None:
    distiller = Watched()
    _, state = await play(chooser("right", "open"), walk(1), distiller=distiller)
    assert (state["proposals"], distiller.attempts) == ((), [])
    _, state = await play(chooser("right", "open"), walk(1, distil=True), distiller=distiller)
    assert distiller.attempts == [(state["trajectory"], state["verdict"])]
    assert len(state["proposals"]) > 0
    assert all(item.evidence == ("traj-1",) for item in state["proposals"])
    _, state = await play(chooser("open"), walk(1, distil=True))
    assert state["proposals"] == ()


def step_of(before: str, action: str, after: str, **result: Any) -> Step:
    seen, next_seen = (Observation(instruction="", text=text) for text in (before, after))
    taken = StepResult(observation=next_seen, **result)
    return Step(index=0, observation=seen, calls=(), action=Action(text=action), result=taken)


def test_no_effect_means_this_very_observation_unchanged() -> None:
    steps = [step_of("a", "x", "a"), step_of("a", "y", "b"), step_of("b", "z", "b"), step_of("b", "w", "a")]
    assert without_effect(steps, Observation(instruction="", text="a")) == {"x"}
    assert without_effect(steps, Observation(instruction="", text="b")) == {"z"}
    assert without_effect(steps, Observation(instruction="", text="c")) == frozenset()


def test_a_line_of_history_carries_the_note() -> None:
    assert line(step_of("a", "click x", "b")) == "click x"
    assert line(step_of("a", "click x", "a", info={"note": "it is covered"})) == "click x (it is covered)"


@pytest.mark.parametrize("end", list(EpisodeEnd))
@pytest.mark.parametrize("said", [True, False, None])
def test_only_what_the_environment_ended_can_have_succeeded(end: EpisodeEnd, said: bool | None) -> None:
    steps = [step_of("a", "x", "b", terminated=True, success=said, reward=0.5), step_of("b", "x", "b", reward=0.25)]
    last_decides = closed(walk(0), steps[:1], end, None)
    assert last_decides.success is (said if end is EpisodeEnd.TERMINATED else False)
    assert closed(walk(0), steps, end, None).reward == 0.75


def test_an_episode_without_a_step_failed() -> None:
    trajectory = closed(walk(0), [], EpisodeEnd.FAILED, None, error="no page")
    assert (trajectory.success, trajectory.error, trajectory.steps) == (False, "no page", ())


class Stoppable(Corridor):
    """A corridor in which to open a door is to say that one is done."""

    finishing = frozenset({"open"})

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[str] = []

    async def step(self, action: Action) -> StepResult:
        self.taken.append(str(action))
        return await super().step(action)


async def test_an_agent_that_means_to_stop_is_sent_back_to_check_its_work() -> None:
    place, model = Stoppable(), chooser("right", "open", "right", "open", "left", "open")
    nodes, state = await play(model, walk(1, checks=2), environment=place)
    assert nodes.count("check") == 2
    assert place.taken == ["right", "right", "left", "open"]  # the first two times it was not done
    trajectory = state["trajectory"]
    assert trajectory.success and len(trajectory.steps) == 4
    assert [len(taken.calls) for taken in trajectory.steps] == [1, 2, 2, 1]
    assert trajectory.steps[1].calls[0].reply.text == "open"
    assert len({call.id for taken in trajectory.steps for call in taken.calls}) == 6
    assert CHECK_NOTE not in model.requests[1].messages[0].text
    for request, times in zip(model.requests[2:], (1, 1, 2, 2), strict=True):
        assert request.messages[0].text.count(f"open ({CHECK_NOTE})") == times


async def test_an_agent_that_stops_again_at_once_has_done_it_once() -> None:
    place = Stoppable()
    nodes, state = await play(chooser("open", "open", "open"), walk(0, checks=2), environment=place)
    assert (nodes.count("check"), place.taken, len(state["trajectory"].steps)) == (2, ["open"], 1)
    place = Stoppable()
    nodes, _ = await play(chooser("open"), walk(0), environment=place)
    assert (nodes.count("check"), place.taken) == (0, ["open"])


async def test_where_the_agent_cannot_say_that_it_is_done_checks_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"episode\.checks"):
        await play(chooser("open"), walk(0, checks=1), environment=Corridor())
