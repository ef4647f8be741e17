"""Trajectories as the local engine leaves them, with tokens, for tests of what trains on them."""

from collections.abc import Sequence

from tests.support.tiny import asking
from wisen.core.records import (
    Action,
    Choice,
    EpisodeEnd,
    ModelCall,
    ModelReply,
    ModelRequest,
    Observation,
    Phase,
    SampledTokens,
    Split,
    Step,
    StepResult,
    Task,
    Trajectory,
)
from wisen.models.tokens import Codec


def played(
    codec: Codec,
    moves: Sequence[tuple[ModelRequest, int]],
    *,
    success: bool | None = True,
    template: str = "click-one",
    number: int = 0,
) -> Trajectory:
    """An episode in which each request was answered by its option of that index."""
    steps = [_step(codec, index, request, choice) for index, (request, choice) in enumerate(moves)]
    task = Task(
        id=f"{template}-{number}",
        suite="made-up",
        environment="made-up",
        template_id=template,
        split=Split.LEARN,
        seed=number,
    )
    return Trajectory(
        id=f"traj-{template}-{number}",
        run_id="run-1",
        task=task,
        phase=Phase.COLLECT,
        release_id="rel-1",
        attempt=0,
        arm="",
        instruction="",
        steps=tuple(steps),
        end=EpisodeEnd.TERMINATED,
        reward=1.0,
        success=success,
    )


def clicking(name: str, others: Sequence[str], *, memory: str = "") -> tuple[ModelRequest, int]:
    """A page of buttons, a task that names one, and the index of its option."""
    names = [*others, name]
    page = "\n".join(f'button "{label}"' for label in names)
    options = [f'click button "{label}"' for label in names]
    return asking(f'Click on the "{name}" button.', options, page=page, memory=memory), len(names) - 1


def _step(codec: Codec, index: int, request: ModelRequest, choice: int) -> Step:
    prompt, ranges = codec.prompt(request.messages)
    sampled, allowed = codec.answer(request.options, choice)
    tokens = SampledTokens(
        prompt_ids=prompt,
        span_ranges=ranges,
        sampled_ids=sampled,
        logprobs=(0.0,) * len(sampled),
        allowed=allowed,
    )
    even = (0.0,) * len(request.options)
    text = request.options[choice]
    reply = ModelReply(text=text, choice=Choice(logprobs=even, index=choice), tokens=tokens)
    seen = Observation(instruction="", text="")
    return Step(
        index=index,
        observation=seen,
        calls=(ModelCall(id=f"call-{index}", model="tiny", request=request, reply=reply),),
        action=Action(text=text),
        result=StepResult(observation=seen),
    )
