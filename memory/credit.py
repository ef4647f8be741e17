"""Which memory helped: credit item by item from randomised hold-out.

At each appearance in collection an item was shown with a known probability p. The score of an appearance,
`(z / p - (1 - z) / (1 - p)) * (y - m)` with z = 1 where it was shown and y = 1 where the episode succeeded, has the
item's lift as its expectation, whatever m is, so long as m was fixed before the draw (inverse-propensity weighting,
Horvitz and Thompson 1952, with a baseline that lowers the variance).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from wisen.core.records import Interval, ItemCredit, MemoryItem, Outcome, Recall

Z_95 = 1.959963984540054


@dataclass
class _Account:
    scores: list[float] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)  # outcomes of appearances where the item was shown
    held_out: list[bool] = field(default_factory=list)


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


def credit(
    recalls: Iterable[Recall], outcomes: Sequence[Outcome], items: Mapping[str, MemoryItem]
) -> tuple[ItemCredit, ...]:
    """The credit of each item with at least one randomised appearance, in order of item id.

    outcomes: of all episodes, in collection order, each trajectory once; those without memory count towards the
    baselines. Appearances count where the episode had memory, the item had a place with 0 < p < 1, and the outcome is
    known. Lift is a difference of success shares in [-2, 2] (0.1 = 10 points) with a fixed-time 95 % normal interval:
    right for one look, too narrow when it is read after every outcome, and rough below some 30 appearances. It is None
    below 2. Keep one account per release: pass the recalls of one release. An item that `items` lacks is left out.

    Two things that this does not see: items shown together interfere, and an item held out by an "off" episode is no
    appearance.
    """
    expected = baselines(outcomes)
    success = {outcome.trajectory_id: outcome.success for outcome in outcomes}
    accounts: dict[str, _Account] = {}
    seen: set[str] = set()
    for recall in recalls:
        if recall.arm != "on" or recall.trajectory_id not in success or recall.id in seen:
            continue
        seen.add(recall.id)
        passed = success[recall.trajectory_id]
        for candidate in recall.ranked:
            if 0 < candidate.propensity < 1 and candidate.item_id in items:
                account = accounts.setdefault(candidate.item_id, _Account())
                (account.shown if candidate.shown else account.held_out).append(passed)
                account.scores.append(
                    score(candidate.shown, candidate.propensity, passed, expected[recall.trajectory_id])
                )
    return tuple(
        ItemCredit(
            item=items[key],
            lift=normal_interval(account.scores),
            shown=len(account.shown),
            held_out=len(account.held_out),
            success_shown=fmean(account.shown) if account.shown else None,
            success_held_out=fmean(account.held_out) if account.held_out else None,
        )
        for key, account in sorted(accounts.items())
    )


def normal_interval(scores: Sequence[float]) -> Interval | None:
    """Mean with a two-sided 95 % normal interval, or None for fewer than two scores."""
    if len(scores) < 2:
        return None
    mean = fmean(scores)
    half = Z_95 * stdev(scores) / math.sqrt(len(scores))
    return Interval(mean=mean, low=mean - half, high=mean + half, level=0.95)
