import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wisen.core.sequential import BETS, FallAlarm, MeanSequence, e_bh, interval, values_needed


def scores(streams: int, n: int, lift: float, p: float = 0.5, seed: int = 0) -> tuple[np.ndarray, float, float]:
    """Inverse-propensity scores with baseline 0.5, and their bounds."""
    draw = np.random.default_rng(seed)
    shown = draw.random((streams, n)) < p
    success = draw.random((streams, n)) < 0.5 + lift * shown
    return np.where(shown, 1 / p, -1 / (1 - p)) * (success - 0.5), -0.5 / (1 - p), 0.5 / (1 - p)


def ever_missed(values: np.ndarray, low: float, high: float, targets: np.ndarray, alpha: float) -> np.ndarray:
    """[streams] Whether an interval at any time failed to hold its target. targets: [n]."""
    sequence, missed = MeanSequence.start(values.shape[:1]), np.zeros(len(values), dtype=bool)
    for at, target in enumerate(targets):
        sequence = sequence.extended(values[:, at : at + 1], low, high)
        evidence = np.maximum(sequence.log_evidence(target), sequence.log_evidence_below(target))
        missed |= evidence > math.log(1 / alpha)  # that is: the target lies outside, see the test of both
    return missed


@pytest.mark.parametrize(("p", "lift"), [(0.5, 0.2), (0.9, -0.1)])
def test_it_covers_at_all_times_where_a_fixed_time_interval_does_not(p: float, lift: float) -> None:
    values, low, high = scores(200, 300, lift, p)
    assert ever_missed(values, low, high, np.full(300, lift), 0.025).mean() <= 0.05
    n = np.arange(1, 301)
    halves = 1.96 * values.std(axis=1, keepdims=True) / np.sqrt(n)
    assert (np.abs(np.cumsum(values, 1) / n - lift) > halves)[:, 30:].any(axis=1).mean() > 0.15


def test_it_holds_the_mean_so_far_of_a_mean_that_drifts() -> None:
    means = np.concatenate([np.full(120, 0.4), np.full(180, -0.4)])
    draw = np.random.default_rng(1)
    values = np.where(draw.random((200, 300)) < (1 + means) / 2, 1.0, -1.0)
    assert ever_missed(values, -1, 1, np.cumsum(means) / np.arange(1, 301), 0.025).mean() <= 0.05
    assert ever_missed(values, -1, 1, np.full(300, 0.4), 0.025).all()  # where it began is given up


def test_it_is_tight_enough_to_decide() -> None:
    values, low, high = scores(50, 1000, 0.2)
    sequence = MeanSequence.start((50,)).extended(values, low, high)
    assert (sequence.lower(0.025) > 0).mean() > 0.9
    assert (sequence.upper(0.025) - sequence.lower(0.025)).mean() / 2 < 2 * 1.96 / math.sqrt(1000)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 99))
def test_values_come_in_any_portions(n: int, first: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    lows, highs = -draw.uniform(0.5, 3, n), draw.uniform(0.5, 3, n)
    values, counted = draw.uniform(lows, highs), draw.random(n) < 0.8
    first = min(first, n)
    whole = MeanSequence.start().extended(values, lows, highs, counted)
    parts = MeanSequence.start()
    for part in (slice(0, first), slice(first, n)):
        parts = parts.extended(values[part], lows[part], highs[part], counted[part])
    only = MeanSequence.start().extended(values[counted], lows[counted], highs[counted])
    for other in (parts, only):
        for name, array in vars(whole).items():
            np.testing.assert_allclose(getattr(other, name), array, rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 80), st.integers(0, 99), st.floats(0.01, 0.2))
def test_bounds_and_evidence_say_the_same(n: int, seed: int, alpha: float) -> None:
    values = np.random.default_rng(seed).choice([-1.0, 2.0], n)
    sequence = MeanSequence.start().extended(values, -1, 2)
    lower, upper = float(sequence.lower(alpha)), float(sequence.upper(alpha))
    assert lower < sequence.mean < upper
    assert sequence.log_evidence(lower) == pytest.approx(math.log(1 / alpha), abs=1e-6)
    assert sequence.log_evidence_below(upper) == pytest.approx(math.log(1 / alpha), abs=1e-6)
    mirrored = MeanSequence.start().extended(-values, -2, 1)
    assert -float(mirrored.upper(alpha)) == pytest.approx(lower)


def test_evidence_is_at_most_1_on_average_where_the_null_holds() -> None:
    values, low, high = scores(4_000, 60, 0.0, seed=3)
    wealth = np.exp(MeanSequence.start((4_000,)).extended(values, low, high).log_evidence())
    assert wealth.mean() <= 1.0 + 3 * wealth.std() / math.sqrt(4_000)


