"""Betting on paired differences: hand-worked wealth, laws, and that it is never fooled more often than it may be."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wisen.core.betting import BETS, log_evidence, log_evidence_of_counts, lower_bound, p_value, units_needed

quick = settings(max_examples=40, deadline=None)
differences = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=40)


def test_wealth_by_hand() -> None:
    """Two wins and a loss multiply a bet of share b by (1 + b)^2 (1 - b); the mixture is the mean over the bets."""
    wealth = np.mean((1 + BETS) ** 2 * (1 - BETS))
    assert log_evidence([1.0, -1.0, 1.0])[-1] == pytest.approx(math.log(wealth))
    # A margin of a fifth: 0 lies a fifth above it, of the 0.8 that a loss costs; each bet grows by 1 + b / 4.
    assert log_evidence([0.0], 0.2)[-1] == pytest.approx(math.log(np.mean(1 + BETS / 4)))
    assert p_value([-1.0, -1.0]) == 1.0


@quick
@given(differences, st.floats(-0.5, 0.5))
def test_laws(found: list[float], margin: float) -> None:
    path = log_evidence(found, margin)
    assert len(path) == len(found)
    assert path[-1] == pytest.approx(log_evidence(found[::-1], margin)[-1])  # the order is nothing to the last
    values, counts = np.unique(found, return_counts=True)
    assert path[-1] == pytest.approx(log_evidence_of_counts(counts, list(values), margin))
    assert log_evidence([*found, 1.0], margin)[-1] > path[-1]
    assert log_evidence(found, margin + 0.2)[-1] >= path[-1] - 1e-9  # a larger margin is easier to keep


@quick
@given(differences, st.floats(0.001, 0.4))
def test_the_bound_is_where_the_evidence_is_enough(found: list[float], alpha: float) -> None:
    bound = lower_bound(found, alpha)
    assert bound <= np.mean(found)
    assert (bound > 0) == (p_value(found) < alpha)
    assert lower_bound(found, alpha / 2) <= bound


@pytest.mark.parametrize("values", [(-1.0, 0.0, 1.0), (-0.9, 0.1), (-0.1, 0.9)])
def test_it_is_fooled_at_any_time_no_more_often_than_alpha(values: tuple[float, ...]) -> None:
    """Differences of mean 0, however they lie about it, looked at after each of 200."""
    draw, alpha = np.random.default_rng(0), 0.1
    chances = {3: [0.2, 0.6, 0.2], 2: [values[-1], -values[0]]}[len(values)]
    walks = draw.choice(values, p=np.array(chances) / np.sum(chances), size=(800, 200))
    fooled = float((log_evidence(walks).max(axis=1) >= -math.log(alpha)).mean())
    assert fooled <= alpha + 0.01
    naive = walks.cumsum(axis=1) / np.sqrt((walks**2).cumsum(axis=1) + 1e-9)  # a z-test read at each look
    assert (naive[:, 20:].max(axis=1) > 1.2816).mean() > 2 * alpha


def test_how_many_would_decide() -> None:
    found = [1.0] * 6 + [-1.0] * 2 + [0.0] * 22
    needed = units_needed(found, alpha=0.025)
    assert needed is not None and needed > 30
    draw = np.random.default_rng(1)
    decided = log_evidence(draw.choice([1.0, -1.0, 0.0], p=[0.2, 1 / 15, 11 / 15], size=(400, needed)))[:, -1]
    assert 0.68 < (decided >= -math.log(0.025)).mean() < 0.92
    assert units_needed([0.0, -1.0], alpha=0.025) is None and units_needed([0.0] * 9, alpha=0.025) is None
    assert units_needed([0.0] * 9, alpha=0.025, margin=0.05) is not None


def test_what_does_not_lie_between_minus_one_and_one_is_refused() -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        log_evidence([0.5, 1.5])
