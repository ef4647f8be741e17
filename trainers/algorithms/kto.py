"""Kahneman-Tversky optimisation: successes and failures without pairs (Ethayarajh et al. 2024, arXiv 2402.01306)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from wisen.trainers.algorithms.base import Algorithm, sequence_gain
from wisen.trainers.data import Dataset
from wisen.trainers.dataset import Row
from wisen.trainers.loop import Loss, Seen

BALANCE = 4 / 3  # w_D n_D / (w_U n_U) at most, and at least 1


class KTO(Algorithm):
    """w (1 - sigmoid(beta (r - z))) for what succeeded and w (1 - sigmoid(beta (z - r))) for what failed, where
    r = S - S^ref and z is the mean of r over mismatched prompts and answers of the batch, not below 0 and without
    gradient. A token weighs +w or -w; in a mismatched row, which only measures, 0.

    kl: False leaves z at 0, and saves a third of the tokens. threshold: the return from which an attempt is desirable.
    Where one side is rarer its weight is raised until w_D n_D = w_U n_U.
    """

    name: ClassVar[str] = "kto"
    lacking: ClassVar[str] = "no collected decision kept its tokens"

    beta: float = Field(0.1, gt=0)
    kl: bool = True
    threshold: float = 1.0

    @property
    def needs_reference(self) -> bool:
        return True

    def rows(self, dataset: Dataset) -> list[Row]:
        sides: dict[bool, list[Row]] = {True: [], False: []}
        for one in dataset.trajectories:
            rows = [replace(row, unit=dataset.unit(row), loss=self.name) for row in dataset.rows(one)]
            sides[dataset.worth(one) >= self.threshold] += dataset.shaped(rows)
        good, bad = (len({row.unit for row in side}) for side in (sides[True], sides[False]))
        raised = {True: max(1.0, bad / good) if good else 1.0, False: max(1.0, good / bad) if bad else 1.0}
        rows = [
            row.weighed(raised[side] if side else -raised[side], self.name, row.unit)
            for side, found in sides.items()
            for row in found
        ]
        return [*rows, *mismatched(rows)] if self.kl else rows

    def losses(self) -> Mapping[str, Loss]:
        return {self.name: self.loss}

    def loss(self, seen: Seen) -> Any:
        import torch

        gain = sequence_gain(seen)
        measured = seen.weights == 0
        zero = gain.new_zeros(())
        units = len({row.unit for row in seen.rows if row.weights and not any(row.weights)})
        z = (gain.detach()[measured].sum() / units).clamp(min=0.0) if units else zero
        reward = seen.per_unit(torch.where(measured, zero, gain))
        # The side and the weight of each unit, read off any of its tokens.
        side = torch.zeros_like(reward)
        side[seen.units[~measured]] = seen.weights[~measured]
        cost = side.abs() * (1 - torch.sigmoid(self.beta * side.sign() * (reward - z)))
        return seen.spread(cost)


def mismatched(rows: Sequence[Row]) -> list[Row]:
    """For each unit a row with its prompt and the answer of the next unit, of weight 0, in the same unit."""
    firsts = list({row.unit: row for row in reversed(rows)}.values())[::-1]
    return [_grafted(one, other) for one, other in zip(firsts, [*firsts[-1:], *firsts[:-1]], strict=True)]


def _grafted(one: Row, other: Row) -> Row:
    prompt, start = one.ids[: one.trained[0]], other.trained[0]
    return replace(
        other,
        ids=(*prompt, *other.ids[start:]),
        trained=tuple(len(prompt) + at - start for at in other.trained),
        weights=(0.0,) * len(other.trained),
        old=(),
        memory=tuple((begin, end) for begin, end in one.memory if end <= len(prompt)),
        unit=one.unit,
        request=None,
    )
