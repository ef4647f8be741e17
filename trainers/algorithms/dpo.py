"""Direct preference optimisation over attempts at one task (Rafailov et al. 2023, arXiv 2305.18290; over trajectories:
ETO, Song et al. 2024, arXiv 2403.02502)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from wisen.trainers.algorithms.base import Algorithm, drawn, sequence_gain
from wisen.trainers.data import Dataset
from wisen.trainers.dataset import Row
from wisen.trainers.loop import Loss, Seen
from wisen.trainers.views import diverging, pairs


class DPO(Algorithm):
    """-log sigmoid(beta [(S_w - S_w^ref) - (S_l - S_l^ref)]), S the summed log-probability of what was sampled, plus
    `imitate` times the mean -log pi of the winner's tokens. A token weighs +1 in a winner and -1 in a loser.

    gap: by how much the winner's return is greater, at least. per_task: pairs of one task at most. What both did alike
    from the beginning carries no loss.
    """

    name: ClassVar[str] = "dpo"
    attempts: ClassVar[int] = 2
    lacking: ClassVar[str] = "no task was both solved and failed (collect.attempts = 4 gives more of them)"

    beta: float = Field(0.1, gt=0)
    gap: float = Field(0.5, gt=0)
    per_task: int = Field(4, ge=1)
    imitate: float = Field(0.1, ge=0)

    @property
    def needs_reference(self) -> bool:
        return True

    def rows(self, dataset: Dataset) -> list[Row]:
        rows: list[Row] = []
        for task, attempts in dataset.attempts.items():
            found = pairs(attempts, dataset.worth, gap=self.gap)
            for winner, loser in drawn(found, self.per_task, dataset.seed, "pairs", task):
                unit = f"{winner.id}>{loser.id}"
                better, worse = (dataset.shaped(dataset.rows(one)) for one in (winner, loser))
                rows += pair_rows(better, worse, unit)
        return rows

    def losses(self) -> Mapping[str, Loss]:
        return {self.name: self.loss}

    def loss(self, seen: Seen) -> Any:
        from torch.nn.functional import logsigmoid

        margin = seen.per_unit(seen.weights * sequence_gain(seen))
        cost = seen.spread(-logsigmoid(self.beta * margin))
        if self.imitate:
            won = (seen.weights > 0).to(seen.logprobs.dtype)
            tokens = seen.per_unit(won).clamp(min=1.0)
            cost = cost - self.imitate * won * seen.logprobs / tokens[seen.units]
        return cost


def pair_rows(better: Sequence[Row], worse: Sequence[Row], unit: str) -> list[Row]:
    """The rows of a pair, from where the two part; none where either has nothing of its own."""
    better, worse = diverging(better, worse)
    if not better or not worse:
        return []
    return [row.weighed(1.0, DPO.name, unit) for row in better] + [row.weighed(-1.0, DPO.name, unit) for row in worse]
