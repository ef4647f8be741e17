"""The gate's rule, against figures worked out by hand, laws that hold for any outcomes, and a simulated null."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wisen.core.errors import SettingsError
from wisen.core.records import GateAnswer, GateDecision, PairedOutcome
from wisen.evolution.gate import decide
from wisen.evolution.gates.competing import adjusted, best
from wisen.evolution.gates.evidence import Evidence, weigh
from wisen.evolution.gates.settings import GateSettings

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


# Other units, looks on the way, several candidates


def families(*means: float, each: int = 10) -> list[PairedOutcome]:
    """Families of `each` tasks, with these mean differences."""
    return [
        PairedOutcome(
            task_id=f"{number}-{task}",
            family=str(number),
            old=mean < 0 and task < round(-mean * each),
            new=task < round(mean * each),
        )
        for number, mean in enumerate(means)
        for task in range(each)
    ]


def test_a_claim_about_families_counts_families() -> None:
    """One family that gains much is luck, however many tasks it has; twenty are not."""
    rule = ONCE.model_copy(update={"claim": "families"})
    one = families(1.0, *[0.0] * 12)
    assert gate(one).answer is GateAnswer.PROMOTE
    decision = gate(one, rule)
    assert decision.answer is GateAnswer.NOT_ENOUGH_EVIDENCE and (decision.claim, decision.test) == (
        "families",
        "betting",
    )
    assert decision.difference.mean == pytest.approx(1 / 13) and "1 of 13 families" in decision.reason
    assert "families would decide" in decision.reason
    assert gate(families(*[0.5] * 20), rule).answer is GateAnswer.PROMOTE
    alike = families(*[0.3] * 6, -0.3, *[0.3] * 6)  # seven of thirteen times as sure as a sign test has it
    assert gate(alike, rule).answer is GateAnswer.NOT_ENOUGH_EVIDENCE
    single = gate(families(*[1.0] * 5, 0.0, each=1), rule)  # each family is one task: the exact test again
    assert single.test == "mcnemar" and single.p_value == pytest.approx(1 / 32)


def test_attempts_at_a_task_are_one_observation() -> None:
    twice = [pair for pair in outcomes(wins=4, both=8) for _ in range(3)]
    assert gate([pair.model_copy(update={"task_id": str(n)}) for n, pair in enumerate(twice)]).p_value < 0.001
    decision = gate(twice)
    assert decision.answer is GateAnswer.NOT_ENOUGH_EVIDENCE and decision.test == "betting"
    assert decision.difference.mean == pytest.approx(4 / 12) and "4 of 12 tasks" in decision.reason


def anytime(pairs: Sequence[PairedOutcome], of: int | None = None, **changed: object) -> GateDecision:
    rule = ONCE.model_copy(update={"kind": "anytime", "batch": 10, **changed})
    return decide(
        pairs,
        candidate_id="new",
        incumbent_id="old",
        panel_digest="p",
        use=1,
        settings=GateSettings.model_validate(rule.model_dump()),
        seed=0,
        of=of,
    )


def test_looks_stop_at_a_clear_win_a_clear_loss_and_the_end() -> None:
    draw = random.Random(1)
    win = anytime(outcomes(wins=10, losses=90), of=100)
    assert win.answer is GateAnswer.PROMOTE and len(win.outcomes) == 10 and win.of == 100 and win.test == "betting"
    loss = anytime(outcomes(losses=20, both=80), of=100)
    assert loss.answer is GateAnswer.KEEP and len(loss.outcomes) == 10
    close = outcomes(wins=14, losses=5, both=31)
    draw.shuffle(close)
    whole = anytime(close, futility=0.0)
    assert whole.of is None and len(whole.outcomes) == 50
    # The end reads the exact test, with half of alpha: twice its p-value, sum of C(19, k) for k >= 14, is compared.
    assert whole.test == "mcnemar" and whole.p_value == pytest.approx(2 * 16664 / 2**19)
    assert whole.answer is GateAnswer.NOT_ENOUGH_EVIDENCE and (whole.tasks_needed or 0) > 0


def lives(rule: GateSettings, count: int, differing: float, tasks: int) -> float:
    """The share of panel lives in which a candidate that is no better was promoted."""
    draw, fooled = random.Random(3), 0
    for life in range(count):
        for use in range(1, rule.uses + 1):
            pairs = [
                PairedOutcome(task_id=str(task), family="f", old=old, new=old != (draw.random() < differing))
                for task, old in enumerate(draw.random() < 0.5 for _ in range(tasks))
            ]
            if gate(pairs, rule, use, seed=life).answer is GateAnswer.PROMOTE:
                fooled += 1
                break
    return fooled / count


def test_looks_fool_nobody_more_often_than_the_budget() -> None:
    rule = GateSettings(alpha=0.2, uses=2, resamples=100, kind="anytime", batch=5, futility=0.0)
    assert lives(rule, 60, 0.3, 40) <= 0.2 + 2 * (0.16 / 60) ** 0.5


def test_a_bound_that_is_too_liberal_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: bets that pay more for a win than they lose by a loss."""
    from wisen.core import betting

    fair = betting._growth
    monkeypatch.setattr(betting, "_growth", lambda values, margin: fair(values, margin) + 0.5 * (values[..., None] > 0))
    rule = GateSettings(alpha=0.2, uses=2, resamples=100, kind="anytime", batch=5, futility=0.0)
    assert lives(rule, 25, 0.5, 40) > 0.2 + 2 * (0.16 / 25) ** 0.5


def test_the_best_of_those_that_compete_has_to_pass_holm() -> None:
    def weighed(wins: int, losses: int) -> Evidence:
        return weigh(outcomes(wins, losses, both=40), ONCE, ONCE.alpha, seed=0)

    found = {"both": weighed(5, 0), "weights": weighed(0, 3), "memory": weighed(3, 3)}
    assert found["both"].p_value <= ONCE.alpha < adjusted(found)["both"] == pytest.approx(3 / 32)
    assert best(found, ONCE.alpha) == "both"  # it is named, and does not pass
    found = {"both": weighed(9, 0), "weights": weighed(12, 0), "memory": weighed(9, 0)}
    assert best(found, ONCE.alpha) == "weights"
    assert best({"both": weighed(9, 0), "memory": weighed(9, 0)}, ONCE.alpha) == "both"


def test_settings_that_would_do_nothing_are_refused() -> None:
    for wrong in (
        {"attempts": 2},
        {"kind": "anytime", "ablation": "compete"},
        {"noninferior": {"far": {"measure": "success"}}},
    ):
        with pytest.raises((SettingsError, ValueError)):
            GateSettings.model_validate(wrong)
