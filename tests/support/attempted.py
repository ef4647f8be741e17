"""Attempts made of given tokens, for tests of what is trained on: every id, log-probability and span is the test's."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wisen.core.records import (
    JSON,
    Action,
    Choice,
    EpisodeEnd,
    Message,
    ModelCall,
    ModelReply,
    ModelRequest,
    Observation,
    Phase,
    Purpose,
    Role,
    SampledTokens,
    Span,
    SpanKind,
    Split,
    Step,
    StepResult,
    Task,
    Trajectory,
)


@dataclass(frozen=True)
class Move:
    """One decision. memory: the ids of a memory span, which stands first in the prompt."""

    prompt: Sequence[int]
    sampled: Sequence[int]
    logprobs: Sequence[float] = ()
    memory: Sequence[int] = ()
    allowed: Sequence[tuple[int, ...]] = ()
    explored: bool = False
    seen: str = "a page"
    action: str = "go"
    info: JSON = field(default_factory=dict)
    reward: float = 0.0


def attempted(
    moves: Sequence[Move],
    *,
    success: bool | None = True,
    task: str = "task-0",
    template: str = "family",
    release: str = "rel-1",
    number: int = 0,
) -> Trajectory:
    """An attempt at a task. What each step shows next is what the move after it has seen."""
    shown = [*(move.seen for move in moves[1:]), "the end"]
    steps = [_step(index, move, after) for index, (move, after) in enumerate(zip(moves, shown, strict=True))]
    if steps:
        last = steps[-1].result.model_copy(update={"terminated": True, "success": success})
        steps[-1] = steps[-1].model_copy(update={"result": last})
    return Trajectory(
        id=f"traj-{task}-{release}-{number}",
        run_id="run-1",
        task=Task(
            id=task, suite="made-up", environment="made-up", template_id=template, split=Split.LEARN, seed=number
        ),
        phase=Phase.COLLECT,
        release_id=release,
        attempt=number,
        arm="collect-1",
        instruction="Do it.",
        steps=tuple(steps),
        end=EpisodeEnd.TERMINATED,
        reward=sum(move.reward for move in moves),
        success=success,
    )


def _step(index: int, move: Move, after: str) -> Step:
    spans = [Span(kind=SpanKind.TASK, text="task")]
    ranges = [(len(move.memory), len(move.memory) + len(move.prompt))]
    if move.memory:
        spans.insert(0, Span(kind=SpanKind.MEMORY, text="memory", item_id="mem-1"))
        ranges.insert(0, (0, len(move.memory)))
    request = ModelRequest(
        purpose=Purpose.ACT, messages=(Message(role=Role.USER, spans=tuple(spans)),), options=("go", "stay")
    )
    tokens = SampledTokens(
        prompt_ids=(*move.memory, *move.prompt),
        span_ranges=tuple(ranges),
        sampled_ids=tuple(move.sampled),
        logprobs=tuple(move.logprobs) or (-0.5,) * len(move.sampled),
        allowed=tuple(move.allowed),
    )
    choice = Choice(logprobs=(-0.1, -2.3), index=0, explored=move.explored)
    reply = ModelReply(text=move.action, choice=choice, tokens=tokens)
    return Step(
        index=index,
        observation=Observation(instruction="Do it.", text=move.seen),
        calls=(ModelCall(id=f"call-{index}", model="tiny", request=request, reply=reply),),
        action=Action(text=move.action),
        result=StepResult(
            observation=Observation(instruction="Do it.", text=after), info=move.info, reward=move.reward
        ),
    )
