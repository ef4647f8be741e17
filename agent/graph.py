"""The agent as a compiled LangGraph graph:

    begin -> recall -> act <-> step -> judge -> distil

Where memory is asked later than at the start (see `agent.moments`), `remember` stands between act and step, or between
step and act. Where an agent that means to stop is to check its work (see `agent.checking`), `check` stands after act
and leads back to it.

Its state is small and made of records; what an episode holds on to (environment, model, memory) travels in LangGraph's
runtime context, so that one compiled graph serves any number of concurrent episodes.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Protocol, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from wisen.agent.checking import CHECK_NOTE, require_finishing, stops
from wisen.agent.moments import AT_THE_START, Moments, asked, occasion, stuck, weak
from wisen.agent.policy import decide, require_tools
from wisen.core.prompts import history_line
from wisen.core.protocols import Distiller, Environment, Judgement, Model
from wisen.core.records import (
    Action,
    EpisodeEnd,
    EpisodeRequest,
    MemoryItem,
    ModelCall,
    Moment,
    Observation,
    Occasion,
    Recall,
    Step,
    Trajectory,
    Verdict,
)

FIRST = Occasion()


class Recaller(Protocol):
    """Finds what memory has to say before an episode begins, or on a later occasion within it."""

    async def recall(
        self, request: EpisodeRequest, observation: Observation, occasion: Occasion = FIRST
    ) -> tuple[Recall, Sequence[MemoryItem]]: ...


@dataclass(frozen=True)
class EpisodeContext:
    """The handles of one episode. `recaller` and `distiller` are optional: an agent without memory has neither."""

    request: EpisodeRequest
    environment: Environment
    model: Model
    judge: Judgement
    recaller: Recaller | None = None
    distiller: Distiller | None = None
    screenshots: Path | None = None
    moments: Moments = AT_THE_START


class AgentState(TypedDict, total=False):
    observation: Observation
    recall: Recall | None  # the episode's first
    later: Annotated[list[Recall], operator.add]
    items: Sequence[MemoryItem]  # all that was shown so far
    asking: Occasion | None  # memory is to be asked before anything else
    told: Annotated[list[tuple[int, str]], operator.add]  # (step before which, line) of what is no step
    decision: tuple[Action, ModelCall] | None
    drafts: Sequence[ModelCall]  # calls of this step that another one replaces
    checking: bool  # the decision is to stop, and the work is to be checked first
    checks: int  # how often it was
    steps: Annotated[list[Step], operator.add]
    end: EpisodeEnd
    trajectory: Trajectory
    verdict: Verdict
    proposals: Sequence[MemoryItem]


async def begin(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    context = runtime.context
    if context.request.checks:
        require_finishing(context.environment)
    observation = await context.environment.reset(context.request.task, screenshots=context.screenshots)
    return {"observation": observation}


async def recall(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    recaller = runtime.context.recaller
    if recaller is None or runtime.context.moments.when is not Moment.START:
        return {"recall": None, "items": ()}
    found, items = await recaller.recall(runtime.context.request, state["observation"])
    return {"recall": found, "items": items}


async def act(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    context, steps, drafts = runtime.context, state.get("steps", []), state.get("drafts", ())
    moments, recalls = context.moments, made(state)
    if context.recaller is not None and moments.when is Moment.TOOL:
        require_tools(context.model, state["observation"])
    by_tool = context.recaller is not None and moments.left(Moment.TOOL, recalls)
    decision = await decide(
        context.model,
        state["observation"],
        request=context.request,
        history=history(steps, state.get("told", [])),
        items=state["items"],
        tried=without_effect(steps, state["observation"]),
        step=len(steps),
        drafts=drafts,
        recall_tool=by_tool,
    )
    if decision is None:
        return {"decision": None, "end": EpisodeEnd.REPEATED}
    action, call = decision
    if state.get("checks", 0) < context.request.checks and stops(context.environment, action):
        return {"decision": decision, "asking": None, "checking": True}
    asking = None
    if by_tool and (query := asked(action.tool_call)) is not None:
        asking = occasion(Moment.TOOL, len(steps), recalls, query)
    elif context.recaller is not None and not drafts and moments.left(Moment.WEAK, recalls):
        asking = occasion(Moment.WEAK, len(steps), recalls) if weak(call, moments.margin) else None
    return {"decision": decision, "asking": asking}


async def remember(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    """Ask memory in the midst of an episode. A draft stands where memory has nothing to say to it; any other call
    that led here is asked anew."""
    recaller, asking = runtime.context.recaller, state["asking"]
    assert recaller is not None and asking is not None
    found, items = await recaller.recall(runtime.context.request, state["observation"], asking)
    update: AgentState = {"asking": None, "items": (*state["items"], *items)}
    if asking.number == 0:
        update["recall"] = found
    else:
        update["later"] = [found]
    if asking.moment is Moment.TOOL:
        note = "advice came" if items else "memory has nothing on that"
        update["told"] = [(asking.step, history_line(f"recall(query={asking.query!r})", note))]
    if asking.moment is Moment.STUCK:
        return update
    if asking.moment is Moment.TOOL or items:
        assert state["decision"] is not None
        update["drafts"] = (*state.get("drafts", ()), state["decision"][1])
        update["decision"] = None
    return update


async def check(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    """Send the agent back to its work. The action by which it meant to stop is told as one that was not done."""
    assert state["decision"] is not None
    action, call = state["decision"]
    return {
        "decision": None,
        "checking": False,
        "checks": state.get("checks", 0) + 1,
        "told": [(len(state.get("steps", [])), history_line(str(action), CHECK_NOTE))],
        "drafts": (*state.get("drafts", ()), call),
    }


async def step(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    assert state["decision"] is not None
    context = runtime.context
    action, call = state["decision"]
    number = len(state.get("steps", []))
    result = await context.environment.step(action)
    calls = (*state.get("drafts", ()), call)
    taken = Step(index=number, observation=state["observation"], calls=calls, action=action, result=result)
    update: AgentState = {"steps": [taken], "observation": result.observation, "decision": None, "drafts": ()}
    if result.terminated or result.truncated:
        update["end"] = EpisodeEnd.TERMINATED if result.terminated else EpisodeEnd.STEP_LIMIT
    elif number + 1 >= context.request.max_steps:
        update["end"] = EpisodeEnd.STEP_LIMIT
    elif context.recaller is not None and context.moments.left(Moment.STUCK, made(state)):
        recalls = made(state)
        since = recalls[-1].step if recalls else 0
        query = stuck([*state.get("steps", []), taken][since:], context.moments.patience)
        update["asking"] = None if query is None else occasion(Moment.STUCK, number + 1, recalls, query)
    return update


async def judge(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    trajectory = closed(runtime.context.request, state.get("steps", []), state["end"], state["observation"])
    return {"trajectory": trajectory, "verdict": await runtime.context.judge.judge(trajectory)}


async def distil(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    distiller = runtime.context.distiller
    if distiller is None or not runtime.context.request.distil:
        return {"proposals": ()}
    return {"proposals": await distiller.distil([(state["trajectory"], state["verdict"])])}


def closed(
    request: EpisodeRequest,
    steps: Sequence[Step],
    end: EpisodeEnd,
    final: Observation | None,
    error: str = "",
) -> Trajectory:
    """The immutable record of an episode. One that ended in any way but the environment's own did not succeed, whatever
    the environment said before it broke. None is left to a judge: the environment ended it without a word on that."""
    success = steps[-1].result.success if end is EpisodeEnd.TERMINATED else False
    return Trajectory(
        id=request.trajectory_id,
        run_id=request.run_id,
        task=request.task,
        phase=request.phase,
        release_id=request.release.id,
        attempt=request.attempt,
        arm=request.arm,
        instruction=final.instruction if final else request.task.instruction,
        steps=tuple(steps),
        end=end,
        reward=sum(taken.result.reward for taken in steps),
        success=success,
        error=error,
        final=final,
    )


def without_effect(steps: Sequence[Step], observation: Observation) -> frozenset[str]:
    """Actions that were taken on exactly this observation and left it as it was."""
    return frozenset(
        taken.action.text
        for taken in steps
        if taken.observation.text == observation.text == taken.result.observation.text
    )


def made(state: AgentState) -> list[Recall]:
    """The episode's recalls so far, in order."""
    first = state.get("recall")
    return [*([first] if first is not None else []), *state.get("later", [])]


