"""What a run shows, in sentences: pure functions from a report's records, shared by the page and the console."""

from wisen.app.report import figures as f
from wisen.app.report.roles import (
    BASES,
    RANDOM,
    baseline_arm,
    in_a_sentence,
    memory_only,
    model_name,
    name_of,
    promoted,
    release_arm,
    untried,
)
from wisen.core.records import ArmResult, ItemCredit, ItemKind, RunReport

_KINDS = {
    ItemKind.WORKFLOW: "Workflow (steps that worked)",
    ItemKind.WARNING: "Warning (where a failure parted from a success)",
}
_GAINS = {RANDOM: "Against the random policy", "untrained-memory": "What training adds", "trained": "What memory adds"}


def headline(report: RunReport) -> str:
    """The run's answer in a sentence or two."""
    release, base = release_arm(report), baseline_arm(report)
    if release is None:
        return "This run has no result on the report panel, so it shows nothing yet."
    solved = f"{f.percent(release.success.mean)} of {f.count(release.tasks, 'report task')}"
    alone = f"{solved}, {f.level(release.success)} interval {f.share_interval(release.success)}"
    if not promoted(report):
        return f"Nothing was promoted: the run ends with the release that it began with, which solved {alone}."
    if base is None or base.versus is None:
        return f"Release {report.release_name} solved {alone}; there is nothing to compare it with."
    sentence = (
        f"Release {report.release_name} solved {solved}, {in_a_sentence(base)} {f.percent(base.success.mean)}: "
        f"{f.difference(base.versus)}."
    )
    endings = {
        "better": "",
        "open": " The interval includes 0: the release was not shown to be better.",
        "worse": " The release is worse.",
    }
    return sentence + endings[f.tone(base.versus)]


def reading(report: RunReport) -> str:
    """How to read the headline."""
    release, base = release_arm(report), baseline_arm(report)
    if release is None:
        return ""
    apart = "remembered" if memory_only(report) else "trained, remembered"
    tasks = f"{f.count(release.tasks, 'task')}, on which nothing was {apart} or chosen."
    if not promoted(report):
        return f"It played {tasks} The interval is the range of shares that fits the outcomes."
    ended = f"Release {report.release_name} is the agent that this run ended with."
    if base is None or base.versus is None:
        return f"{ended} It played {tasks}"
    return (
        f"{ended} In brackets: the {f.level(base.versus)} interval, the range of differences that fits the outcomes. "
        f"Both played the same {tasks}"
    )


def verdict(arm: ArmResult) -> str:
    """What this run shows about the release against an arm."""
    if arm.versus is None:
        return ""
    if arm.versus.low == arm.versus.high == 0:
        return "same tasks solved"
    return {"better": "release better", "worse": "release worse", "open": "no difference shown"}[f.tone(arm.versus)]


def findings(report: RunReport) -> tuple[str, ...]:
    """What else a reader must know before quoting the headline."""
    lines = []
    base = baseline_arm(report)
    for arm in report.arms:
        unchanged = not promoted(report) and arm.name in ("untrained-memory", "trained", *BASES)
        if arm.versus is None or unchanged or (arm is base and promoted(report)):
            continue
        gain = _GAINS.get(arm.name, f"Against “{arm.label}”")
        lines.append(f"{gain}: {f.difference(arm.versus)}, {verdict(arm)}.")
    return (*lines, _promotions(report), *_training(report), *_spent(report))


def _spent(report: RunReport) -> tuple[str, ...]:
    spent = report.spent
    return () if spent is None else (f"What {spent.model} took to act: {spent.calls:,} calls, {spent.usage.told()}.",)


def _promotions(report: RunReport) -> str:
    idle = untried(report)
    without = f" {_cycles_without(len(idle))}" if idle else ""
    if not report.gates:
        return f"No candidate reached a gate, so nothing was promoted.{without}"
    passed, gates = promoted(report), f.count(len(report.gates), "gate")
    if not passed:
        return f"Nothing was promoted in {gates}; why is said under each.{without}"
    names = f.listing([name_of(report, gate.candidate_id) for gate in passed])
    return f"{len(passed)} of {f.count(len(report.gates), 'candidate')} passed the gate ({names}).{without}"


