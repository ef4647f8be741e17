"""Group-relative policy optimisation: attempts at one task are each other's baseline (Shao et al. 2024,
arXiv 2402.03300; clip-higher and token mean: DAPO, Yu et al. 2025, arXiv 2503.14476; no division by the deviation:
Dr. GRPO, Liu et al. 2025, arXiv 2503.20783)."""

from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev
from typing import Any, ClassVar

from pydantic import Field

from wisen.trainers.algorithms.base import Algorithm, needed_groups, played_rows
from wisen.trainers.data import Dataset
from wisen.trainers.dataset import Row
from wisen.trainers.loop import Loss, Seen

POLICY = "policy"


class GRPO(Algorithm):
    """The clipped surrogate of every token with the advantage of its attempt, R minus the group's mean, once per
    attempt however many rows it yields. Groups whose attempts are worth the same teach nothing and are left out.

    Only what the newest release played is on-policy, and only that is used. low, high: how far the ratio to the sampler
    may move. most: where the ratio is cut off for good, also where the sampler was not the weights that are trained.
    kl: weight of the k3 estimate of the divergence from the weights that training begins with. deviation: divide by the
    group's standard deviation.
    """

    name: ClassVar[str] = "grpo"
    attempts: ClassVar[int] = 2
    ratios: ClassVar[bool] = True
    lacking: ClassVar[str] = (
        "the attempts at each task were worth the same, or drawn uniformly (collect.explore), or kept no tokens"
    )

    low: float = Field(0.2, gt=0, lt=1)
    high: float = Field(0.28, gt=0)
    most: float = Field(3.0, gt=1)
    kl: float = Field(0.0, ge=0)
    deviation: bool = False

    @property
    def needs_reference(self) -> bool:
        return self.kl > 0

    def rows(self, dataset: Dataset) -> list[Row]:
        rows: list[Row] = []
        for group in needed_groups(dataset, dataset.newest, self.name):
            gains = advantages([dataset.worth(one) for one in group], deviation=self.deviation)
            for one, gain in zip(group, gains, strict=True):
                rows += played_rows(dataset, one, gain, POLICY, ratios=True) if any(gains) else []
        return dataset.shaped(rows)

    def losses(self) -> Mapping[str, Loss]:
        return {POLICY: self.loss}

    def loss(self, seen: Seen) -> Any:
        import torch

        ratio = (seen.logprobs - seen.old).exp().clamp(max=self.most)
        kept = ratio.clamp(1 - self.low, 1 + self.high)
        cost = -torch.minimum(ratio * seen.weights, kept * seen.weights)
        if self.kl:
            gone = seen.reference - seen.logprobs
            cost = cost + self.kl * (gone.exp() - gone - 1)
        return cost


def advantages(returns: Sequence[float], *, deviation: bool = False) -> list[float]:
    """R minus the mean, divided by the standard deviation (of the group itself) where that is asked for."""
    mean = fmean(returns)
    scale = pstdev(returns) + 1e-6 if deviation else 1.0
    return [(value - mean) / scale for value in returns]
