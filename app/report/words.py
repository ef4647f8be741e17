"""Figures in words: pure functions from a report's records to the sentences that the page and the console share.

Shares and differences are fractions (0.43); a difference is written in points (+43). No-break spaces and real minus
signs are used throughout; `plain` turns them into what any terminal can show."""

import unicodedata
from collections.abc import Sequence

from wisen.core.records import ArmResult, GateAnswer, GateDecision, Interval, ItemCredit, RunReport

_PLAIN = str.maketrans(
    {"\u00a0": " ", "−": "-", "×": "x", "–": "-", "≤": "<=", "“": '"', "”": '"', "’": "'", "·": "-", "α": "alpha"}
)
# Characters that reorder the text around them: a page could use them to make its text pass for ours.
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
ANSWERS = {
    GateAnswer.PROMOTE: "promoted",
    GateAnswer.KEEP: "not promoted",
    GateAnswer.NOT_ENOUGH_EVIDENCE: "not enough evidence",
}


def visible(text: str) -> str:
    """The text with control, surrogate and direction-changing characters made visible as U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\ufffd" if char in _BIDI or (char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cs")) else char
        for char in text
    )


def plain(text: str) -> str:
    """The same sentence for a terminal, ours and foreign text alike."""
    return visible(text).translate(_PLAIN)


def number(share: float) -> str:
    """A share in per cent: whole, except where rounding would make it look like 0 or 100."""
    percent = 100 * share
    if 0.05 <= percent < 0.5 or 99.5 <= percent <= 99.95:
        return f"{percent:.1f}"
    return f"{percent:.0f}"


def percent(share: float) -> str:
    return f"{number(share)}\u00a0%"


def points(difference: float) -> str:
    """Points of success share; small ones keep enough digits for their sign to be true."""
    value = 100 * difference
    digits = 0 if abs(value) >= 0.95 else 1 if abs(value) >= 0.05 else 2
    text = f"{value:.{digits}f}"
    if not text.strip("-0."):
        return "0"
    return text.replace("-", "−") if text.startswith("-") else f"+{text}"


def share_interval(interval: Interval) -> str:
    return f"[{number(interval.low)},\u00a0{number(interval.high)}]"


def point_interval(interval: Interval) -> str:
    return f"[{points(interval.low)},\u00a0{points(interval.high)}]"


def level(interval: Interval) -> str:
    return f"{100 * interval.level:g}\u00a0%"


def probability(value: float) -> str:
    """A p-value or an error share, never rounded to 0."""
    if value < 0.0001:
        return f"{value:.0e}" if value > 0 else "0"
    if 0.995 <= value < 1:
        return "> 0.99"
    return f"{value:.3g}" if value < 0.01 else f"{value:.2f}"


def count(n: int, one: str, many: str = "") -> str:
    return f"{n:,}\u00a0{one if n == 1 else many or one + 's'}"


def listing(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f}\u00a0s"
    minutes = round(seconds / 60)
    return f"{minutes}\u00a0min" if minutes < 120 else f"{minutes // 60}\u00a0h {minutes % 60}\u00a0min"


def release_arm(report: RunReport) -> ArmResult | None:
    """The arm that the others are compared with: the one called `release`, or the last without a difference to it."""
    without = [arm for arm in report.arms if arm.versus is None]
    return next((arm for arm in without if arm.name == "release"), without[-1] if without else None)


def baseline_arm(report: RunReport) -> ArmResult | None:
    """What the headline sets the release against: the untrained model without memory if there is one, else the first
    other arm with a paired difference."""
    others = [arm for arm in report.arms if arm.versus is not None]
    untrained = [arm for arm in others if "untrained" in f"{arm.name} {arm.label}".lower()]
    bare = [arm for arm in untrained if not _uses_memory(arm)]
    return next(iter(bare or untrained or others), None)


def _uses_memory(arm: ArmResult) -> bool:
    text = f"{arm.name} {arm.label}".lower()
    return "memory" in text and "no memory" not in text and "without memory" not in text


def tone(interval: Interval | None) -> str:
    """`better`, `worse` or `open`: on which side of 0 the whole interval lies."""
    if interval is None or interval.low <= 0 <= interval.high:
        return "open"
    return "better" if interval.low > 0 else "worse"


def verdict(arm: ArmResult) -> str:
    """What this run shows about the release against an arm."""
    words = {"better": "release better", "worse": "release worse", "open": "no difference shown"}
    return "" if arm.versus is None else words[tone(arm.versus)]


def promoted(report: RunReport) -> tuple[GateDecision, ...]:
    return tuple(gate for gate in report.gates if gate.answer is GateAnswer.PROMOTE)


def headline(report: RunReport) -> str:
    """The run's answer in one sentence."""
    release, base = release_arm(report), baseline_arm(report)
    if release is None:
        return "This run has no result on the report panel, so it shows nothing yet."
    solved = f"The release solved {percent(release.success.mean)} of {count(release.tasks, 'report task')}"
    if base is None or base.versus is None:
        interval = f"{level(release.success)} interval {share_interval(release.success)}"
        return f"{solved}, {interval}; there is nothing to compare it with."
    gain = f"{points(base.versus.mean)}\u00a0points {point_interval(base.versus)}"
    sentence = f"{solved}; the {base.label} {percent(base.success.mean)}: {gain}."
    endings = {
        "better": "",
        "open": " The interval includes 0: the release was not shown to be better.",
        "worse": " The release is worse.",
    }
    return sentence + endings[tone(base.versus)]


