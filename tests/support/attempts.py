"""Trajectories for tests that need one in a given shape."""

from collections.abc import Sequence

from wisen.core.ids import content_id
from wisen.core.records import (
    Action,
    EpisodeEnd,
    Message,
    ModelCall,
    ModelReply,
    ModelRequest,
    Observation,
    Phase,
    Purpose,
    Role,
    Span,
    SpanKind,
    Split,
    Step,
    StepResult,
    Task,
    Trajectory,
    Verdict,
    VerdictSource,
)

MEMORY = "A tip from the bank."


def attempt(
    moves: Sequence[tuple[str, str, str]],
    *,
    success: bool | None = None,
    reward: float = 0.0,
    end: EpisodeEnd = EpisodeEnd.TERMINATED,
    final: str = "the last page",
    number: int = 0,
    phase: Phase = Phase.COLLECT,
    error: str = "",
) -> Trajectory:
    """One attempt at "Order a box of tea"; `moves` are (observation, thought, action)."""
    task = Task(
        id="shop-order-1",
        suite="shop",
        environment="shop-page",
        template_id="shop-order",
        split=Split.LEARN,
        seed=1,
        instruction="Order a box of tea.",
    )
    seen = [*(observation for observation, _, _ in moves), final]
    steps = tuple(
        Step(
            index=index,
            observation=Observation(instruction=task.instruction, text=observation),
            calls=(_call(index, thought),),
            action=Action(text=action),
            result=StepResult(observation=Observation(instruction=task.instruction, text=seen[index + 1])),
        )
        for index, (observation, thought, action) in enumerate(moves)
    )
    return Trajectory(
        id=content_id("traj", task.id, number, phase),
        run_id="run-1",
        task=task,
        phase=phase,
        release_id="rel-1",
        attempt=number,
        arm="",
        instruction=task.instruction,
        steps=steps,
        end=end,
        reward=reward,
        success=success,
        error=error,
        final=Observation(instruction=task.instruction, text=final),
    )


def verdict(trajectory: Trajectory, success: bool, reason: str = "") -> Verdict:
    return Verdict(
        trajectory_id=trajectory.id,
        source=VerdictSource.ENVIRONMENT,
        success=success,
        score=float(success),
        reason=reason,
    )


def _call(index: int, thought: str) -> ModelCall:
    spans = (Span(kind=SpanKind.MEMORY, text=MEMORY, item_id="mem-1"),)
    return ModelCall(
        id=f"call-{index}",
        model="scripted",
        request=ModelRequest(purpose=Purpose.ACT, messages=(Message(role=Role.USER, spans=spans),)),
        reply=ModelReply(text=thought),
    )
