"""KL-constrained policy updates with a replay of successes that the actor neither knows nor finds strange (WebRL,
Qi et al. 2024, arXiv 2411.02337)."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, ClassVar

from pydantic import Field

from wisen.core.records import Trajectory
from wisen.trainers.algorithms.base import Algorithm, played_rows, sequence_gain
from wisen.trainers.data import Dataset
from wisen.trainers.dataset import Row
from wisen.trainers.loop import Loss, Seen

FRESH, REPLAYED = "webrl", "webrl-replay"


class WebRL(Algorithm):
    """(beta (S - S^ref) - A)² of each decision: the policy that maximises the return under a divergence from where it
    began has beta log(pi / pi_ref) = A. Instead of a critic, A is the return minus the mean of the attempts at the same
    task, or where there was one, of the same template.

    Beside the newest release's attempts, successes of earlier ones are replayed whose perplexity under the weights that
    training begins with is between `known` and `strange`. replayed: attempts per fresh one at most.
    """

    name: ClassVar[str] = "webrl"
    lacking: ClassVar[str] = "no collected decision was the policy's own (collect.explore), or kept its tokens"

    beta: float = Field(1.0, gt=0)
    known: float = Field(1 / 0.95, ge=1)
    strange: float = Field(1 / 0.5, gt=1)
    replayed: float = Field(1.0, ge=0)

    @property
    def needs_reference(self) -> bool:
        return True

    def rows(self, dataset: Dataset) -> list[Row]:
        newest = dataset.newest
        rows = [row for one in newest for row in self._rows(dataset, one, FRESH)]
        ids = {one.id for one in newest}
        earlier = [one for one in dataset.trajectories if one.id not in ids and dataset.worth(one) > 0]
        for one in earlier[max(0, len(earlier) - round(self.replayed * len(newest))) :]:
            rows += self._rows(dataset, one, REPLAYED)
        return rows

    def select(self, rows: Sequence[Row]) -> list[Row]:
        return [row for row in rows if row.loss == FRESH or self.known <= perplexity(row) <= self.strange]

    def losses(self) -> Mapping[str, Loss]:
        return {FRESH: self.loss, REPLAYED: self.loss}

    def loss(self, seen: Seen) -> Any:
        gain = seen.per_unit(sequence_gain(seen))
        advantage = gain.new_zeros(gain.shape)
        advantage[seen.units] = seen.weights
        return seen.spread((self.beta * gain - advantage) ** 2)

    def _rows(self, dataset: Dataset, one: Trajectory, loss: str) -> list[Row]:
        peers = dataset.attempts[one.task.id]
        if len(peers) == 1:
            peers = tuple(each for each in dataset.trajectories if each.task.template_id == one.task.template_id)
        gain = dataset.worth(one) - fmean(dataset.worth(each) for each in peers)
        rows = dataset.shaped(played_rows(dataset, one, gain, loss, ratios=False))
        return [row.weighed(gain, loss, f"{loss}:{dataset.unit(row)}") for row in rows]


def perplexity(row: Row) -> float:
    """Of the tokens that had an alternative, under the weights that training begins with; 1 where none had."""
    free = [value for value, allowed in zip(row.reference, row.allowed, strict=True) if len(allowed) != 1]
    return math.exp(-fmean(free)) if free else 1.0
