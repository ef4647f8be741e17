"""A gate's decision in plain words: what was tried, what was seen, what follows."""

from wisen.app.report import figures as f
from wisen.app.report.roles import name_of
from wisen.core.records import GateAnswer, GateDecision, RunReport

ANSWERS = {
    GateAnswer.PROMOTE: "promoted",
    GateAnswer.KEEP: "not promoted",
    GateAnswer.NOT_ENOUGH_EVIDENCE: "not enough evidence",
}


def tally(gate: GateDecision) -> dict[str, int]:
    """Tasks by outcome: `wins` only the candidate solved, `losses` only the present release, then `both` and
    `neither`."""
    pairs = [(outcome.new, outcome.old) for outcome in gate.outcomes]
    return {
        "wins": pairs.count((True, False)),
        "losses": pairs.count((False, True)),
        "both": pairs.count((True, True)),
        "neither": pairs.count((False, False)),
    }


def result(report: RunReport, gate: GateDecision) -> str:
    """What was tried and seen."""
    n, new, old = tally(gate), name_of(report, gate.candidate_id), name_of(report, gate.incumbent_id)
    return (
        f"“{new}” against the present release “{old}”, both on the same {f.count(len(gate.outcomes), 'task')}: "
        f"{f.count(n['wins'], 'win')}, {f.count(n['losses'], 'loss', 'losses')}, "
        f"{f.count(n['both'] + n['neither'], 'tie')}; difference {f.difference(gate.difference)}."
    )


def why(gate: GateDecision) -> str:
    """Why the gate answered so: the two figures that it reads, and what follows."""
    n, stays = tally(gate), "The present release stays."
    if gate.answer is not GateAnswer.PROMOTE and gate.lower_bound > 0 and gate.p_value <= gate.alpha:
        held = "; ".join(one.reason for one in gate.noninferior if one.answer is not GateAnswer.PROMOTE)
        word = "Not promoted" if gate.answer is GateAnswer.KEEP else "Not enough evidence"
        return f"{word}: ahead on these tasks, but it must not get worse elsewhere, which is not shown. {held}. {stays}"
    above, small = gate.lower_bound > 0, gate.p_value <= gate.alpha
    evidence = (
        f"the lower bound of the difference, {f.points(gate.lower_bound)}\u00a0points, is "
        f"{'above' if above else 'not above'} 0, {'and' if above == small else 'but'} the probability of so many wins "
        f"by luck, p = {f.probability(gate.p_value)}, is {'at most' if small else 'above'} "
        f"α = {f.probability(gate.alpha)}."
    )
    if gate.answer is GateAnswer.PROMOTE:
        return f"Promoted: both tests passed: {evidence}" if above and small else f"Promoted, although {evidence}"
    if gate.answer is GateAnswer.KEEP and n["wins"] <= n["losses"]:
        score = f"{f.count(n['wins'], 'win')}, {f.count(n['losses'], 'loss', 'losses')}"
        return f"Not promoted: the candidate was not ahead ({score}). {stays}"
    word = "Not promoted" if gate.answer is GateAnswer.KEEP else "Not enough evidence"
    ahead = "ahead, but these tasks cannot tell that from luck: " if n["wins"] > n["losses"] else ""
    return f"{word}: {ahead}{evidence} {stays}{_needed(gate)}"


def _needed(gate: GateDecision) -> str:
    if not gate.tasks_needed:
        return ""
    if gate.claim == "families":
        units, there = f.count(gate.tasks_needed, "family", "families"), len({one.family for one in gate.outcomes})
    else:
        units, there = f.count(gate.tasks_needed, "task"), len({one.task_id for one in gate.outcomes})
    return f" About {units} would decide, if the difference stayed as seen (there were {there:,})."


def budget(gate: GateDecision) -> str:
    """What α is, and how it is shared out."""
    alone = (
        f"α is the error that this gate was allowed: a candidate that is no better passes at most "
        f"{100 * gate.alpha:.2g}\u00a0% of the time."
    )
    if not gate.uses:
        return f"{alone} This was use {gate.use} of this panel."
    whole = f"{100 * gate.alpha * gate.uses:.2g}\u00a0%"
    return f"{alone} This was use {gate.use} of at most {gate.uses} of this panel: over all of them at most {whole}."
