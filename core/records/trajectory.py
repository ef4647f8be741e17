"""One attempt at a task, and what was said of it afterwards."""

from enum import StrEnum

from wisen.core.records.base import Record
from wisen.core.records.calls import ModelCall, Usage
from wisen.core.records.task import Action, Observation, StepResult, Task


class Phase(StrEnum):
    """Why an episode was run. Only `COLLECT` episodes may teach anything."""

    COLLECT = "collect"
    GATE = "gate"
    REPORT = "report"


class EpisodeEnd(StrEnum):
    TERMINATED = "terminated"  # the environment ended it
    STEP_LIMIT = "step_limit"
    REPEATED = "repeated"  # the same action without effect, too often
    FAILED = "failed"  # the environment or the model broke: `error` says how


class Step(Record):
    """One decision: what was seen, which calls led to which action, what came of it."""

    index: int
    observation: Observation
    calls: tuple[ModelCall, ...]
    action: Action
    result: StepResult


class Trajectory(Record):
    """One attempt at a task. Immutable once closed; verdicts are added beside it, never into it.

    `id` derives from what was asked for (release, task, attempt, phase, arm), so that asking twice is one trajectory.
    `reward` is the sum of step rewards, as the environment gave them.
    """

    id: str
    run_id: str
    task: Task
    phase: Phase
    release_id: str
    attempt: int
    arm: str
    instruction: str
    steps: tuple[Step, ...]
    end: EpisodeEnd
    reward: float
    success: bool | None
    error: str = ""
    final: Observation | None = None

    @property
    def usage(self) -> Usage:
        return sum((call.reply.usage for step in self.steps for call in step.calls), Usage())


class VerdictSource(StrEnum):
    ENVIRONMENT = "environment"
    JUDGE = "judge"
    PERSON = "person"


class Verdict(Record):
    """Success or score of a trajectory, with its source. Append-only: a later one never replaces an earlier one."""

    trajectory_id: str
    source: VerdictSource
    success: bool
    score: float
    confidence: float = 1.0
    reason: str = ""
    author: str = ""


class Outcome(Record):
    """How an attempt went, without its steps. `success` is the newest verdict's, one by the environment before any
    other; where there is no verdict, whether the trajectory itself says so. `steps` counts decisions."""

    trajectory_id: str
    task_id: str
    template_id: str
    success: bool
    reward: float
    steps: int
    end: EpisodeEnd
    seconds: float
    arm: str
