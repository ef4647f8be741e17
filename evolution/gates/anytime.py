"""When to stop playing a panel: the evidence is enough, or it will hardly be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wisen.core.betting import log_evidence
from wisen.core.statistics import mcnemar_one_sided

Array = NDArray[np.float64]

_MIXING = 1.5  # what not knowing the best bet costs, in nats of evidence, where panels have some hundred tasks


class Answer(StrEnum):
    ON = "on"
    PROMOTE = "promote"
    FUTILE = "futile"
    END = "end"


@dataclass(frozen=True)
class Looks:
    """A panel of `of` differences, with a look after each `every` of them and at its end.

    `exact`: each difference is a single paired outcome. Then half of alpha is for the bets, which may be looked at any
    time, and half for the exact McNemar test at the panel's end, which is the better judge of a whole panel.
    `futility`: stop where the chance of a promotion falls below it. That can cost power, and never lets a false
    promotion through. `margin`: what the candidate may cost.
    """

    of: int
    every: int
    alpha: float
    futility: float
    exact: bool
    margin: float = 0.0

    @property
    def for_bets(self) -> float:
        return self.alpha / 2 if self.exact else self.alpha

    def chance(self, total: ArrayLike, squares: ArrayLike, played: ArrayLike) -> Array:
        """[...] About how likely the whole panel is to be enough, from the sum of the differences so far and that of
        their squares: their mean and spread are as uncertain as so few show them, and the rest is normal."""
        from scipy.stats import norm

        n = np.asarray(played, dtype=np.float64)
        variance = (np.asarray(squares) + 1) / (n + 1)
        reach = norm.isf(self.alpha / 2) if self.exact else math.sqrt(2 * (math.log(1 / self.alpha) + _MIXING))
        rest = self.of - n
        spread = np.sqrt(rest * variance * (1 + rest / n)) + 1e-12
        expected = (np.asarray(total) + self.margin * n) * self.of / n
        return np.asarray(norm.cdf((expected - reach * np.sqrt(variance * self.of)) / spread))

    def look(self, differences: Sequence[float]) -> Answer:
        """What to do after these."""
        played = len(differences)
        if log_evidence(differences, self.margin)[-1] >= -math.log(self.for_bets):
            return Answer.PROMOTE
        if played >= self.of:
            wins, losses = differences.count(1.0), differences.count(-1.0)
            enough = self.exact and mcnemar_one_sided(wins, losses) <= self.alpha / 2
            return Answer.PROMOTE if enough else Answer.END
        squares = sum(one * one for one in differences)
        return Answer.FUTILE if self.chance(sum(differences), squares, played) < self.futility else Answer.ON

    def stop(self, differences: Sequence[float]) -> tuple[Answer, int]:
        """(the first answer that is not to go on, after how many differences it was given). `Answer.ON` after all that
        there are, if none is."""
        for played in sorted({*range(self.every, len(differences), self.every), len(differences)}):
            found = self.look(differences[:played])
            if found is not Answer.ON:
                return found, played
        return Answer.ON, len(differences)
