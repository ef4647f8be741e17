"""Self-imitation from a buffer of earlier good attempts, beside GRPO (SPEAR, Qin et al. 2025, arXiv 2509.22601;
self-imitation learning, Oh et al. 2018, arXiv 1806.05635)."""

import math
from collections.abc import Mapping
from statistics import fmean, median
from typing import Any, ClassVar

from pydantic import Field

from wisen.trainers.algorithms.base import played_rows
from wisen.trainers.algorithms.grpo import GRPO
from wisen.trainers.data import Dataset
from wisen.trainers.dataset import Row
from wisen.trainers.loop import Loss, Seen

REPLAYED = "replayed"


class SelfImitation(GRPO):
    """GRPO on the newest release's attempts, and the same surrogate, times c(t), on attempts of the `age` releases
    before it that were better than their group. Their advantage is worked out anew, R minus the median of the newest
    groups' means, and they stay while it is above 0: what everyone can do by now is no example any more.

    size: attempts in the buffer, the newest. peak: c at the end of its rise, by a half cosine over `rise` releases.
    """

    name: ClassVar[str] = "self-imitation"

    size: int = Field(2048, ge=1)
    age: int = Field(10, ge=1)
    peak: float = Field(1.0, ge=0)
    rise: int = Field(10, ge=1)

    def rows(self, dataset: Dataset) -> list[Row]:
        rows = super().rows(dataset)
        share = weight_at(len(dataset.releases) - 1, self.rise, self.peak)
        if share == 0:
            return rows
        newest = dataset.groups(dataset.newest)
        level = median(fmean(dataset.worth(one) for one in group) for group in newest)
        recent = dataset.releases[1 : 1 + self.age]
        buffer = []
        for group in dataset.groups([one for one in dataset.trajectories if one.release_id in recent]):
            mean = fmean(dataset.worth(one) for one in group)
            buffer += [one for one in group if dataset.worth(one) > mean]
        for one in buffer[-self.size :]:
            gain = dataset.worth(one) - level
            if gain > 0:
                rows += dataset.shaped(played_rows(dataset, one, share * gain, REPLAYED, ratios=True))
        return rows

    def losses(self) -> Mapping[str, Loss]:
        return {**super().losses(), REPLAYED: self.replayed}

    def replayed(self, seen: Seen) -> Any:
        return self.loss(seen)


def weight_at(time: int, rise: int, peak: float) -> float:
    """c(t): from 0 at t = 0 to `peak` at t = `rise`, by a half cosine, and `peak` from there on."""
    return peak * 0.5 * (1 - math.cos(math.pi * min(1.0, time / rise)))
