"""Statistics against hand-worked cases, laws, and simulations that a wrong formula fails."""

import math
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from wisen.core.statistics import (
    bootstrap_lower,
    holm,
    mcnemar_one_sided,
    paired_bootstrap,
    pass_at_k,
    tasks_needed,
    wilson,
)

differences = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=60)
quick = settings(max_examples=50, deadline=None)


# Wilson


def test_wilson_by_hand() -> None:
    # n = 10, s = 8, z = 1.959964: centre (0.8 + 3.841459/20) / 1.3841459 = 0.716740,
    # half width 1.959964 / 1.3841459 * sqrt(0.016 + 3.841459/400) = 0.226576
    found = wilson(8, 10)
    assert (found.mean, found.level) == (0.8, 0.95)
    assert (found.low, found.high) == pytest.approx((0.490162, 0.943318), abs=2e-6)
    # s = 0: the upper bound is z^2 / (n + z^2)
    assert wilson(0, 10).low == 0.0 and wilson(0, 10).high == pytest.approx(3.841459 / 13.841459, abs=1e-6)


@quick
@given(
    st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95, 0.99])
)
def test_wilson_holds_the_share_and_mirrors(counts: tuple[int, int], level: float) -> None:
    successes, n = counts
    found, mirrored = wilson(successes, n, level), wilson(n - successes, n, level)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert (found.low, found.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-9)
    wider = wilson(successes, n, 0.999)
    assert wider.low <= found.low and wider.high >= found.high


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_wilson_covers(share: float) -> None:
    """Exact coverage: the probability, over all outcomes of 60 tasks, that the interval holds the true share."""
    held = [wilson(successes, 60).low <= share <= wilson(successes, 60).high for successes in range(61)]
    assert 0.92 < float(binom.pmf(np.arange(61), 60, share) @ held) < 0.98


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="have no share"):
        wilson(successes, n)


# The paired bootstrap


def test_the_bootstrap_by_hand() -> None:
    # Two tasks, one won, one tied: resampled means are 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4.
    found = paired_bootstrap([1, 0], seed=1)
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
    assert paired_bootstrap([1, 0], seed=1, level=0.4).low == 0.5  # 30 % of the resamples lie at or below 1/2
    assert bootstrap_lower([1, 0], alpha=0.2, seed=1) == 0.0
    assert bootstrap_lower([1, 0], alpha=0.3, seed=1) == 0.5
    assert bootstrap_lower([1, 0], alpha=0.8, seed=1) == 1.0


def test_the_bootstrap_agrees_with_the_normal_interval_where_tasks_are_many() -> None:
    values = np.random.default_rng(5).normal(0.1, 0.5, size=400)
    found = paired_bootstrap([float(value) for value in values], seed=2)
    error = 1.96 * values.std() / math.sqrt(400)
    assert (found.low, found.high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.005)


@quick
@given(differences, st.integers(0, 2**32 - 1))
def test_laws_of_the_bootstrap(values: list[float], seed: int) -> None:
    found = paired_bootstrap(values, seed=seed, resamples=2000)
    assert min(values) <= found.low <= found.mean + 1e-12 and found.mean - 1e-12 <= found.high <= max(values)
    assert paired_bootstrap(values, seed=seed, resamples=2000) == found
    assert paired_bootstrap(values[::-1], seed=seed, resamples=2000) == found  # the order of tasks says nothing
    assert bootstrap_lower(values, alpha=0.025, resamples=2000, seed=seed) == pytest.approx(found.low, abs=1e-12)
    assert bootstrap_lower(values, alpha=0.2, resamples=2000, seed=seed) >= found.low - 1e-12


@quick
@given(differences, st.integers(0, 1000))
def test_swapping_new_and_old_mirrors_the_interval(values: list[float], seed: int) -> None:
    found = paired_bootstrap(values, seed=seed)
    mirrored = paired_bootstrap([-value for value in values], seed=seed + 1)
    spread = 8 * float(np.std(values)) / math.sqrt(len(values)) / math.sqrt(10_000 * 0.025)  # of a resampled quantile
    grain = 1.0 / len(values)
    assert found.low == pytest.approx(-mirrored.high, abs=spread + grain)


