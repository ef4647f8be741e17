"""Statistics that may be read after every observation, as often as one likes, and still hold.

A fixed-time interval read again and again is wrong sooner or later. What is here holds at all times at once: intervals
for a running mean (confidence sequences), evidence against a null (e-values) with its false discovery rate over many,
and an alarm for a mean that fell. Numpy only. `values` are [..., n], the newest last; leading axes are independent
streams, each with an account of its own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wisen.core.records import Interval

Array = NDArray[np.float64]

# Bets of the mixture, per unit of a value: the largest is right for a few dozen values of spread 1, the smallest for
# 100,000. Factors of two cost at most a sixth of the evidence that the best bet would have had.
BETS = 0.4 * 2.0 ** -np.arange(7)
_ROOT_STEPS = 8
_MOST_NEEDED = 10_000_000


@dataclass(frozen=True)
class MeanSequence:
    """What a confidence sequence for a running mean needs of the values so far. Immutable; `extended` adds values.

    The target at time n is the mean of the n conditional expectations, each given all that came before it. Where they
    are equal that is the mean; where they drift it is their average so far. A value lies within bounds that were known
    before it, which may differ from value to value.

    For a bet b, a prediction x of value X made before it, and c = x - low: exp(b (X - E X) - (X - x)^2 psi(b c) / c^2)
    with psi(u) = -log(1 - u) - u has expectation at most 1, so its product over the values exceeds 1 / alpha at any
    time with probability at most alpha (empirical Bernstein: Howard, Ramdas, McAuliffe and Sekhon, Annals of Statistics
    49, 2021, theorem 4; the inequality is of Fan, Grama and Liu, EJP 20, 2015). A mixture over BETS stands for not
    knowing the best bet. A bet that a value's bounds do not allow (b c >= 1) is out for good.
    """

    n: Array  # [...]
    total: Array  # [...]
    squares: Array  # [...] sum of squared values
    above: Array  # [..., bets] what the bets that the mean is higher have paid for the spread
    below: Array  # [..., bets] those that it is lower

    @classmethod
    def start(cls, shape: tuple[int, ...] = ()) -> Self:
        zero, paid = np.zeros(shape), np.zeros((*shape, len(BETS)))
        return cls(zero, zero, zero, paid, paid)

    def extended(
        self, values: ArrayLike, lows: ArrayLike, highs: ArrayLike, counted: NDArray[np.bool_] | None = None
    ) -> Self:
        """With further values [..., n], each in [low, high] around 0. Where `counted` is False, a value is none.

        Raises `ValueError` for a value outside its bounds, or bounds that do not hold 0 between them.
        """
        x, low, high = (np.asarray(one, dtype=np.float64) for one in np.broadcast_arrays(values, lows, highs))
        use = np.ones(x.shape, dtype=bool) if counted is None else counted
        if (use & ~((low < 0) & (high > 0) & (low - 1e-9 <= x) & (x <= high + 1e-9))).any():
            raise ValueError("a value lies within its bounds, and 0 strictly between them")
        x = np.where(use, x, 0.0)
        before = self.n[..., None] + np.cumsum(use, axis=-1) - use
        predicted = (self.total[..., None] + np.cumsum(x, axis=-1) - x) / (before + 1)
        predicted = np.clip(predicted, low / 2, high / 2)
        error = np.where(use, (x - predicted) ** 2, 0.0)
        return type(self)(
            self.n + use.sum(axis=-1),
            self.total + x.sum(axis=-1),
            self.squares + (x * x).sum(axis=-1),
            self.above + _paid(error, predicted - low, use),
            self.below + _paid(error, high - predicted, use),
        )

    @property
    def mean(self) -> Array:
        """[...] NaN where there are no values."""
        with np.errstate(invalid="ignore"):
            return np.where(self.n > 0, self.total / np.maximum(self.n, 1), np.nan)

    @property
    def deviation(self) -> Array:
        """[...] Standard deviation of the values; NaN below two."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(np.maximum(self.squares - self.total**2 / self.n, 0) / (self.n - 1))

    def lower(self, alpha: float) -> Array:
        """[...] Below the running mean at all times with probability at least 1 - alpha; -inf while there is none."""
        return _bound(self.n, self.total, self.above, alpha)

    def upper(self, alpha: float) -> Array:
        return -_bound(self.n, -self.total, self.below, alpha)

    def log_evidence(self, mean: ArrayLike = 0.0) -> Array:
        """[...] Logarithm of an e-value against "the running mean is at most `mean`": at any time one chooses to stop,
        its expectation is at most 1 if that is so."""
        return _log_mixture(self.total - np.asarray(mean) * self.n, self.above)

    def log_evidence_below(self, mean: ArrayLike = 0.0) -> Array:
        """[...] The same against "the running mean is at least `mean`"."""
        return _log_mixture(np.asarray(mean) * self.n - self.total, self.below)

    def projected(self, factor: float) -> Self:
        """As it would be if `factor` times as many values had come, of the same mean and spread."""
        return type(self)(*(factor * part for part in (self.n, self.total, self.squares, self.above, self.below)))


def interval(sequence: MeanSequence, level: float = 0.95) -> Interval | None:
    """The two-sided confidence sequence of one stream as it stands; None where no bet is left or no value came."""
    alpha = (1 - level) / 2
    low, high = float(sequence.lower(alpha)), float(sequence.upper(alpha))
    if not math.isfinite(low + high):
        return None
    mean = float(sequence.mean)
    return Interval(mean=mean, low=min(low, mean), high=max(high, mean), level=level)


