"""Which memory helped: credit item by item from randomised hold-out.

At each appearance in collection an item was shown with a known probability p. The score of an appearance,
`(z / p - (1 - z) / (1 - p)) * (y - m)` with z = 1 where it was shown and y = 1 where the episode succeeded, has the
item's lift as its expectation, whatever m is, so long as m was fixed before the draw (inverse-propensity weighting,
Horvitz and Thompson 1952, with a baseline that lowers the variance).

What is estimated is the mean of an item's lifts over its appearances so far: where tasks get easier, or other items
come and go, each appearance has a lift of its own. The interval is a confidence sequence: it may be read after every
outcome.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np

from wisen.core.records import EventKind, Interval, ItemCredit, ItemStatus, LedgerEvent, MemoryItem, Outcome, Recall
from wisen.core.sequential import FallAlarm, MeanSequence, interval, values_needed

LEVEL = 0.95
LEAST_LOG = -700.0  # JSON knows no infinity, which is what is left where propensities allow no bet
FALL = 0.1  # the harm, in success share, that the alarm is quickest to notice


@dataclass(frozen=True)
class Appearance:
    """An item had a place in an episode, and a draw decided whether it was shown. `baseline` is what was expected of
    the episode before the draw. `group` names the wave of collection and the template."""

    item_id: str
    shown: bool
    propensity: float
    success: bool
    baseline: float
    group: tuple[str, str] = ("", "")
    bank_version: int = 0

    @property
    def score(self) -> float:
        return score(self.shown, self.propensity, self.success, self.baseline)

    @property
    def low(self) -> float:
        """The least that the score could have been, known before the draw."""
        return -max(self.baseline / self.propensity, (1 - self.baseline) / (1 - self.propensity))

    @property
    def high(self) -> float:
        return max((1 - self.baseline) / self.propensity, self.baseline / (1 - self.propensity))

    @property
    def variance(self) -> float:
        """What the score's was expected to be, if the item does nothing."""
        return self.baseline * (1 - self.baseline) / (self.propensity * (1 - self.propensity))


@dataclass(frozen=True)
class Restarts:
    """By item id, the bank version from which it is on trial anew (demoted, or revived), and at which it left."""

    anew: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)


def restarts(events: Iterable[LedgerEvent]) -> Restarts:
    """Where accounts begin anew, from the whole ledger in order. An item's first probation restarts nothing."""
    tried: set[str] = set()
    anew: dict[str, int] = {}
    left: dict[str, int] = {}
    for event in events:
        if event.kind is not EventKind.STATUS:
            continue
        if event.status is ItemStatus.PROBATION:
            if event.item_id in tried:
                anew[event.item_id] = event.seq
            tried.add(event.item_id)
        elif event.status in (ItemStatus.RETIRED, ItemStatus.QUARANTINED):
            left[event.item_id] = event.seq
    return Restarts(anew, left)


