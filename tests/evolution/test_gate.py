"""The gate's rule, against figures worked out by hand, laws that hold for any outcomes, and a simulated null."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wisen.core.records import GateAnswer, GateDecision, PairedOutcome
from wisen.evolution.gate import decide
from wisen.evolution.settings import GateSettings

ONCE = GateSettings(per_template=1, alpha=0.05, uses=1, resamples=2_000)


def outcomes(wins: int = 0, losses: int = 0, both: int = 0, neither: int = 0) -> list[PairedOutcome]:
    kinds = [(False, True)] * wins + [(True, False)] * losses + [(True, True)] * both + [(False, False)] * neither
    return [
        PairedOutcome(task_id=f"t{number}", family="f", old=old, new=new) for number, (old, new) in enumerate(kinds)
    ]


def gate(
    pairs: Sequence[PairedOutcome], rule: GateSettings = ONCE, use: int = 1, seed: int = 0, candidate: str = "new"
) -> GateDecision:
    return decide(
        pairs, candidate_id=candidate, incumbent_id="old", panel_digest="panel", use=use, settings=rule, seed=seed
    )


@pytest.mark.parametrize(
    ("wins", "losses", "p", "answer"),
    [
        (5, 0, 1 / 32, GateAnswer.PROMOTE),
        (4, 0, 1 / 16, GateAnswer.NOT_ENOUGH_EVIDENCE),
        (8, 1, 10 / 512, GateAnswer.PROMOTE),  # (C(9,8) + C(9,9)) / 2^9
        (8, 2, 56 / 1024, GateAnswer.NOT_ENOUGH_EVIDENCE),  # (45 + 10 + 1) / 2^10
        (3, 3, 42 / 64, GateAnswer.KEEP),
        (0, 0, 1.0, GateAnswer.KEEP),
        (0, 5, 1.0, GateAnswer.KEEP),
    ],
)
def test_it_reads_the_exact_test_as_worked_by_hand(wins: int, losses: int, p: float, answer: GateAnswer) -> None:
    decision = gate(outcomes(wins, losses, both=6, neither=4))
    assert decision.p_value == pytest.approx(p)
    assert decision.answer is answer
    assert decision.difference.mean == pytest.approx((wins - losses) / (wins + losses + 10))


def test_a_promotion_stands_on_both_bounds_and_says_so() -> None:
    decision = gate(outcomes(wins=20, losses=2, both=20))
    assert decision.answer is GateAnswer.PROMOTE and decision.lower_bound > 0 and decision.tasks_needed is None
    assert "20 of 42 tasks" in decision.reason and "promoted" in decision.reason


def test_where_it_cannot_tell_it_says_how_many_tasks_would_decide() -> None:
    pairs = outcomes(wins=4, losses=1, both=15)
    decision = gate(pairs)
    assert decision.answer is GateAnswer.NOT_ENOUGH_EVIDENCE
    assert decision.tasks_needed is not None and decision.tasks_needed > len(pairs)
    assert f"about {decision.tasks_needed} tasks would decide" in decision.reason


def test_the_error_budget_is_split_over_the_uses_of_the_panel() -> None:
    rule = ONCE.model_copy(update={"uses": 4})
    pairs = outcomes(wins=5, both=15)  # p = 0.031: enough at 0.05, not at a quarter of it
    decision = gate(pairs, rule, use=2)
    assert (decision.use, decision.uses, decision.alpha) == (2, 4, 0.0125)
    assert gate(pairs).answer is GateAnswer.PROMOTE and decision.answer is GateAnswer.NOT_ENOUGH_EVIDENCE


@pytest.mark.parametrize("use", [0, 3, -1])
def test_a_use_beyond_the_budget_is_refused(use: int) -> None:
    with pytest.raises(ValueError, match="good for 2 uses"):
        gate(outcomes(wins=30), ONCE.model_copy(update={"uses": 2}), use=use)


def test_no_outcomes_are_no_evidence() -> None:
    with pytest.raises(ValueError, match="needs outcomes"):
        gate([])


def test_equal_evidence_gives_the_equal_decision() -> None:
    pairs = outcomes(wins=7, losses=2, both=9, neither=3)
    assert gate(pairs) == gate(list(pairs))
    assert gate(pairs).id != gate(pairs, candidate="another").id
    assert gate(pairs).id != gate(pairs[:-1]).id


counts = st.integers(0, 25)


@settings(max_examples=60, deadline=None)
@given(counts, counts, counts, counts, st.floats(0.01, 0.49), st.integers(0, 99))
def test_never_both_ways_round(wins: int, losses: int, both: int, neither: int, alpha: float, seed: int) -> None:
    pairs = outcomes(wins, losses, both, neither) or outcomes(both=1)
    swapped = [pair.model_copy(update={"old": pair.new, "new": pair.old}) for pair in pairs]
    rule = GateSettings(per_template=1, alpha=alpha, uses=1, resamples=200)
    answers = [gate(pairs, rule, seed=seed).answer, gate(swapped, rule, seed=seed).answer]
    assert answers.count(GateAnswer.PROMOTE) <= 1
    if wins <= losses:
        assert answers[0] is GateAnswer.KEEP


def test_over_a_panels_life_false_promotions_stay_within_the_budget() -> None:
    """Candidates as good as the incumbent, tried on one panel until its uses are spent."""
    draw, lives = random.Random(7), 300
    rule = GateSettings(per_template=1, alpha=0.2, uses=4, resamples=100)
    fooled = 0
    for life in range(lives):
        chances = [draw.random() for _ in range(40)]
        old = [draw.random() < chance for chance in chances]
        for use in range(1, rule.uses + 1):
            pairs = [
                PairedOutcome(task_id=str(task), family="f", old=before, new=draw.random() < chance)
                for task, (before, chance) in enumerate(zip(old, chances, strict=True))
            ]
            if gate(pairs, rule, use, seed=life).answer is GateAnswer.PROMOTE:
                fooled += 1
                break
    error = (rule.alpha * (1 - rule.alpha) / lives) ** 0.5
    assert 0 < fooled / lives <= rule.alpha + 2 * error