def _cycles_without(n: int) -> str:
    return f"{f.count(n, 'cycle')} brought nothing new to try, so {'it' if n == 1 else 'they'} had no gate."


def _training(report: RunReport) -> tuple[str, ...]:
    if not memory_only(report):
        return ()
    model = model_name(report)
    return (f"Training: none. The model{f', {model},' if model else ''} is unchanged; only its memory evolved.",)


def the_loop(report: RunReport) -> str:
    """What was done in this run, for someone who never saw one."""
    model = model_name(report)
    agent = (
        f"An agent, a language model{f' ({model})' if model else ''} that chooses one action after another, plays tasks"
    )
    cycles = f"In each of {f.count(len(report.curve), 'cycle')}" if len(report.curve) > 1 else "In each cycle"
    taught = (
        "it plays tasks to learn from, and memory items, short pieces of advice, are distilled from what worked and "
        "what failed"
    )
    if memory_only(report):
        made = "The model stays as it is. The same model with the memory so far is the candidate"
    else:
        by = (report.settings.get("train") or {}).get("algorithm", "rft")
        what = "successes" if by == "rft" else f"attempts, by {by}"
        made = f"The model is then trained on the agent’s own {what}. New model and memory together are the candidate"
    return f"{agent}. {cycles} {taught}. {made}: it becomes the present release only if a gate lets it pass."


def luck(report: RunReport) -> str:
    """What the intervals leave out."""
    if memory_only(report):
        return "the luck of what was collected: another run may gather other advice and end otherwise"
    return "the luck of training: with another training seed the result may differ"


def origin(credit: ItemCredit) -> str:
    """Where an item comes from."""
    item = credit.item
    kind = _KINDS.get(item.kind, item.kind.value.capitalize())
    if item.author.distiller == "person":
        return f"{kind}, written by a person"
    with_model = f" with {item.author.model}" if item.author.model else ""
    episodes = f.count(len(item.evidence), "learning episode")
    return (
        f"{kind}, written by the {item.author.distiller} distiller{with_model} from {episodes}; "
        f"success as judged by the {item.outcome_source}"
    )


def credit_tone(credit: ItemCredit) -> str:
    """Only what the interval says: that an item helps is more than a single look at many items can show."""
    words = {"better": "interval above 0", "worse": "interval below 0", "open": "interval includes 0"}
    return "not measured" if credit.lift is None else words[f.tone(credit.lift)]


def memory_remark(report: RunReport) -> str:
    """How far the items' figures may be trusted."""
    items = {credit.item.id: credit for credit in (*report.best_items, *report.worst_items)}
    if not items:
        return "No item was shown and held out often enough to be measured, so nothing can be said about single items."
    lifts = [credit.lift for credit in items.values() if credit.lift is not None]
    unclear = sum(f.tone(lift) == "open" for lift in lifts)
    lines = []
    if lifts:
        includes = "none includes 0" if not unclear else f"{unclear} include{'s' if unclear == 1 else ''} 0"
        lines.append(f"Of {f.count(len(lifts), 'listed interval')}, {includes}.")
    if unclear:
        lines.append("Where one includes 0, this run cannot tell whether the item helps, harms or does nothing.")
    if any(max(abs(lift.low), abs(lift.high)) >= 1 for lift in lifts):
        lines.append("One that reaches 100\u00a0points rests on very few episodes.")
    if len(lifts) < len(items):
        lines.append(f"{f.count(len(items) - len(lifts), 'item')} could not be measured.")
    twice = len(report.best_items) + len(report.worst_items) - len(items)
    if twice > 0:
        lines.append(f"{f.count(twice, 'item')} stand{'s' if twice == 1 else ''} in both lists, for want of others.")
    bank = f" out of a bank of {f.count(report.bank_size, 'item')}" if report.bank_size >= len(items) else ""
    lines.append(
        f"These are the extremes{bank}: the best and the worst of many look more extreme than they are, and among many "
        "95\u00a0% intervals some exclude 0 by luck."
    )
    return " ".join(lines)
