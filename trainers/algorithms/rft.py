"""Rejection-sampling fine-tuning: the loss on the policy's own successful decisions (Yuan et al. 2023,
arXiv 2308.01825; STaR, Zelikman et al. 2022, arXiv 2203.14465)."""

from typing import ClassVar

from pydantic import Field

from wisen.trainers.algorithms.base import Algorithm
from wisen.trainers.data import Dataset
from wisen.trainers.dataset import Row, capped, deduplicated, muted


class RFT(Algorithm):
    """-log pi of the decisions of attempts worth at least `threshold`, each decision once.

    per_task: rows of one task at most (0: as many as there are). solved: also of tasks whose every attempt succeeded.
    bad_steps: what an environment refused stays in the context of later decisions without being learned (STeP,
    arXiv 2505.20023; Re-ReST, arXiv 2406.01495); with True it is learned too.
    """

    name: ClassVar[str] = "rft"
    imitates: ClassVar[bool] = True

    rate: float = Field(1.0, gt=0)
    epochs: int = Field(1_000, ge=1)
    threshold: float = 1.0
    per_task: int = Field(0, ge=0)
    solved: bool = True
    bad_steps: bool = True

    def rows(self, dataset: Dataset) -> list[Row]:
        rows: list[Row] = []
        for one in dataset.trajectories:
            if dataset.worth(one) < self.threshold or not (self.solved or self._open(dataset, one.task.id)):
                continue
            refused = {step.index for step in one.steps if step.result.info.get("refused")}
            made = dataset.rows(one)
            if not self.bad_steps:
                made = [muted(row) if row.step in refused else row for row in made]
            rows += made
        rows = deduplicated(dataset.shaped(rows))
        return capped(rows, self.per_task, lambda row: row.task_id, seed=dataset.seed) if self.per_task else rows

    def _open(self, dataset: Dataset, task_id: str) -> bool:
        """Whether an attempt at the task fell short."""
        return any(dataset.worth(one) < self.threshold for one in dataset.attempts[task_id])