def test_nothing_is_known_before_the_first_value() -> None:
    empty = MeanSequence.start()
    assert interval(empty) is None and empty.lower(0.05) == -np.inf and empty.log_evidence() == 0.0
    assert values_needed(empty, alpha=0.05, above=0.0) is None
    wild = empty.extended([900.0], -1000.0, 1000.0)  # no bet may be made on such a value
    assert interval(wild) is None and 1000 * BETS.min() >= 1


@pytest.mark.parametrize(("value", "low", "high"), [(2.0, -1.0, 1.0), (-2.0, -1.0, 1.0), (0.5, 0.0, 1.0)])
def test_a_value_outside_its_bounds_is_refused(value: float, low: float, high: float) -> None:
    with pytest.raises(ValueError, match="bounds"):
        MeanSequence.start().extended([value], low, high)


def test_how_many_more_are_needed() -> None:
    values, low, high = scores(1, 100, 0.2, seed=5)
    sequence = MeanSequence.start().extended(values[0], low, high)
    more = values_needed(sequence, alpha=0.025, above=0.0)
    assert more is not None and 0 < more < 5000
    assert sequence.projected((100 + more) / 100).lower(0.025) > 0 > sequence.projected((90 + more) / 100).lower(0.025)
    assert values_needed(sequence, alpha=0.025, below=0.0) is None  # it is on the other side
    certain = sequence.projected(100)
    assert values_needed(certain, alpha=0.025, above=0.0) == 0


def test_the_share_of_false_discoveries_is_held() -> None:
    assert e_bh([], 0.05) == ()
    assert e_bh([math.log(40.1), math.log(39.9)], 0.05) == (True, True)  # 2 / (0.05 x 2) is 20
    assert e_bh([math.log(39.9), 0.0], 0.05) == (False, False)
    assert e_bh([math.log(40.1), 0.0], 0.05) == (True, False)
    with pytest.raises(ValueError, match="alpha"):
        e_bh([1.0], 1.5)
    # 30 nulls whose e-values are as bold as they may be, together, beside 10 that are true
    draw, shares = random.Random(0), []
    for _ in range(2000):
        bold = math.log(20.0) if draw.random() < 1 / 20 else -math.inf
        rejected = e_bh([bold] * 30 + [math.log(1000.0)] * 10, 0.05)
        shares.append(sum(rejected[:30]) / max(1, sum(rejected)))
    assert sum(shares) / len(shares) <= 0.05


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 12), min_size=1, max_size=30), st.floats(0.01, 0.5))
def test_e_bh_is_what_its_definition_says(log_e: list[float], alpha: float) -> None:
    m, ordered = len(log_e), sorted(log_e, reverse=True)
    k = max((k for k in range(1, m + 1) if math.exp(ordered[k - 1]) >= m / (alpha * k) * (1 - 1e-12)), default=0)
    assert sum(e_bh(log_e, alpha)) >= k
    assert all(value >= ordered[k - 1] for value, hit in zip(log_e, e_bh(log_e, alpha), strict=True) if hit and k)


def alarms(values: np.ndarray, high: float, variance: float, level: float) -> np.ndarray:
    """[streams] the first time that each alarm goes off; n where never."""
    alarm, first = FallAlarm.start(values.shape[:1]), np.full(len(values), values.shape[1])
    for at in range(values.shape[1]):
        alarm = alarm.extended(values[:, at : at + 1], high, variance, fall=0.1)
        first = np.where((alarm.log_wealth >= math.log(level)) & (first == values.shape[1]), at, first)
    return first


def test_the_alarm_goes_off_where_the_mean_fell_and_seldom_elsewhere() -> None:
    good, _, high = scores(100, 1500, 0.2, 0.8)
    bad, _, _ = scores(100, 1500, -0.1, 0.8, seed=1)
    idle, _, _ = scores(200, 300, 0.0, 0.8, seed=2)
    variance = 0.25 / (0.8 * 0.2)
    assert (alarms(good, high, variance, 10) < 1500).mean() < 0.05
    assert (alarms(bad, high, variance, 10) < 1500).mean() > 0.9
    assert (alarms(np.concatenate([good, bad], 1), high, variance, 10) < 3000).mean() > 0.9  # also after long success
    assert alarms(idle, high, variance, 100).mean() > 100  # 100 values on average at the least


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 40), st.integers(0, 99))
def test_the_alarm_takes_values_in_any_portions(n: int, first: int, seed: int) -> None:
    values = np.random.default_rng(seed).choice([-1.0, 1.0], n)
    first = min(first, n)
    whole = FallAlarm.start().extended(values, 1.0, 1.0, fall=0.3)
    parts = FallAlarm.start().extended(values[:first], 1.0, 1.0, fall=0.3)
    parts = parts.extended(values[first:], 1.0, 1.0, fall=0.3)
    assert float(whole.log_wealth) == pytest.approx(float(parts.log_wealth))
    by_hand = 0.0
    for value in values:
        by_hand = max(by_hand, 0.0) + math.log1p(-0.3 * value)
    assert float(whole.log_wealth) == pytest.approx(by_hand)
