"""Where a candidate must not be worse: off-task panels, and violations."""

from collections.abc import Sequence

from wisen.core import betting
from wisen.core.noninferiority import not_inferior, pairs_needed
from wisen.core.records import GateAnswer, GateDecision, NonInferiority, PairedOutcome
from wisen.core.statistics import paired_bootstrap
from wisen.evolution.gates.evidence import unit_differences
from wisen.evolution.gates.settings import GateSettings, NonInferioritySettings


def judge(
    outcomes: Sequence[PairedOutcome],
    *,
    name: str,
    panel_digest: str,
    settings: NonInferioritySettings,
    gate: GateSettings,
    seed: int,
) -> NonInferiority:
    """Not worse by the margin, worse as seen, or not enough evidence with how many more would decide. A panel that is
    too small for its margin is never "not worse".

    outcomes: old and new are whether it went well. Single outcomes are read by the exact unconditional test, means of
    attempts or families by the betting bound. Raises `ValueError` without outcomes.
    """
    if not outcomes:
        raise ValueError(f"the panel {name} needs outcomes")
    differences, single = unit_differences(outcomes, gate.claim)
    n, margin = len(differences), settings.margin
    interval = paired_bootstrap(differences, resamples=gate.resamples, seed=seed)
    wins, losses = sum(one > 0 for one in differences), sum(one < 0 for one in differences)
    if single:
        p_value = not_inferior(wins, losses, n, margin)
        seen = (wins + losses + 1) / (n + 2)  # where none differs yet, some may
        needed: int | None = pairs_needed(margin, min(1.0, seen), alpha=settings.alpha)
    else:
        p_value = betting.p_value(differences, margin)
        needed = betting.units_needed(differences, alpha=settings.alpha, margin=margin)
    word = "families" if gate.claim == "families" else "tasks"
    measure = "success" if settings.measure == "success" else "episodes without violation"
    text = (
        f"{name}: {measure} {100 * interval.mean:+.1f} points on {n} {word} ({wins} better, {losses} worse), margin "
        f"{100 * margin:g}, p = {p_value:.2g} at alpha = {settings.alpha:.2g}"
    )
    if p_value <= settings.alpha:
        answer, needed, text = GateAnswer.PROMOTE, None, f"{text}: not worse"
    elif interval.mean <= -margin:
        answer, needed, text = GateAnswer.KEEP, None, f"{text}: worse"
    else:
        answer = GateAnswer.NOT_ENOUGH_EVIDENCE
        needed = None if needed is None else max(needed, n + 1)
        more = f"about {needed - n} more {word} would tell" if needed else f"more {word} are needed"
        text = f"{text}: not enough evidence, {more}"
    return NonInferiority(
        name=name,
        measure=settings.measure,
        margin=margin,
        alpha=settings.alpha,
        panel_digest=panel_digest,
        outcomes=tuple(outcomes),
        difference=interval,
        p_value=p_value,
        answer=answer,
        tasks_needed=needed,
        reason=text,
    )


def held_to(decision: GateDecision, found: Sequence[NonInferiority]) -> GateDecision:
    """A decision with what was found where the candidate must not be worse: a promotion stands only if all of it
    passes."""
    if not found:
        return decision
    answers = {one.answer for one in found}
    answer = decision.answer
    if answer is GateAnswer.PROMOTE and answers != {GateAnswer.PROMOTE}:
        answer = GateAnswer.KEEP if GateAnswer.KEEP in answers else GateAnswer.NOT_ENOUGH_EVIDENCE
    reason = "; ".join([decision.reason, *(one.reason for one in found)])
    if answer is not decision.answer:
        reason = f"{reason}: so it is not promoted, and the present release stays"
    return decision.model_copy(update={"noninferior": tuple(found), "answer": answer, "reason": reason})
