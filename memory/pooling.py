"""What items have in common: measured worth pooled by kind, distiller and author, and each item's drawn towards its
group's. For ranking and for reports on where good advice comes from; status is never decided by it.

Empirical Bayes with normal spread on two levels: an item's lift varies around its group's mean, and that around the
mean of all. A spread is estimated by moments (R. DerSimonian and N. Laird, Controlled Clinical Trials 7, 1986).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from wisen.core.records import ItemCredit, MemoryItem

Group = Callable[[MemoryItem], Hashable]
GROUPS: Mapping[str, Group] = {
    "kind": lambda item: item.kind.value,
    "distiller": lambda item: item.author.distiller,
    "author": lambda item: (item.author.model, item.author.prompt_version),
}
LEAST_VARIANCE = 0.05  # of one appearance's score, so that two equal outcomes do not look certain


@dataclass(frozen=True)
class Pooled:
    """Mean lift of a group's items, its standard error, how many there are and how much they differ in truth."""

    mean: float
    error: float
    items: int
    spread: float


def pooled(credits: Sequence[ItemCredit], group: Group) -> dict[Hashable, Pooled]:
    """By group, in order of first appearance. Items without a measured lift are left out."""
    return {key: _pool([_measured(one) for one in members]) for key, members in _grouped(credits, group).items()}


def shrunken(credits: Sequence[ItemCredit]) -> dict[str, float]:
    """By item id, its lift drawn towards the mean of its kind, distiller and author, as far as its own evidence is
    thin; that mean is drawn towards the mean of all. Items without a measured lift have the latter."""
    groups = _grouped(credits, lambda item: tuple(group(item) for group in GROUPS.values()))
    pools = {key: _pool([_measured(one) for one in members]) for key, members in groups.items()}
    overall = _pool([(pool.mean, pool.error**2) for pool in pools.values()])
    found = {one.item.id: overall.mean for one in credits}
    for key, members in groups.items():
        pool = pools[key]
        centre = _between(pool.mean, pool.error**2, overall.mean, overall.spread**2)
        for one in members:
            mean, variance = _measured(one)
            found[one.item.id] = _between(mean, variance, centre, pool.spread**2)
    return found


def _grouped(credits: Sequence[ItemCredit], group: Group) -> dict[Hashable, list[ItemCredit]]:
    groups: dict[Hashable, list[ItemCredit]] = defaultdict(list)
    for one in credits:
        if one.lift is not None and one.deviation is not None:
            groups[group(one.item)].append(one)
    return groups


def _measured(one: ItemCredit) -> tuple[float, float]:
    """(mean, its squared standard error)."""
    assert one.lift is not None and one.deviation is not None
    return one.lift.mean, max(one.deviation**2, LEAST_VARIANCE) / one.appearances


def _pool(measured: Sequence[tuple[float, float]]) -> Pooled:
    if not measured:
        return Pooled(0.0, math.inf, 0, 0.0)
    weights = [1 / variance for _, variance in measured]
    total = sum(weights)
    mean = sum(weight * value for weight, (value, _) in zip(weights, measured, strict=True)) / total
    scatter = sum(weight * (value - mean) ** 2 for weight, (value, _) in zip(weights, measured, strict=True))
    room = total - sum(weight**2 for weight in weights) / total
    spread = max(0.0, (scatter - (len(measured) - 1)) / room) if room > 0 else 0.0
    weights = [1 / (variance + spread) for _, variance in measured]
    mean = sum(weight * value for weight, (value, _) in zip(weights, measured, strict=True)) / sum(weights)
    return Pooled(mean, math.sqrt(1 / sum(weights)), len(measured), math.sqrt(spread))


def _between(value: float, variance: float, centre: float, spread: float) -> float:
    """The posterior mean of one value around a centre."""
    return value if variance + spread == 0 else centre + (value - centre) * spread / (variance + spread)