def values_needed(
    sequence: MeanSequence, *, alpha: float, above: float | None = None, below: float | None = None
) -> int | None:
    """About how many further values until the lower bound exceeds `above`, or the upper bound is below `below`, if they
    go on with the mean and spread seen. None where that mean lies on the other side, or too near to tell."""

    def decided(n: float) -> bool:
        then = sequence.projected(n / float(sequence.n))
        known = [] if above is None else [then.log_evidence(above)]
        known += [] if below is None else [then.log_evidence_below(below)]
        return any(float(one) > -math.log(alpha) for one in known)

    n = int(sequence.n)
    if n == 0 or not decided(_MOST_NEEDED):
        return None
    low, high = n, _MOST_NEEDED
    if decided(n):
        return 0
    while high - low > max(1, low // 100):
        middle = (low + high) // 2 if high < 4 * low else 2 * low
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high - n


def e_bh(log_e: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Which nulls are rejected so that the expected share of false ones among them is at most alpha, whatever the
    dependence: those with the k largest e-values, for the largest k whose k-th is at least m / (alpha k)
    (R. Wang and A. Ramdas, JRSS B 84, 2022). `log_e`: natural logarithms, one per hypothesis."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha}")
    ordered = sorted(log_e, reverse=True)
    m = len(ordered)
    enough = [value for k, value in enumerate(ordered, 1) if value >= math.log(m / (alpha * k))]
    return tuple(bool(enough) and value >= enough[-1] for value in log_e)


@dataclass(frozen=True)
class FallAlarm:
    """Watches for a mean that fell below 0: the best evidence for that, over all moments since which it may be so.

    A bet of wealth 1 on "the mean is below 0" is opened anew whenever the last one is worth less. The wealth is an
    e-detector: as long as the mean is not below 0 an alarm at wealth w comes no sooner than after w values on average,
    and after each reopening with probability at most 1 / w (J. Shin, A. Ramdas and A. Rinaldo, New England Journal of
    Statistics in Data Science 2, 2024; E. S. Page 1954).
    """

    log_wealth: Array  # [...]

    @classmethod
    def start(cls, shape: tuple[int, ...] = ()) -> Self:
        return cls(np.zeros(shape))

    def extended(
        self,
        values: ArrayLike,
        highs: ArrayLike,
        variances: ArrayLike,
        *,
        fall: float,
        counted: NDArray[np.bool_] | None = None,
    ) -> Self:
        """With further values [..., n]. `variances` are what they were expected to have, known before them like their
        upper bounds `highs`; the bet is the one that is best if the mean is `-fall`."""
        x, high, variance = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (values, highs, variances)))
        bet = np.minimum(fall / variance, 0.5 / high)
        gain = np.log1p(-bet * x)
        if counted is not None:
            gain = np.where(counted, gain, 0.0)
        path = self.log_wealth[..., None] + np.cumsum(gain, axis=-1)
        # Opened anew before the value after which the path is lowest, if it would be worth less than 1 there.
        lowest = np.minimum.accumulate(np.concatenate([self.log_wealth[..., None], path[..., :-1]], -1), -1)
        return type(self)((path - np.minimum(lowest, 0))[..., -1] if path.shape[-1] else self.log_wealth)


def _paid(error: Array, room: Array, use: NDArray[np.bool_]) -> Array:
    """[..., bets] what each bet pays for these values."""
    paid = np.empty((*error.shape[:-1], len(BETS)))
    for place, bet in enumerate(BETS):
        share = bet * room
        ruined = (use & (share >= 1)).any(axis=-1)
        share = np.minimum(share, 0.999999)
        cost = ((-np.log1p(-share) - share) / room**2 * error).sum(axis=-1)
        paid[..., place] = np.where(ruined, np.inf, cost)
    return paid


def _log_mixture(surplus: Array, paid: Array) -> Array:
    """[...] Logarithm of the bets' mean wealth."""
    return np.asarray(np.logaddexp.reduce(BETS * surplus[..., None] - paid, axis=-1) - math.log(len(BETS)))


def _bound(n: Array, total: Array, paid: Array, alpha: float) -> Array:
    """[...] The largest m at which the wealth of the bets on a mean above m is still 1 / alpha. Newton's method from
    below on a convex function that falls: every step is a valid bound, and the last is the tightest."""
    goal = math.log(len(BETS) / alpha)
    safe = np.maximum(n, 1)[..., None]
    bound = ((total[..., None] - (paid + goal) / BETS) / safe).max(axis=-1)
    known = (n > 0) & np.isfinite(bound)
    bound = np.where(known, bound, 0.0)
    for _ in range(_ROOT_STEPS):
        exponents = BETS * (total - n * bound)[..., None] - paid
        highest = np.where(known, exponents.max(axis=-1), 0.0)
        weights = np.exp(exponents - highest[..., None])
        wealth = highest + np.log(np.where(known, weights.sum(axis=-1), 1.0)) - goal
        slope = (weights * BETS).sum(axis=-1) * n / np.where(known, weights.sum(axis=-1), 1.0)
        bound = bound + np.where(known, np.maximum(wealth, 0) / np.where(slope > 0, slope, 1.0), 0.0)
    return np.where(known, bound, -np.inf)