def test_a_small_alpha_draws_as_many_resamples_as_its_tail_wants() -> None:
    values = [1.0] * 30 + [0.0] * 60 + [-1.0] * 10
    spread = [bootstrap_lower(values, alpha=1e-4, resamples=100, seed=seed) for seed in range(5)]
    assert max(spread) - min(spread) < 0.05  # of 100 resamples the lowest would scatter, and lie near the 1 % bound
    assert max(spread) < paired_bootstrap(values, seed=0, level=0.998).low


@pytest.mark.parametrize("values", [[], [float("nan")], [0.0, float("inf")]])
def test_the_bootstrap_refuses_what_has_no_mean(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one difference"):
        paired_bootstrap(values, seed=0)


def _panel(generator: np.random.Generator, n: int, wins: float, losses: float) -> list[float]:
    return [float(d) for d in generator.choice([1.0, -1.0, 0.0], size=n, p=[wins, losses, 1 - wins - losses])]


def test_the_bootstrap_covers() -> None:
    generator = np.random.default_rng(11)
    held = 0
    for trial in range(400):
        found = paired_bootstrap(_panel(generator, 100, 0.3, 0.15), seed=trial, resamples=1000)
        held += found.low <= 0.15 <= found.high
    assert 0.915 < held / 400 < 0.98  # 95 % less what percentile intervals lose at n = 100, and 2.5 standard errors


def _promotes(values: list[float], alpha: float, seed: int) -> bool:
    p_value = mcnemar_one_sided(values.count(1.0), values.count(-1.0))
    return p_value <= alpha and bootstrap_lower(values, alpha=alpha, resamples=1000, seed=seed) > 0


def test_a_candidate_no_better_is_rarely_promoted_and_a_better_one_often() -> None:
    generator = np.random.default_rng(12)
    equal = sum(_promotes(_panel(generator, 130, 0.15, 0.15), 0.025, trial) for trial in range(800))
    assert equal / 800 < 0.025 + 2.5 * math.sqrt(0.025 * 0.975 / 800)
    lenient = sum(_promotes(_panel(generator, 130, 0.15, 0.15), 0.2, trial) for trial in range(200))
    assert lenient / 200 > 0.08  # the check above would notice a gate that spends eight times its budget
    better = sum(_promotes(_panel(generator, 130, 0.30, 0.10), 0.025, trial) for trial in range(100))
    assert better > 85


# McNemar


def test_mcnemar_by_hand() -> None:
    assert mcnemar_one_sided(5, 0) == pytest.approx(1 / 32)
    assert mcnemar_one_sided(8, 2) == pytest.approx((45 + 10 + 1) / 1024)
    assert mcnemar_one_sided(0, 0) == mcnemar_one_sided(0, 5) == 1.0
    assert mcnemar_one_sided(1, 1) == pytest.approx(0.75)
    with pytest.raises(ValueError, match="cannot be counts"):
        mcnemar_one_sided(-1, 2)


@quick
@given(st.integers(0, 80), st.integers(0, 80))
def test_laws_of_mcnemar(wins: int, losses: int) -> None:
    p = mcnemar_one_sided(wins, losses)
    exact = sum(math.comb(wins + losses, k) for k in range(wins, wins + losses + 1)) / 2 ** (wins + losses)
    assert p == pytest.approx(exact, rel=1e-9)
    assert mcnemar_one_sided(wins + 1, losses) < p or p == 1.0
    assert mcnemar_one_sided(wins, losses + 1) >= p


# How many tasks would decide


def test_tasks_needed_by_hand() -> None:
    # psi = 0.3, d = 0.1: (1.959964 * 0.547723 + 0.841621 * 0.538516)^2 / 0.01 = 1.526744^2 / 0.01 = 233.1
    assert tasks_needed(20, 10, 100, 0.025) == 234
    # d = psi = 0.5: (1.959964 * 0.707107 + 0.841621 * 0.5)^2 / 0.25 = 13.06
    assert tasks_needed(5, 0, 10, 0.025) == 14
    # all won: the formula says 4, but of fewer than 6 tasks not even 6 wins of 6 would do: 2^-5 > 0.025
    assert tasks_needed(3, 0, 3, 0.025) == 6
    assert tasks_needed(10, 10, 100, 0.025) is None
    assert tasks_needed(1, 2, 3, 0.025) is None
    assert tasks_needed(0, 0, 0, 0.025) is None
    with pytest.raises(ValueError, match="do not fit"):
        tasks_needed(3, 3, 5, 0.025)


@quick
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200), st.sampled_from([0.001, 0.0125, 0.05]))
def test_laws_of_tasks_needed(wins: int, losses: int, ties: int, alpha: float) -> None:
    needed = tasks_needed(wins, losses, wins + losses + ties, alpha)
    assert (needed is None) == (wins <= losses)
    if needed is not None:
        n = wins + losses + ties
        assert needed <= (tasks_needed(wins, losses, n, alpha / 2) or 0)
        assert needed <= (tasks_needed(wins, losses, n, alpha, power=0.95) or 0)


