"""What paired outcomes say about a candidate: a difference with an interval, a bound and a p-value."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from wisen.core import betting
from wisen.core.records import Interval, PairedOutcome
from wisen.core.statistics import bootstrap_lower, mcnemar_one_sided, paired_bootstrap, tasks_needed
from wisen.evolution.gates.settings import GateSettings


@dataclass(frozen=True)
class Evidence:
    """`ahead` and `behind`: how many of `units` went to the candidate and to the present release. `lower` is the bound
    of the mean difference at 1 - alpha, `p_value` that of "the candidate is no better", `needed` about how many units
    in all would decide. `test`: "mcnemar" or "betting". `word`: what the units are."""

    units: int
    ahead: int
    behind: int
    difference: Interval
    lower: float
    p_value: float
    needed: int | None
    test: str
    word: str

    def proves(self, alpha: float) -> bool:
        return self.lower > 0 and self.p_value <= alpha


def unit(task_id: str, family: str, claim: str) -> str:
    """What a task belongs to, of which the claim counts each as one: itself, or its family."""
    return family if claim == "families" else task_id


def unit_differences(outcomes: Sequence[PairedOutcome], claim: str) -> tuple[list[float], bool]:
    """(new - old for each unit, in the order in which units come first; whether each unit is one outcome). A unit is a
    task, with the mean of its attempts, or where the claim is about families the mean over a family."""
    groups: dict[str, list[float]] = defaultdict(list)
    for one in outcomes:
        groups[unit(one.task_id, one.family, claim)].append(float(one.new) - float(one.old))
    return [fmean(group) for group in groups.values()], all(len(group) == 1 for group in groups.values())


def weigh(outcomes: Sequence[PairedOutcome], settings: GateSettings, alpha: float, seed: int) -> Evidence:
    """The evidence for a candidate after all its outcomes. `seed` is that of the bootstrap.

    Where each unit is one outcome, and they were all to be played, the exact McNemar test and the bootstrap's bound are
    read: the bootstrap is optimistic where few tasks differ, the exact test is not. Means of several outcomes may lie
    anywhere in [-1, 1], unevenly about 0, where no exact test of their mean is known and a bootstrap or sign-flips over
    a dozen families are fooled by a rare family that loses much. There, and where looks are taken on the way, the
    betting bound is read, which holds for whatever they are.
    """
    differences, single = unit_differences(outcomes, settings.claim)
    ahead, behind = sum(one > 0 for one in differences), sum(one < 0 for one in differences)
    interval = paired_bootstrap(differences, resamples=settings.resamples, seed=seed)
    word = "families" if settings.claim == "families" else "tasks"
    if single and settings.kind == "fixed":
        lower = bootstrap_lower(differences, alpha=alpha, resamples=settings.resamples, seed=seed)
        needed = tasks_needed(ahead, behind, len(differences), alpha)
        p_value, test = mcnemar_one_sided(ahead, behind), "mcnemar"
    else:
        lower = betting.lower_bound(differences, alpha)
        needed = betting.units_needed(differences, alpha=alpha)
        p_value, test = betting.p_value(differences), "betting"
    return Evidence(len(differences), ahead, behind, interval, lower, p_value, needed, test, word)
