"""Learning to turn back: bad steps as context, then the good ones (Agent-R, Yuan et al. 2025, arXiv 2501.11425)."""

from typing import ClassVar, Literal

from pydantic import Field

from wisen.trainers.algorithms.base import Algorithm, drawn
from wisen.trainers.data import Dataset
from wisen.trainers.dataset import Row, deduplicated
from wisen.trainers.views import pairs, splice, spliced_rows


class AgentR(Algorithm):
    """-log pi of a success's decisions behind a failed attempt at the same task that parted from it: the failed
    decisions, up to the first that the actor itself doubted, stand in the history and carry no loss.

    state "restored" takes every such pair, as where a reset or a snapshot brings the state back; "seen" only those
    where the failed attempt came back to it by itself. per_task: splices of one task at most. good: the successes
    themselves are learned as well, as the paper found to be needed.
    """

    name: ClassVar[str] = "agent-r"
    attempts: ClassVar[int] = 2
    lacking: ClassVar[str] = "no task was both solved and failed, from a common beginning"

    rate: float = Field(1.0, gt=0)
    epochs: int = Field(10, ge=1)
    gap: float = Field(0.5, gt=0)
    per_task: int = Field(4, ge=1)
    state: Literal["restored", "seen"] = "restored"
    good: bool = True

    def rows(self, dataset: Dataset) -> list[Row]:
        codec = dataset.require_codec(self.name)
        rows: list[Row] = []
        for task, attempts in dataset.attempts.items():
            cuts = (splice(bad, good) for good, bad in pairs(attempts, dataset.worth, gap=self.gap))
            found = [cut for cut in cuts if cut is not None and (self.state == "restored" or cut.returned)]
            for cut in drawn(found, self.per_task, dataset.seed, "splices", task):
                rows += spliced_rows(cut, dataset.rows(cut.good_attempt), codec)
        if not rows:
            return []
        if self.good:
            rows += [row for one in dataset.trajectories if dataset.worth(one) >= 1 for row in dataset.rows(one)]
        return deduplicated(dataset.shaped(rows))