@pytest.mark.parametrize(("wins", "losses"), [(20, 10), (30, 5), (12, 4)])
def test_so_many_tasks_do_decide(wins: int, losses: int) -> None:
    """Exact power of McNemar's test at the number of tasks said, against the 80 % promised."""
    needed = tasks_needed(wins, losses, 100, 0.025)
    assert needed is not None
    differ, share = (wins + losses) / 100, wins / (wins + losses)
    power = 0.0
    for count in range(needed + 1):
        least = next((k for k in range(count + 1) if mcnemar_one_sided(k, count - k) <= 0.025), None)
        if least is not None:
            power += float(binom.pmf(count, needed, differ) * binom.sf(least - 1, count, share))
    assert 0.72 < power < 0.88  # the exact test is a little less powerful than its approximation


# Holm


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, each at least the one before
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))
    assert holm([0.4]) == (0.4,) and holm([]) == ()
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    with pytest.raises(ValueError, match="p-values lie"):
        holm([0.5, 1.5])


@settings(max_examples=15, deadline=None)  # statsmodels takes 60 ms for each
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_laws_of_holm(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(
        min(1.0, value) <= new <= min(1.0, len(values) * value) + 1e-12
        for value, new in zip(values, adjusted, strict=True)
    )
    order = np.argsort(values, kind="stable")
    assert list(np.asarray(adjusted)[order]) == sorted(adjusted)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_levels_that_are_none(share: float) -> None:
    for call in (
        lambda: wilson(1, 2, share),
        lambda: paired_bootstrap([1.0], seed=0, level=share),
        lambda: bootstrap_lower([1.0], alpha=share, seed=0),
        lambda: tasks_needed(2, 1, 3, share),
    ):
        with pytest.raises(ValueError, match="between 0 and 1"):
            call()


def test_importing_core_brings_in_nothing_heavy() -> None:
    code = (
        "import sys, wisen.core.statistics, wisen.core.workspace, wisen.core.protocols; "
        "heavy = {'scipy', 'statsmodels', 'pandas', 'torch', 'sqlalchemy', 'alembic', 'filelock'}; "
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# pass@k


@quick
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(1, 8))
def test_pass_at_k_is_the_share_of_all_choices_of_k_that_hold_a_success(outcomes: list[bool], k: int) -> None:
    k = min(k, len(outcomes))
    share = np.mean([any(chosen) for chosen in combinations(outcomes, k)])
    assert pass_at_k(sum(outcomes), len(outcomes), k) == pytest.approx(share)


def test_pass_at_k_is_unbiased() -> None:
    # the mean over Binomial(n, p) is 1 - (1 - p)^k; the plug-in 1 - (1 - c/n)^k is not
    n, k, p = 5, 3, 0.3
    weights = [binom.pmf(successes, n, p) for successes in range(n + 1)]
    mean = sum(weight * pass_at_k(successes, n, k) for successes, weight in enumerate(weights))
    assert mean == pytest.approx(1 - (1 - p) ** k)
    assert sum(weight * (1 - (1 - c / n) ** k) for c, weight in enumerate(weights)) != pytest.approx(mean, abs=0.01)


@pytest.mark.parametrize(("successes", "n", "k"), [(3, 2, 1), (-1, 2, 1), (1, 2, 3), (1, 2, 0), (0, 0, 1)])
def test_pass_at_k_refuses_what_cannot_be(successes: int, n: int, k: int) -> None:
    with pytest.raises(ValueError, match="do not say"):
        pass_at_k(successes, n, k)
