"""Group-in-group policy optimisation: credit per step, from attempts that saw the same (Feng et al. 2025,
arXiv 2505.10978)."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import ClassVar

from pydantic import Field

from wisen.core.records import Step, Trajectory
from wisen.trainers.algorithms.base import needed_groups, played_rows
from wisen.trainers.algorithms.grpo import GRPO, POLICY, advantages
from wisen.trainers.data import Attempts, Dataset
from wisen.trainers.dataset import Row

log = logging.getLogger(__name__)


class GiGPO(GRPO):
    """GRPO's advantage of the attempt, plus `weight` times that of the step: its return to go, minus the mean over the
    steps of the group that saw the same observation. gamma: discount per step. invalid: what an action costs that the
    environment refused."""

    name: ClassVar[str] = "gigpo"

    weight: float = Field(1.0, ge=0)
    gamma: float = Field(0.95, gt=0, le=1)
    invalid: float = Field(0.1, ge=0)

    def rows(self, dataset: Dataset) -> list[Row]:
        rows: list[Row] = []
        sizes: list[int] = []
        for group in needed_groups(dataset, dataset.newest, self.name):
            gains = advantages([dataset.worth(one) for one in group], deviation=self.deviation)
            steps, anchors = self.step_advantages(group, dataset)
            sizes += anchors
            for one, gain, own in zip(group, gains, steps, strict=True):
                for row in played_rows(dataset, one, 0.0, POLICY, ratios=True):
                    value = gain + self.weight * own[row.step]
                    rows.append(replace(row, weights=(value,) * len(row.trained)))
        if not any(weight for row in rows for weight in row.weights):
            return []
        log.info("gigpo: %d anchor groups of %.1f steps on average", len(sizes), fmean(sizes))
        return dataset.shaped(rows)

    def step_advantages(self, group: Attempts, dataset: Dataset) -> tuple[list[list[float]], list[int]]:
        """(of each attempt each step's advantage, the sizes of the anchor groups)."""
        togo = [returns_to_go(self._rewards(one, dataset), self.gamma) for one in group]
        anchors: dict[str, list[float]] = defaultdict(list)
        for one, values in zip(group, togo, strict=True):
            for step, value in zip(one.steps, values, strict=True):
                anchors[step.observation.text].append(value)
        means = {seen: fmean(values) for seen, values in anchors.items()}
        gains = [
            [value - means[step.observation.text] for step, value in zip(one.steps, values, strict=True)]
            for one, values in zip(group, togo, strict=True)
        ]
        return gains, [len(values) for values in anchors.values()]

    def _rewards(self, trajectory: Trajectory, dataset: Dataset) -> list[float]:
        if dataset.settings.returns == "reward":
            rewards = [step.result.reward for step in trajectory.steps]
        else:
            rewards = [0.0] * len(trajectory.steps)
            rewards[-1:] = [dataset.worth(trajectory)] * len(rewards[-1:])
        return [reward - self.invalid * refused(step) for reward, step in zip(rewards, trajectory.steps, strict=True)]


def returns_to_go(rewards: Sequence[float], gamma: float) -> list[float]:
    """Of each step its reward and the discounted ones after it."""
    values: list[float] = []
    for reward in reversed(rewards):
        values.append(reward + gamma * (values[-1] if values else 0.0))
    return values[::-1]


def refused(step: Step) -> bool:
    """The environment said so, or had something to say and stayed as it was."""
    result = step.result
    same = result.observation.text == step.observation.text and not result.terminated
    return bool(result.info.get("refused") or (result.info.get("note") and same))