def history(steps: Sequence[Step], told: Sequence[tuple[int, str]]) -> list[str]:
    """What was done so far, with what memory was asked in between."""
    lines = []
    for number in range(len(steps) + 1):
        lines += [said for before, said in told if before == number]
        lines += [line(taken) for taken in steps[number : number + 1]]
    return lines


def line(taken: Step) -> str:
    """A step as one line of history."""
    return history_line(str(taken.action), taken.result.info.get("note", ""))


@cache
def compiled() -> Any:
    """The graph, compiled once."""
    graph = StateGraph(AgentState, context_schema=EpisodeContext)
    for node in (begin, recall, act, remember, check, step, judge, distil):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "recall")
    graph.add_edge("recall", "act")
    graph.add_conditional_edges("act", _after_act, ["step", "remember", "check", "judge"])
    graph.add_edge("check", "act")
    graph.add_conditional_edges("remember", _after_remember, ["act", "step"])
    graph.add_conditional_edges("step", _after_step, ["act", "remember", "judge"])
    graph.add_edge("judge", "distil")
    graph.add_edge("distil", END)
    # Called from a node of another graph it would inherit that one's checkpointer, and no checkpoint revives a browser.
    return graph.compile(checkpointer=False)


def _after_act(state: AgentState) -> str:
    if "end" in state:
        return "judge"
    if state.get("checking"):
        return "check"
    return "remember" if state.get("asking") else "step"


def _after_remember(state: AgentState) -> str:
    return "step" if state.get("decision") else "act"


def _after_step(state: AgentState) -> str:
    if "end" in state:
        return "judge"
    return "remember" if state.get("asking") else "act"
