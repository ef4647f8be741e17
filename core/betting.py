"""Evidence about the mean of paired differences, by betting: valid however they are distributed, and at any time.

A bettor stakes a fixed share of what it has on "the next difference lies above -margin". If the mean lies at or below
-margin, what it has is expected to shrink, so that it ever exceeds 1 / alpha times the first stake with probability at
most alpha (J. Ville 1939; I. Waudby-Smith and A. Ramdas, JRSS B 86, 2024). A mixture over BETS stands for not knowing
the best share. Differences lie in [-1, 1], on which a bet may be far bolder than `core.sequential` has them, whose
values are of any size: there a dozen tasks decide nothing.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

BETS = (np.arange(24) + 0.5) / 24
_HALVINGS = 40
_MOST = 10_000_000


def log_evidence(differences: ArrayLike, margin: float = 0.0) -> Array:
    """[..., n] from [..., n]: after each difference, the natural logarithm of an e-value against "the mean is at most
    -margin". The last does not depend on their order. Raises `ValueError` for a difference outside [-1, 1]."""
    values = np.asarray(differences, dtype=np.float64)
    if values.size and not (np.abs(values) <= 1 + 1e-9).all():
        raise ValueError("paired differences lie between -1 and 1")
    return _mixed(np.cumsum(_growth(values, margin), axis=-2))


def log_evidence_of_counts(counts: ArrayLike, values: Sequence[float], margin: float = 0.0) -> Array:
    """[...] from [..., values]: the same at the end of so many differences of each value."""
    each = _growth(np.asarray(values, dtype=np.float64), margin)
    return _mixed(np.asarray(counts, dtype=np.float64) @ each)


def p_value(differences: Sequence[float], margin: float = 0.0) -> float:
    """Of the hypothesis that the mean is at most -margin: 1 / the evidence against it."""
    return math.exp(min(0.0, -float(log_evidence(differences, margin)[-1])))


def lower_bound(differences: Sequence[float], alpha: float) -> float:
    """The mean lies above it with probability at least 1 - alpha, at all times at once as differences come in: where
    the evidence against lower ones is 1 / alpha."""
    low, high = -1.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if log_evidence(differences, -middle)[-1] >= -math.log(alpha) else (low, middle)
    return low


def units_needed(differences: Sequence[float], *, alpha: float, margin: float = 0.0) -> int | None:
    """About how many differences in all would decide with probability 0.8, if they went on as so far. None where their
    mean lies on the wrong side, or too near to tell."""
    values = np.asarray(differences, dtype=np.float64)
    each = _growth(values, margin).mean(axis=0)

    def decides(n: float) -> bool:
        return float(_mixed(n * each)) >= -math.log(alpha)

    if values.mean() + margin <= 0 or not decides(_MOST):
        return None
    low, high = 0.0, float(_MOST)
    while high - low > max(0.5, low / 200):
        middle = (low + high) / 2 if low else high / 10
        low, high = (low, middle) if decides(middle) else (middle, high)
    # The number at which it is as likely as not; that the evidence falls short of its expectation wants some more.
    reach = math.sqrt(2 * (math.log(1 / alpha) + 1.5))
    return math.ceil(high * ((reach + 0.84) / reach) ** 2)


def _growth(values: Array, margin: float) -> Array:
    """[..., bets] logarithm of the factor by which each bet grows at a value. `margin` may be negative: a mean that the
    differences lie above."""
    return np.log1p(BETS * (values[..., None] + margin) / (1 - margin))


def _mixed(growth: Array) -> Array:
    """[...] from [..., bets]: logarithm of the bets' mean wealth."""
    return np.asarray(np.logaddexp.reduce(growth, axis=-1) - math.log(len(BETS)))
