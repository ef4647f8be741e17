"""The gate: a pure function from paired outcomes to an answer."""

from collections.abc import Sequence

from wisen.core.ids import content_id, derived_seed
from wisen.core.records import GateAnswer, GateDecision, PairedOutcome
from wisen.core.statistics import bootstrap_lower, loss_bound, mcnemar_one_sided, paired_bootstrap, tasks_needed
from wisen.evolution.settings import GateSettings


def decide(
    outcomes: Sequence[PairedOutcome],
    *,
    candidate_id: str,
    incumbent_id: str,
    panel_digest: str,
    use: int,
    settings: GateSettings,
    seed: int,
    tolerance: float = 0.0,
) -> GateDecision:
    """Promote the candidate, keep the incumbent, or say that the panel cannot tell.

    use: which use of the panel this is, from 1. The panel's error budget `settings.alpha` is split evenly over
    `settings.uses` (Bonferroni), so that P(any false promotion over its life) <= alpha; use `uses + 1` is refused.

    Promote iff the one-sided bootstrap bound of the mean paired difference lies above 0 at this use's alpha and the
    exact McNemar test rejects at it too: the bootstrap is optimistic where few tasks differ, the exact test is not.
    Keep when the candidate is not ahead; otherwise the answer is how many tasks would decide.

    tolerance: for a candidate that is worth having as it is (a tidier bank), the share of success that it may cost.
    It is then promoted too where at this use's alpha it costs less for certain (`loss_bound`).
    """
    if not outcomes:
        raise ValueError("a gate needs outcomes")
    if not 1 <= use <= settings.uses:
        raise ValueError(f"the panel is good for {settings.uses} uses, and this is use {use}")
    alpha = settings.alpha / settings.uses
    differences = [float(outcome.new) - float(outcome.old) for outcome in outcomes]
    wins, losses = differences.count(1.0), differences.count(-1.0)
    draw = derived_seed(seed, panel_digest, candidate_id, incumbent_id)
    difference = paired_bootstrap(differences, resamples=settings.resamples, seed=draw)
    lower = bootstrap_lower(differences, alpha=alpha, resamples=settings.resamples, seed=draw)
    p_value = mcnemar_one_sided(wins, losses)
    needed = tasks_needed(wins, losses, len(outcomes), alpha)
    if lower > 0 and p_value <= alpha:
        answer, needed = GateAnswer.PROMOTE, None
    elif wins <= losses:
        answer, needed = GateAnswer.KEEP, None
    else:
        answer = GateAnswer.NOT_ENOUGH_EVIDENCE
    reason = _reason(answer, wins, losses, len(outcomes), lower, p_value, alpha, needed)
    if tolerance > 0 and answer is not GateAnswer.PROMOTE:
        most = loss_bound(wins, losses, len(outcomes), alpha)
        borne = f"at most {100 * most:.1f} points are lost at alpha = {alpha:.2g}, and {100 * tolerance:.1f} may be"
        reason = f"{reason} ({borne})"
        if most < tolerance:
            answer, needed = GateAnswer.PROMOTE, None
            reason = f"{_counts(wins, losses, len(outcomes))}; {borne}: promoted"
    return GateDecision(
        id=content_id("gate", candidate_id, incumbent_id, panel_digest, use, alpha, list(outcomes)),
        candidate_id=candidate_id,
        incumbent_id=incumbent_id,
        panel_digest=panel_digest,
        use=use,
        uses=settings.uses,
        alpha=alpha,
        outcomes=tuple(outcomes),
        difference=difference,
        lower_bound=lower,
        p_value=p_value,
        answer=answer,
        tasks_needed=needed,
        reason=reason,
    )


def _reason(
    answer: GateAnswer, wins: int, losses: int, tasks: int, lower: float, p: float, alpha: float, needed: int | None
) -> str:
    counts = _counts(wins, losses, tasks)
    tests = f"lower bound {100 * lower:+.1f} points, McNemar p = {p:.2g}, at alpha = {alpha:.2g}"
    match answer:
        case GateAnswer.PROMOTE:
            return f"{counts}; {tests}: promoted"
        case GateAnswer.KEEP:
            return f"{counts}: the candidate is not ahead, the present release stays"
        case GateAnswer.NOT_ENOUGH_EVIDENCE:
            more = f"about {needed} tasks would decide" if needed else "more tasks are needed"
            return f"{counts}; {tests}: not enough evidence, {more}; the present release stays"


def _counts(wins: int, losses: int, tasks: int) -> str:
    return f"the candidate alone solved {wins} of {tasks} tasks, the present release alone {losses}"
