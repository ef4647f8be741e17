"""The agent as a compiled LangGraph graph:

    begin -> recall -> act <-> step -> judge -> distil

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

from wisen.agent.policy import decide
from wisen.core.prompts import history_line
from wisen.core.protocols import Distiller, Environment, Judgement, Model
from wisen.core.records import (
    Action,
    EpisodeEnd,
    EpisodeRequest,
    MemoryItem,
    ModelCall,
    Observation,
    Recall,
    Step,
    Trajectory,
    Verdict,
)


class Recaller(Protocol):
    """Finds what memory has to say before an episode begins."""

    async def recall(
        self, request: EpisodeRequest, observation: Observation
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


class AgentState(TypedDict, total=False):
    observation: Observation
    recall: Recall | None
    items: Sequence[MemoryItem]
    decision: tuple[Action, ModelCall] | None
    steps: Annotated[list[Step], operator.add]
    end: EpisodeEnd
    trajectory: Trajectory
    verdict: Verdict
    proposals: Sequence[MemoryItem]


async def begin(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    context = runtime.context
    observation = await context.environment.reset(context.request.task, screenshots=context.screenshots)
    return {"observation": observation}


async def recall(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    recaller = runtime.context.recaller
    if recaller is None:
        return {"recall": None, "items": ()}
    found, items = await recaller.recall(runtime.context.request, state["observation"])
    return {"recall": found, "items": items}


async def act(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    context, steps = runtime.context, state.get("steps", [])
    decision = await decide(
        context.model,
        state["observation"],
        request=context.request,
        history=[line(step) for step in steps],
        items=state["items"],
        tried=without_effect(steps, state["observation"]),
        step=len(steps),
    )
    return {"decision": decision} if decision else {"decision": None, "end": EpisodeEnd.REPEATED}


async def step(state: AgentState, runtime: Runtime[EpisodeContext]) -> AgentState:
    assert state["decision"] is not None
    action, call = state["decision"]
    number = len(state.get("steps", []))
    result = await runtime.context.environment.step(action)
    taken = Step(index=number, observation=state["observation"], calls=(call,), action=action, result=result)
    update: AgentState = {"steps": [taken], "observation": result.observation}
    if result.terminated or result.truncated:
        update["end"] = EpisodeEnd.TERMINATED if result.terminated else EpisodeEnd.STEP_LIMIT
    elif number + 1 >= runtime.context.request.max_steps:
        update["end"] = EpisodeEnd.STEP_LIMIT
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


def line(taken: Step) -> str:
    """A step as one line of history."""
    return history_line(str(taken.action), taken.result.info.get("note", ""))


@cache
def compiled() -> Any:
    """The graph, compiled once."""
    graph = StateGraph(AgentState, context_schema=EpisodeContext)
    for node in (begin, recall, act, step, judge, distil):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "begin")
    graph.add_edge("begin", "recall")
    graph.add_edge("recall", "act")
    graph.add_conditional_edges("act", _after_act, ["step", "judge"])
    graph.add_conditional_edges("step", _after_step, ["act", "judge"])
    graph.add_edge("judge", "distil")
    graph.add_edge("distil", END)
    # Called from a node of another graph it would inherit that one's checkpointer, and no checkpoint revives a browser.
    return graph.compile(checkpointer=False)


def _after_act(state: AgentState) -> str:
    return "judge" if "end" in state else "step"


def _after_step(state: AgentState) -> str:
    return "judge" if "end" in state else "act"
