"""An episode played by an oracle. For tests and benchmarks only."""

from wisen.core.protocols import Environment, Oracle
from wisen.core.records import Observation, StepResult, Task

MOST_STEPS = 1_000


async def played_by(
    oracle: Oracle, environment: Environment, task: Task, *, most: int = MOST_STEPS
) -> tuple[Observation, list[StepResult]]:
    """(what was seen first, the steps). It ends with the episode, where the oracle knows no more, or after `most`."""
    first = seen = await environment.reset(task)
    steps: list[StepResult] = []
    while actions := oracle.solution(task, seen):
        for action in actions:
            steps.append(await environment.step(action))
            seen = steps[-1].observation
            if steps[-1].terminated or steps[-1].truncated or len(steps) >= most:
                return first, steps
    return first, steps
