"""Is new not worse than old by a margin? An exact test for paired binary outcomes, and how many pairs it takes.

Shares and margins are in [0, 1], not per cent. A loss is a pair that only old did well, a win one that only new did.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_GRID = 64  # values of the share of losses, which the null leaves open, at which the test's error is looked at
_TINY = 1e-9
_HALVINGS = 20
_FEW = 30  # pairs that differ, below which counts are too coarse for the normal approximation


def score(wins: ArrayLike, losses: ArrayLike, n: int, margin: float) -> Array:
    """The score statistic against "new costs `margin` or more": positive where the difference seen lies above -margin,
    in standard errors as they would be if it lay there (J. Nam, Biometrics 53, 1997, 1422-1430; T. Tango, Statistics in
    Medicine 17, 1998, 891-908)."""
    won, lost = np.asarray(wins, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    half = ((won + lost) * (1 + margin) + 2 * margin * (n - won)) / (4 * n)
    worst = half + np.sqrt(np.maximum(half**2 - lost * margin * (1 + margin) / (2 * n), 0))
    spread = np.maximum(2 * worst - margin - margin**2, _TINY)
    return np.asarray((won - lost + n * margin) / np.sqrt(n * spread))


@lru_cache(maxsize=65_536)
def not_inferior(wins: int, losses: int, n: int, margin: float) -> float:
    """Exact p-value against "new costs `margin` or more". The chance of a score as high as this one, at the share of
    losses that makes it greatest: the null leaves that share open (exact unconditional test; K. Sidik, Statistics in
    Medicine 22, 2003, 265-278). Unlike the normal approximation it holds where few pairs differ.

    Raises `ValueError` unless the counts fit in n and 0 < margin < 1.
    """
    _check(wins, losses, n, margin)
    if wins - losses + n * margin <= 0:
        return 1.0
    return chance_of(float(score(wins, losses, n, margin)) - _TINY, n, margin)


def chance_of(least_score: float, n: int, margin: float) -> float:
    """The greatest chance of that score or a higher one on n pairs, where new costs `margin`, over all shares of losses
    (on a grid: the greatest may be missed by a hundredth of itself)."""
    from scipy.stats import binom

    differing = np.arange(n + 1)
    least = _least_wins(least_score, n, margin)
    possible = least <= differing
    share = margin + (1 - margin) / 2 * (np.arange(_GRID) / (_GRID - 1)) ** 2  # of losses; closer where it is rare
    share[0] += _TINY
    differ = 2 * share - margin
    weight = binom.pmf(differing[None, possible], n, differ[:, None])
    tail = binom.sf(least[None, possible] - 1, differing[None, possible], ((share - margin) / differ)[:, None])
    return float(min(1.0, (weight * tail).sum(axis=1).max()))


@lru_cache(maxsize=256)
def least_score(n: int, margin: float, alpha: float) -> float:
    """The score from which on n pairs show that new is not inferior: where the exact p-value comes down to alpha."""
    low, high = 0.0, 8.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if chance_of(middle, n, margin) <= alpha else (middle, high)
    return high


def pairs_needed(margin: float, discordance: float, *, alpha: float = 0.025, power: float = 0.8) -> int:
    """About how many pairs let an unchanged candidate pass with probability `power`, where a share `discordance` of
    pairs differ though neither is better: the score test's normal approximation (J. Nam 1997, as above) and 3 % more,
    which the exact test takes. Where that leaves only few pairs that differ, as many as the exact power asks for."""
    from scipy.stats import norm

    if not 0 <= discordance <= 1 or not 0 < margin < 1 or not 0 < alpha < 1 or not 0 < power < 1:
        raise ValueError("margin, discordance, alpha and power are shares")
    half = (discordance * (1 + margin) + 2 * margin * (1 - discordance / 2)) / 4
    worst = half + math.sqrt(max(half**2 - discordance / 2 * margin * (1 + margin) / 2, 0))
    at_null, at_none = math.sqrt(2 * worst - margin - margin**2), math.sqrt(discordance)
    approximate = ((float(norm.isf(alpha)) * at_null + float(norm.ppf(power)) * at_none) / margin) ** 2
    n = math.ceil(max(1.03 * approximate, math.log(alpha) / math.log1p(-margin)))
    while n * discordance < _FEW and _power(n, margin, discordance, alpha) < power:
        n = math.ceil(1.03 * n)
    return n


def _power(n: int, margin: float, discordance: float, alpha: float) -> float:
    """How likely an unchanged candidate is to pass."""
    from scipy.stats import binom

    differing = np.arange(n + 1)
    least = _least_wins(least_score(n, margin, alpha), n, margin)
    return float(binom.pmf(differing, n, discordance) @ binom.sf(least - 1, differing, 0.5))


def _least_wins(least_score: float, n: int, margin: float) -> NDArray[np.int64]:
    """[n + 1] By how many pairs differ: the fewest wins among them with that score; one more than there are pairs where
    no number has it. The score rises with the wins, so halving the range finds it."""
    differing = np.arange(n + 1)
    low, high = np.zeros(n + 1, dtype=np.int64), differing + 1
    while (low < high).any():
        middle = (low + high) // 2
        reaches = score(middle, differing - middle, n, margin) >= least_score
        low, high = np.where(reaches | (low >= high), low, middle + 1), np.where(reaches, middle, high)
    return low


def _check(wins: int, losses: int, n: int, margin: float) -> None:
    if wins < 0 or losses < 0 or n < 1 or wins + losses > n:
        raise ValueError(f"{wins} wins and {losses} losses do not fit in {n} pairs")
    if not 0 < margin < 1:
        raise ValueError(f"a margin lies between 0 and 1, not at {margin}")
