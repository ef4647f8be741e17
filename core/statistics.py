"""The statistics that decide and report. Pure functions: the same input, and seed, give the same answer.

Shares and differences are in [-1, 1], not per cent. scipy and statsmodels load inside the functions, because their
import takes longer than most commands run.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wisen.core.records import Interval

_TAIL_DRAWS = 20  # a quantile wants about this many resamples beyond it
_BLOCK = 4_000_000  # numbers held at once while resampling: 32 MB


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """The share `successes / n` with Wilson's score interval (E. B. Wilson, JASA 22, 1927, 209-212).

    Raises `ValueError` unless 0 <= successes <= n and n > 0.
    """
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} have no share")
    _check_share("level", level)
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    share = successes / n
    # Rounding can put a bound at 0 or 1 on the wrong side of the share itself.
    return Interval(
        mean=share, low=min(max(0.0, float(low)), share), high=max(min(1.0, float(high)), share), level=level
    )


def paired_bootstrap(
    differences: Sequence[float], *, resamples: int = 10_000, seed: int, level: float = 0.95
) -> Interval:
    """Mean of paired differences (one per task, new - old) with a two-sided percentile interval over resampled tasks
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).

    It knows only the differences it saw: where all are equal the interval has no width, however few they are. A
    decision therefore reads `mcnemar_one_sided` too. Raises `ValueError` without differences.
    """
    _check_share("level", level)
    tail = (1 - level) / 2
    means = _resampled_means(differences, _enough(resamples, tail), seed)
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(
        mean=float(np.mean(np.asarray(differences, dtype=float))), low=float(low), high=float(high), level=level
    )


def bootstrap_lower(differences: Sequence[float], *, alpha: float, resamples: int = 10_000, seed: int) -> float:
    """One-sided lower bound of the mean difference at confidence 1 - alpha, by the same percentile bootstrap.

    For a small `alpha` more resamples are drawn than asked for, so that about 20 lie below the bound.
    """
    _check_share("alpha", alpha)
    return float(np.quantile(_resampled_means(differences, _enough(resamples, alpha), seed), alpha))


def mcnemar_one_sided(wins: int, losses: int) -> float:
    """Exact p-value that new is no better than old, from the tasks on which they differ: P(X >= wins) for
    X ~ Binomial(wins + losses, 1/2) (Q. McNemar, Psychometrika 12, 1947, 153-157; exact form).

    1.0 where they differ nowhere.
    """
    from scipy.stats import binom

    if wins < 0 or losses < 0:
        raise ValueError(f"{wins} wins and {losses} losses cannot be counts")
    return min(1.0, float(binom.sf(wins - 1, wins + losses, 0.5)))


def tasks_needed(wins: int, losses: int, n: int, alpha: float, power: float = 0.8) -> int | None:
    """About how many tasks in all would decide, one-sided at `alpha` with probability `power`, if new and old went on
    to differ at the rates observed on `n` tasks. None when new was not ahead: more tasks decide nothing then.

    Normal approximation of McNemar's test (R. J. Connor, Biometrics 43, 1987, 207-211, after O. S. Miettinen, 1968):
    N = (z_alpha sqrt(psi) + z_power sqrt(psi - d^2))^2 / d^2, with psi the share of tasks that differ and d the
    difference; and never fewer than give the exact test a chance, log2(1 / alpha) tasks that differ.
    """
    from scipy.stats import norm

    _check_share("alpha", alpha)
    _check_share("power", power)
    if wins < 0 or losses < 0 or wins + losses > n:
        raise ValueError(f"{wins} wins and {losses} losses do not fit in {n} tasks")
    if wins <= losses:
        return None
    differ, difference = (wins + losses) / n, (wins - losses) / n
    reach = float(norm.isf(alpha)) * math.sqrt(differ) + float(norm.ppf(power)) * math.sqrt(differ - difference**2)
    return math.ceil(max((reach / difference) ** 2, math.ceil(-math.log2(alpha)) / differ))


def loss_bound(wins: int, losses: int, n: int, alpha: float) -> float:
    """The most success, as a share, that new costs against old at confidence 1 - alpha, from how many of n tasks only
    new and only old solved: the upper bound of the share of losses less the lower bound of the share of wins, each
    exact at alpha / 2 (C. Clopper and E. Pearson, Biometrika 26, 1934). It is rather too large than too small."""
    from scipy.stats import beta

    _check_share("alpha", alpha)
    if wins < 0 or losses < 0 or n < 1 or wins + losses > n:
        raise ValueError(f"{wins} wins and {losses} losses do not fit in {n} tasks")
    worst = 1.0 if losses == n else float(beta.ppf(1 - alpha / 2, losses + 1, n - losses))
    best = 0.0 if wins == 0 else float(beta.ppf(alpha / 2, wins, n - wins + 1))
    return worst - best


def pass_at_k(successes: int, n: int, k: int) -> float:
    """The probability that at least one of k attempts succeeds, from `successes` among n attempts at the task: the
    unbiased estimate 1 - C(n - successes, k) / C(n, k) (M. Chen et al., Evaluating Large Language Models Trained on
    Code, 2021, arXiv 2107.03374, equation 1).

    Raises `ValueError` unless 0 <= successes <= n and 1 <= k <= n.
    """
    if not 0 <= successes <= n or not 1 <= k <= n:
        raise ValueError(f"{successes} successes of {n} attempts do not say how {k} attempts do")
    return 1.0 - math.comb(n - successes, k) / math.comb(n, k)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted for their number, in the order given; those at or below alpha are rejected with a family-wise
    error of at most alpha (S. Holm, Scandinavian Journal of Statistics 6, 1979, 65-70)."""
    from statsmodels.stats.multitest import multipletests

    if not p_values:
        return ()
    if not all(0 <= value <= 1 for value in p_values):
        raise ValueError(f"p-values lie in [0, 1]: {list(p_values)}")
    return tuple(float(value) for value in multipletests(p_values, method="holm")[1])


def _resampled_means(differences: Sequence[float], resamples: int, seed: int) -> NDArray[np.float64]:
    """[resamples] means of as many differences, drawn with replacement.

    How often each distinct value is drawn is multinomial. Drawing those counts is the same as drawing tasks, costs
    little where differences are few (-1, 0, 1), and does not depend on the order of the tasks.
    """
    values, counts = np.unique(np.asarray(differences, dtype=np.float64), return_counts=True)
    n = int(counts.sum())
    if n == 0 or not np.isfinite(values).all():
        raise ValueError("needs at least one difference, and only finite ones")
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // len(values))
    blocks = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    return np.concatenate([generator.multinomial(n, counts / n, size=size) @ values / n for size in blocks])


def _enough(resamples: int, tail: float) -> int:
    if resamples < 1:
        raise ValueError(f"{resamples} resamples are none")
    return max(resamples, math.ceil(_TAIL_DRAWS / tail))


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} lies between 0 and 1, not at {value}")