def baselines(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """By trajectory id, the predictable pass rate of its template: (successes + 0.5) / (n + 1) over the template's
    outcomes that stand *before* it in collection order, 0.5 where it is the first."""
    passed: dict[str, tuple[int, int]] = {}
    found: dict[str, float] = {}
    for outcome in outcomes:
        wins, total = passed.get(outcome.template_id, (0, 0))
        found[outcome.trajectory_id] = (wins + 0.5) / (total + 1)
        passed[outcome.template_id] = (wins + outcome.success, total + 1)
    return found


def score(shown: bool, propensity: float, success: bool, baseline: float) -> float:
    """One appearance's inverse-propensity score. Raises `ValueError` unless 0 < propensity < 1."""
    if not 0 < propensity < 1:
        raise ValueError(f"an appearance with propensity {propensity} was not randomised")
    weight = 1 / propensity if shown else -1 / (1 - propensity)
    return weight * (success - baseline)


def appearances(recalls: Iterable[Recall], outcomes: Sequence[Outcome]) -> dict[str, list[Appearance]]:
    """The randomised appearances of each unit, in collection order. A unit is an item, or a cluster of near-duplicates
    under the id of its oldest: they share a draw, so an episode in which several had a place is one appearance.

    Where an episode asked its memory more than once, each recall is a decision of its own, with the propensities that
    it logged: that it came about may hang on earlier draws, but not on its own, so each score still has the lift as its
    expectation, among the episodes that come that far. A unit's first place in an episode is its appearance. A second
    would bring the same outcome once more, which is not another observation.

    outcomes: of all episodes, in collection order, each trajectory once; those without memory count towards the
    baselines. Appearances count where the episode had memory, the item had a place with 0 < p < 1, and the outcome is
    known.
    """
    expected = baselines(outcomes)
    place = {outcome.trajectory_id: number for number, outcome in enumerate(outcomes)}
    counted = {recall.id: recall for recall in recalls if recall.arm == "on" and recall.trajectory_id in place}
    found: dict[str, list[Appearance]] = {}
    drawn: set[tuple[str, str]] = set()
    for recall in sorted(counted.values(), key=lambda one: (place[one.trajectory_id], one.number, one.id)):
        outcome = outcomes[place[recall.trajectory_id]]
        for candidate in recall.ranked:
            unit = candidate.cluster or candidate.item_id
            if 0 < candidate.propensity < 1 and (recall.trajectory_id, unit) not in drawn:
                drawn.add((recall.trajectory_id, unit))
                found.setdefault(unit, []).append(
                    Appearance(
                        item_id=candidate.item_id,
                        shown=candidate.shown,
                        propensity=candidate.propensity,
                        success=outcome.success,
                        baseline=expected[recall.trajectory_id],
                        group=(recall.release_id, outcome.template_id),
                        bank_version=recall.bank_version,
                    )
                )
    return found


def credit(
    recalls: Iterable[Recall],
    outcomes: Sequence[Outcome],
    items: Mapping[str, MemoryItem],
    *,
    begun: Restarts | None = None,
) -> tuple[ItemCredit, ...]:
    """The credit of each unit with at least one randomised appearance, in order of id: see `appearances`.

    An account begins anew where the ledger says so (`begun`): when the item is on trial again, and when a
    near-duplicate that shared its draws was retired. Keep one account per weights: pass the recalls made with them. A
    unit that `items` lacks is left out. Not seen: how items that are shown together interfere, unless they are one
    cluster.
    """
    recalls = tuple(recalls)
    begun = begun or Restarts()
    members = _members(recalls)
    found = []
    for unit, account in sorted(appearances(recalls, outcomes).items()):
        others = tuple(sorted(members.get(unit, set()) - {unit}))
        since = max(
            *(begun.anew.get(key, 0) for key in (unit, *others)), *(begun.left.get(key, 0) for key in others), 0
        )
        account = [one for one in account if one.bank_version >= since]
        if account and unit in items:
            found.append(of_account(items[unit], account, others=tuple(key for key in others if key in items)))
    return tuple(found)


def of_account(item: MemoryItem, account: Sequence[Appearance], *, others: tuple[str, ...] = ()) -> ItemCredit:
    """What its appearances say of an item. The interval, None below two appearances, is cut to [-1, 1]."""
    shown = [one.success for one in account if one.shown]
    held_out = [one.success for one in account if not one.shown]
    sequence = sequence_of(account)
    lift = _possible(interval(sequence, LEVEL)) if len(account) > 1 else None
    return ItemCredit(
        item=item,
        lift=lift,
        shown=len(shown),
        held_out=len(held_out),
        success_shown=fmean(shown) if shown else None,
        success_held_out=fmean(held_out) if held_out else None,
        deviation=float(sequence.deviation) if len(account) > 1 else None,
        log_e=max(float(sequence.log_evidence()), LEAST_LOG),
        log_alarm=float(alarm_of(account).log_wealth),
        more=_more(sequence) if lift is not None else None,
        others=others,
    )


def sequence_of(account: Sequence[Appearance]) -> MeanSequence:
    scores, lows, highs = np.array([(one.score, one.low, one.high) for one in account]).T
    return MeanSequence.start().extended(scores, lows, highs)


def alarm_of(account: Sequence[Appearance], fall: float = FALL) -> FallAlarm:
    scores, highs, variances = np.array([(one.score, one.high, one.variance) for one in account]).T
    return FallAlarm.start().extended(scores, highs, variances, fall=fall)


def _possible(found: Interval | None) -> Interval | None:
    """A lift is a difference of two shares, which few scores may overstate."""
    if found is None:
        return None
    low, mean, high = (min(max(value, -1.0), 1.0) for value in (found.low, found.mean, found.high))
    return Interval(mean=mean, low=low, high=high, level=found.level)


def _more(sequence: MeanSequence) -> int | None:
    alpha = (1 - LEVEL) / 2
    if sequence.mean > 0:
        return values_needed(sequence, alpha=alpha, above=0.0)
    return values_needed(sequence, alpha=alpha, below=0.0)


def _members(recalls: Iterable[Recall]) -> dict[str, set[str]]:
    """By cluster, all items that were ever drawn in it."""
    found: dict[str, set[str]] = {}
    for recall in recalls:
        for candidate in recall.ranked:
            if candidate.cluster:
                found.setdefault(candidate.cluster, set()).add(candidate.item_id)
    return found