def reading(report: RunReport) -> str:
    """How to read the headline's brackets."""
    release, base = release_arm(report), baseline_arm(report)
    if release is None or base is None or base.versus is None:
        return ""
    return (
        f"In brackets: the paired {level(base.versus)} interval of the difference. Both played the same "
        f"{count(release.tasks, 'task')}, which nothing was trained on, remembered from or chosen by."
    )


def findings(report: RunReport) -> tuple[str, ...]:
    """What else a reader must know before quoting the headline."""
    lines = []
    others = [arm for arm in report.arms if arm.versus is not None]
    for side, words in (
        ("better", "Shown to be better than"),
        ("open", "No difference shown against"),
        ("worse", "Worse than"),
    ):
        own = [(arm.label, arm.versus.mean) for arm in others if arm.versus and tone(arm.versus) == side]
        names = [f"{label} ({points(difference)})" for label, difference in own]
        if names:
            lines.append(f"{words}: {', '.join(names)}.")
    lines.append(_promotions(report))
    return tuple(lines)


def _promotions(report: RunReport) -> str:
    if not report.gates:
        return "No candidate reached a gate, so nothing was promoted."
    passed, gates = promoted(report), count(len(report.gates), "gate")
    if not passed:
        return f"Nothing was promoted in {gates}: the release is the one that the run started with."
    names = listing([name_of(report, gate.candidate_id) for gate in passed])
    return f"{len(passed)} of {count(len(report.gates), 'candidate')} passed the gate ({names})."


def name_of(report: RunReport, release_id: str) -> str:
    return report.release_names.get(release_id, release_id)


def tally(gate: GateDecision) -> dict[str, int]:
    """Tasks by outcome: `wins` only the candidate solved, `losses` only the incumbent, then `both` and `neither`."""
    pairs = [(outcome.new, outcome.old) for outcome in gate.outcomes]
    return {
        "wins": pairs.count((True, False)),
        "losses": pairs.count((False, True)),
        "both": pairs.count((True, True)),
        "neither": pairs.count((False, False)),
    }


