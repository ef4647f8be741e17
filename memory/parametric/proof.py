"""Does the head rank better than cosine, on outcomes that it has not seen?

What is ranked are appearances of cases; what tells right from wrong is the draw. An appearance speaks for its case
where it was shown and the episode succeeded, or was held out and the episode failed; it weighs as much as its
inverse-propensity score. The share of weight that speaks for a case then rises with its lift and with nothing else: a
head that has learned only which states are easy has an area of one half, as the shared outcome of a run would not show.

AUC with weights; the error of the difference of two is DeLong's (E. DeLong, D. DeLong and D. Clarke-Pearson,
Biometrics 44, 1988), with all appearances of an episode taken as one (N. Obuchowski, Biometrics 53, 1997).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wisen.core.ids import derived_seed
from wisen.core.records import Interval, Record
from wisen.memory.parametric.head import Floats, Head
from wisen.memory.parametric.labels import CaseLabel

Array = NDArray[np.float64]
Fitting = Callable[[Sequence[CaseLabel], int], Head]  # from labels and a seed


class ProofSettings(Record):
    """folds: the data are cut in so many parts by task, and each is judged by a head fitted on the others. alpha: the
    probability, over all looks together, of a head that ranks no better being let in. least: appearances on either
    side without which nothing is decided."""

    folds: int = Field(4, ge=2)
    alpha: float = Field(0.05, gt=0, lt=0.5)
    least: int = Field(20, ge=1)


class Proof(Record):
    """`difference` is head - cosine in area (0.1 = 10 points) with a 95 % interval; `lower` its one-sided bound at
    this look's share of alpha, which decides."""

    head: float
    cosine: float
    difference: Interval
    lower: float
    alpha: float
    appearances: int
    episodes: int

    @property
    def proven(self) -> bool:
        return self.lower > 0


def look_alpha(alpha: float, look: int) -> float:
    """The share of look 1, 2, ...: alpha / (look (look + 1)). However often one looks, together they are alpha."""
    return alpha / (look * (look + 1))


def prove(
    labels: Sequence[CaseLabel],
    vectors: Mapping[str, Floats],
    fitting: Fitting,
    settings: ProofSettings | None = None,
    *,
    look: int,
    seed: int,
) -> Proof | None:
    """Cross-fitted: every appearance is scored by a head that saw no outcome of its task. vectors: by query, and by
    item id, its unit vector [d]. None where there is too little to decide from."""
    settings = settings or ProofSettings()
    folds = np.array([derived_seed(seed, "fold", one.task_id) % settings.folds for one in labels])
    speaks = np.array([one.shown == one.success for one in labels], bool)
    if min(speaks.sum(), len(speaks) - speaks.sum()) < settings.least or len(set(folds.tolist())) < 2:
        return None
    states = np.stack([vectors[one.query] for one in labels])
    cases = np.stack([vectors[one.item_id] for one in labels])
    gain = np.zeros(len(labels))
    for fold in sorted(set(folds.tolist())):
        apart = folds == fold
        rest = [one for one, out in zip(labels, apart, strict=True) if not out]
        fitted = fitting(rest, derived_seed(seed, "fold", fold))
        gain[apart] = fitted.gain(states[apart], cases[apart])
    cosine = np.einsum("nd,nd->n", states, cases, dtype=np.float64)
    return judged(
        gain,
        cosine,
        speaks,
        weights=np.abs([one.score for one in labels]),
        groups=[one.episode for one in labels],
        alpha=look_alpha(settings.alpha, look),
    )


def judged(
    new: Array, old: Array, speaks: NDArray[np.bool_], *, weights: Array, groups: Sequence[str], alpha: float
) -> Proof:
    """Whether the scores `new` have a larger area than `old`; all arrays [n], `groups` names what is not independent.
    Raises `ValueError` where one side is empty."""
    from scipy.stats import norm

    first, parts = area(new, speaks, weights)
    second, others = area(old, speaks, weights)
    _, group = np.unique(list(groups), return_inverse=True)
    sums = np.bincount(group, parts - others)
    count = len(sums)
    error = float(np.sqrt((sums**2).sum() * count / max(1, count - 1)))
    found, reach = first - second, float(norm.isf(0.025)) * error
    return Proof(
        head=first,
        cosine=second,
        difference=Interval(mean=found, low=found - reach, high=found + reach),
        lower=found - float(norm.isf(alpha)) * error,
        alpha=alpha,
        appearances=len(new),
        episodes=count,
    )


def area(scores: Array, positive: NDArray[np.bool_], weights: Array) -> tuple[float, Array]:
    """(weighted AUC, [n] how each row moves it). Ties count half. Raises `ValueError` where one side is empty."""
    if positive.all() or not positive.any():
        raise ValueError("an area needs rows on both sides")
    _, rank = np.unique(scores, return_inverse=True)
    wins = np.where(positive, weights, 0.0)
    losses = np.where(positive, 0.0, weights)
    below = _midway(np.bincount(rank, losses))[rank] / losses.sum()  # weight of negatives that a row stands above
    above = 1 - _midway(np.bincount(rank, wins))[rank] / wins.sum()  # of positives that stand above it
    found = float((wins * below).sum() / wins.sum())
    parts = wins * (below - found) / wins.sum() + losses * (above - found) / losses.sum()
    return found, parts


def _midway(mass: NDArray[Any]) -> Array:
    return np.asarray(np.cumsum(mass) - mass / 2, np.float64)
