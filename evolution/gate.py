"""The gate: a pure function from paired outcomes to an answer."""

from collections.abc import Sequence
from dataclasses import replace

from wisen.core import betting
from wisen.core.ids import content_id, derived_seed
from wisen.core.records import GateAnswer, GateDecision, PairedOutcome
from wisen.core.statistics import bootstrap_lower, loss_bound, mcnemar_one_sided
from wisen.evolution.gates.anytime import Looks
from wisen.evolution.gates.evidence import Evidence, unit, unit_differences, weigh
from wisen.evolution.gates.settings import GateSettings


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
    of: int | None = None,
    adjusted_p: float | None = None,
) -> GateDecision:
    """Promote the candidate, keep the incumbent, or say that the panel cannot tell.

    use: which use of the panel this is, from 1. The panel's error budget `settings.alpha` is split evenly over
    `settings.uses` (Bonferroni), so that P(any false promotion over its life) <= alpha; use `uses + 1` is refused.

    Promote iff the one-sided lower bound of the mean paired difference lies above 0 at this use's alpha and the test
    rejects at it too (`gates.evidence.weigh`). Keep when the candidate is not ahead; otherwise the answer is how many
    tasks, or families, would decide.

    tolerance: for a candidate that is worth having as it is (a tidier bank), the share of success that it may cost.
    It is then promoted too where at this use's alpha it costs less for certain.
    of: for the anytime gate, how many units the panel has; `outcomes` are those played so far, in their order, and
    those after the first look that stops are left out.
    adjusted_p: the p-value, where it has to be adjusted for several that compete.
    """
    if not outcomes:
        raise ValueError("a gate needs outcomes")
    if not 1 <= use <= settings.uses:
        raise ValueError(f"the panel is good for {settings.uses} uses, and this is use {use}")
    alpha, draw = settings.share, derived_seed(seed, panel_digest, candidate_id, incumbent_id)
    early = False
    if settings.kind == "anytime":
        outcomes, early = _until_stop(outcomes, settings, of, tolerance)
        found = _at_looks(outcomes, settings, of, draw)
    else:
        found = weigh(outcomes, settings, alpha, draw)
        if adjusted_p is not None:
            found = replace(found, p_value=adjusted_p)
    needed = found.needed
    if found.proves(alpha):
        answer, needed = GateAnswer.PROMOTE, None
    elif found.difference.mean <= 0:
        answer, needed = GateAnswer.KEEP, None
    else:
        answer = GateAnswer.NOT_ENOUGH_EVIDENCE
    reason = _reason(answer, found, alpha, needed, early, of)
    if tolerance > 0 and answer is not GateAnswer.PROMOTE:
        borne, enough = _bearable(outcomes, found, alpha, tolerance, settings)
        reason = f"{reason} ({borne})"
        if enough:
            answer, needed = GateAnswer.PROMOTE, None
            reason = f"{_counts(found)}; {borne}: promoted"
    return GateDecision(
        id=content_id("gate", candidate_id, incumbent_id, panel_digest, use, alpha, list(outcomes)),
        candidate_id=candidate_id,
        incumbent_id=incumbent_id,
        panel_digest=panel_digest,
        use=use,
        uses=settings.uses,
        alpha=alpha,
        outcomes=tuple(outcomes),
        difference=found.difference,
        lower_bound=found.lower,
        p_value=found.p_value,
        answer=answer,
        tasks_needed=needed,
        reason=reason,
        kind=settings.kind,
        claim=settings.claim,
        test=found.test,
        of=of if early else None,
    )


def looks(outcomes: Sequence[PairedOutcome], settings: GateSettings, of: int, tolerance: float = 0.0) -> Looks:
    """When the anytime gate looks at a panel of `of` units, and what it may spend. Unit by unit: all that is played of
    a unit comes before the next one."""
    _, single = unit_differences(outcomes, settings.claim)
    return Looks(of, settings.batch, settings.share, settings.futility, single and tolerance == 0, tolerance)


def _until_stop(
    outcomes: Sequence[PairedOutcome], settings: GateSettings, of: int | None, tolerance: float
) -> tuple[Sequence[PairedOutcome], bool]:
    """(the outcomes up to the first look that stops, whether the panel has more)."""
    differences, _ = unit_differences(outcomes, settings.claim)
    of = len(differences) if of is None else of
    _, played = looks(outcomes, settings, of, tolerance).stop(differences)
    units = [unit(one.task_id, one.family, settings.claim) for one in outcomes]
    kept = set(list(dict.fromkeys(units))[:played])
    return [one for one, own in zip(outcomes, units, strict=True) if own in kept], played < of


def _at_looks(outcomes: Sequence[PairedOutcome], settings: GateSettings, of: int | None, draw: int) -> Evidence:
    """The evidence where looks were taken: of the bets, and at the end of a panel of single outcomes also of the exact
    test, each with half of alpha. The p-value is twice the smaller one, so that it is read at alpha like any other."""
    differences, single = unit_differences(outcomes, settings.claim)
    alpha = settings.share
    found = weigh(outcomes, settings, alpha, draw)
    if not single:
        return found
    lower, p_value = betting.lower_bound(differences, alpha / 2), found.p_value
    exact = mcnemar_one_sided(found.ahead, found.behind)
    at_end = of is None or len(differences) >= of
    if at_end and exact < p_value:
        p_value, bound = exact, bootstrap_lower(differences, alpha=alpha / 2, resamples=settings.resamples, seed=draw)
        return replace(found, p_value=min(1.0, 2 * p_value), lower=max(lower, bound), test="mcnemar")
    return replace(found, p_value=min(1.0, 2 * p_value), lower=lower)


def _bearable(
    outcomes: Sequence[PairedOutcome], found: Evidence, alpha: float, tolerance: float, settings: GateSettings
) -> tuple[str, bool]:
    """(what is lost at most, in words; whether that may be)."""
    if found.test == "mcnemar" and settings.kind == "fixed":
        most = loss_bound(found.ahead, found.behind, found.units, alpha)
    else:
        most = -betting.lower_bound(unit_differences(outcomes, settings.claim)[0], alpha)
    words = f"at most {100 * most:.1f} points are lost at alpha = {alpha:.2g}, and {100 * tolerance:.1f} may be"
    return words, most < tolerance


def _reason(answer: GateAnswer, found: Evidence, alpha: float, needed: int | None, early: bool, of: int | None) -> str:
    counts = _counts(found) + (f" (stopped early, of {of})" if early else "")
    name = "McNemar p" if found.test == "mcnemar" else "betting p"
    tests = f"lower bound {100 * found.lower:+.1f} points, {name} = {found.p_value:.2g}, at alpha = {alpha:.2g}"
    match answer:
        case GateAnswer.PROMOTE:
            return f"{counts}; {tests}: promoted"
        case GateAnswer.KEEP:
            return f"{counts}: the candidate is not ahead, the present release stays"
        case GateAnswer.NOT_ENOUGH_EVIDENCE:
            more = f"more {found.word} are needed"
            if needed:
                more = f"about {needed} {found.word} would decide, {max(1, needed - found.units)} more"
            return f"{counts}; {tests}: not enough evidence, {more}; the present release stays"


def _counts(found: Evidence) -> str:
    if found.word == "tasks" and found.test == "mcnemar":
        solved = f"the candidate alone solved {found.ahead} of {found.units} tasks"
        return f"{solved}, the present release alone {found.behind}"
    return (
        f"the candidate is ahead on {found.ahead} of {found.units} {found.word}, the present release on {found.behind}"
    )
