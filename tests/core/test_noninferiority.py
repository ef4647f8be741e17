"""Not worse by a margin: the exact test by hand, its error at the margin, and the size that it asks for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multinomial, norm

from wisen.core.noninferiority import chance_of, least_score, not_inferior, pairs_needed, score


def test_by_hand() -> None:
    # None of 20 differs. At the margin losses are a fifth at least; the score is (0 + 4) / sqrt(20 * 0.2 * 0.8).
    assert score(0, 0, 20, 0.2) == pytest.approx(4 / np.sqrt(20 * 0.16))
    # As high or higher only where nobody loses, or wins make up for it. At a share of losses of 0.2 nobody wins.
    assert not_inferior(0, 0, 20, 0.2) >= 0.8**20
    assert not_inferior(0, 4, 20, 0.2) == 1.0  # that is the margin


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 20), st.sampled_from([0.05, 0.1, 0.3]))
def test_laws(wins: int, losses: int, ties: int, margin: float) -> None:
    n = wins + losses + ties + 1
    found = not_inferior(wins, losses, n, margin)
    assert 0 <= found <= 1
    assert not_inferior(wins + 1, losses, n, margin) <= found + 1e-9  # one more win for a tie
    assert not_inferior(wins, losses + 1, n, margin) >= found - 1e-9


@pytest.mark.parametrize("n", [40, 90])
@pytest.mark.parametrize("lost", [0.1, 0.12, 0.2, 0.4])
def test_what_costs_the_margin_passes_no_more_often_than_alpha(n: int, lost: float) -> None:
    """Exactly, over all outcomes."""
    margin, alpha = 0.1, 0.05
    won = lost - margin
    wins, losses = (grid.ravel() for grid in np.meshgrid(np.arange(n + 1), np.arange(n + 1)))
    fits = wins + losses <= n
    wins, losses = wins[fits], losses[fits]
    chance = multinomial.pmf(np.stack([wins, losses, n - wins - losses], axis=1), n, [won, lost, 1 - won - lost])
    scores = score(wins, losses, n, margin)
    assert chance @ (scores >= least_score(n, margin, alpha)) <= alpha * 1.01


def test_the_normal_approximation_is_too_liberal_where_few_differ() -> None:
    """What the exact test is for: the planted fault is seen."""
    worst = max(chance_of(float(norm.isf(0.05)) - 1e-9, n, 0.1) for n in range(25, 60))
    assert worst > 0.06


@pytest.mark.parametrize("discordance", [0.0, 0.02, 0.1])
def test_the_size_asked_for_lets_an_unchanged_candidate_pass(discordance: float) -> None:
    n = pairs_needed(0.1, discordance)
    draw = np.random.default_rng(0)
    counts = draw.multinomial(n, [discordance / 2, discordance / 2, 1 - discordance], size=300)[:, :2]
    passed = np.mean([not_inferior(int(won), int(lost), n, 0.1) <= 0.025 for won, lost in counts])
    assert passed >= 0.76  # 0.8, and what 300 panels may be off by
    assert not_inferior(0, 0, pairs_needed(0.1, 0) // 2, 0.1) > 0.025  # too small is never enough


def test_sizes_grow_as_they_should() -> None:
    sizes = [pairs_needed(0.05, share) for share in (0.02, 0.05, 0.1, 0.2)]
    assert sizes == sorted(sizes)
    assert pairs_needed(0.02, 0.1) > 5 * pairs_needed(0.05, 0.1)


def test_nonsense_is_refused() -> None:
    for wins, losses, n, margin in ((-1, 0, 5, 0.1), (3, 3, 5, 0.1), (0, 0, 0, 0.1), (1, 1, 5, 0.0), (1, 1, 5, 1.0)):
        with pytest.raises(ValueError):
            not_inferior(wins, losses, n, margin)
    with pytest.raises(ValueError):
        pairs_needed(0.05, 1.5)
