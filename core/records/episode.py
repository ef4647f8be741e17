"""What a rollout is asked for and what it brings back."""

from enum import StrEnum

from wisen.core.records.base import Record
from wisen.core.records.memory import MemoryItem, Recall
from wisen.core.records.release import Release
from wisen.core.records.task import Task
from wisen.core.records.trajectory import Phase, Trajectory, Verdict


class MemoryMode(StrEnum):
    OFF = "off"
    FROZEN = "frozen"  # gate and report: every item that ranks is shown, nothing is held out
    RANDOMISED = "randomised"  # collection: items and whole episodes are held out with logged propensities


class EpisodeRequest(Record):
    """Everything that determines an episode: with a local model, equal requests give equal trajectories."""

    trajectory_id: str
    run_id: str
    task: Task
    phase: Phase
    release: Release
    attempt: int = 0
    arm: str = ""  # a label for reports: which comparison this episode belongs to
    memory: MemoryMode = MemoryMode.OFF
    temperature: float = 0.0
    explore: float = 0.0
    max_steps: int = 12
    max_seconds: float = 60.0
    checks: int = 0  # how often an agent that means to stop is sent back to check its work
    seed: int = 0
    distil: bool = False
    screenshots: bool = False


class Episode(Record):
    """A finished episode. The store takes it in one transaction: all of it is visible, or nothing."""

    trajectory: Trajectory
    verdicts: tuple[Verdict, ...] = ()
    recall: Recall | None = None  # the first; of one that asked its memory again, the others follow
    later_recalls: tuple[Recall, ...] = ()
    proposals: tuple[MemoryItem, ...] = ()
    seconds: float = 0.0