def gate_result(report: RunReport, gate: GateDecision) -> str:
    """What was tried and seen, in one sentence."""
    n, new, old = tally(gate), name_of(report, gate.candidate_id), name_of(report, gate.incumbent_id)
    alike = n["both"] + n["neither"]
    return (
        f"“{new}” against “{old}”, both on the same {count(len(gate.outcomes), 'task')}: "
        f"{count(n['wins'], 'win')}, {count(n['losses'], 'loss', 'losses')}, {count(alike, 'tie')}; "
        f"difference {points(gate.difference.mean)}\u00a0points {point_interval(gate.difference)}."
    )


def gate_why(gate: GateDecision) -> str:
    """Why the gate answered so: the two figures that it reads, and what follows."""
    above, small = gate.lower_bound > 0, gate.p_value <= gate.alpha
    evidence = (
        f"the lower bound of the difference, {points(gate.lower_bound)}\u00a0points, "
        f"is {'above' if above else 'not above'} 0 {'and' if above == small else 'but'} the exact McNemar p, "
        f"{probability(gate.p_value)}, is {'at most' if small else 'above'} α = {probability(gate.alpha)}"
    )
    if gate.answer is GateAnswer.PROMOTE:
        return f"Promoted: {evidence}." if above and small else f"Promoted, although {evidence}."
    if gate.answer is GateAnswer.NOT_ENOUGH_EVIDENCE:
        ending = "so these tasks cannot tell whether the candidate is better. The incumbent stays."
        needed = f" {_needed(gate)}" if gate.tasks_needed else ""
        return f"Not enough evidence: {evidence}, {ending}{needed}"
    if gate.difference.mean <= 0:
        did = "no better than the incumbent on these tasks" if gate.difference.mean == 0 else "worse on these tasks"
        return f"Not promoted: the candidate did {did} ({evidence}). The incumbent stays."
    needed = f" {_needed(gate)}" if gate.tasks_needed else ""
    return f"Not promoted: {evidence}. The incumbent stays.{needed}"


def _needed(gate: GateDecision) -> str:
    return (
        f"About {count(gate.tasks_needed or 0, 'task')} would decide, if the difference stayed as seen "
        f"(there were {len(gate.outcomes):,})."
    )


def gate_budget(gate: GateDecision) -> str:
    of = f" of at most {gate.uses}" if gate.uses else ""
    return (
        f"This was use {gate.use}{of} of this panel. Its share of the panel’s error budget is "
        f"α = {probability(gate.alpha)}: a candidate that is no better passes here "
        f"at most {100 * gate.alpha:.3g}\u00a0% of the time."
    )


def credit_tone(credit: ItemCredit) -> str:
    """Only what the interval says: that an item helps is more than a single look at many items can show."""
    words = {"better": "interval above 0", "worse": "interval below 0", "open": "interval includes 0"}
    return "not measured" if credit.lift is None else words[tone(credit.lift)]


def memory_remark(report: RunReport) -> str:
    """How far the items' figures may be trusted."""
    items = {credit.item.id: credit for credit in (*report.best_items, *report.worst_items)}
    if not items:
        return "No item was credited in this run, so nothing can be said about single items."
    measured = [credit for credit in items.values() if credit.lift is not None]
    unclear = sum(tone(credit.lift) == "open" for credit in measured)
    lines = []
    if measured:
        includes = "none includes 0" if not unclear else f"{unclear} include{'s' if unclear == 1 else ''} 0"
        lines.append(f"Of {count(len(measured), 'interval')} below, {includes}.")
    if unclear:
        lines.append("Where one includes 0, this run cannot tell whether the item helps, harms or does nothing.")
    if len(measured) < len(items):
        lines.append(f"{count(len(items) - len(measured), 'item')} could not be measured.")
    twice = len(report.best_items) + len(report.worst_items) - len(items)
    if twice > 0:
        lines.append(f"{count(twice, 'item')} stand{'s' if twice == 1 else ''} in both lists, for want of others.")
    lines.append(
        f"These are the extremes out of a bank of {count(report.bank_size, 'item')}: the best and the worst of many "
        "look more extreme than they are, and among many 95\u00a0% intervals some exclude 0 by luck."
    )
    return " ".join(lines)
