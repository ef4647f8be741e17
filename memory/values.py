"""What an item is worth for ranking, by several methods of the literature behind one protocol.

`MeanScore` is the one that randomised hold-out identifies. The others are baselines as their papers define them: two
give every item that was shown the outcome of the whole run, whether or not the item had a part in it.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Protocol

from wisen.core.errors import SettingsError
from wisen.memory.credit import Appearance


class ValueFunction(Protocol):
    """Pure: the same appearances give the same value. Higher is better; scales differ."""

    @property
    def name(self) -> str: ...

    def value(self, account: Sequence[Appearance]) -> float:
        """Of an item with these appearances, in collection order; maybe none."""
        ...


class MeanScore:
    """Mean inverse-propensity score: an unbiased estimate of the item's lift. 0 without evidence."""

    name = "lift"

    def value(self, account: Sequence[Appearance]) -> float:
        return fmean(one.score for one in account) if account else 0.0


class MemRL:
    """Q <- Q + rate (r - Q) after each run in which it was shown, r being 1 for success and 0 for failure."""

    name = "memrl"

    def __init__(self, rate: float = 0.3, first: float = 0.0) -> None:
        self._rate, self._first = rate, first

    def value(self, account: Sequence[Appearance]) -> float:
        q = self._first
        for one in account:
            if one.shown:
                q += self._rate * (one.success - q)
        return q


class EvolveR:
    """(wins + 1) / (shown + 2), over the runs in which it was shown."""

    name = "evolver"

    def value(self, account: Sequence[Appearance]) -> float:
        shown = [one.success for one in account if one.shown]
        return (sum(shown) + 1) / (len(shown) + 2)


class D2Skill:
    """Of each group of runs, the success of those with the item less that of those without; a moving average with
    weight 0.5 on the newest. A group is one template in one wave of collection; without both sides it says nothing."""

    name = "d2skill"

    def __init__(self, weight: float = 0.5) -> None:
        self._weight = weight

    def value(self, account: Sequence[Appearance]) -> float:
        sides: dict[tuple[str, str], tuple[list[bool], list[bool]]] = {}
        for one in account:
            sides.setdefault(one.group, ([], []))[0 if one.shown else 1].append(one.success)
        utility = 0.0
        for shown, held_out in sides.values():
            if shown and held_out:
                utility += self._weight * (fmean(shown) - fmean(held_out) - utility)
        return utility


VALUE_FUNCTIONS: Mapping[str, type[MeanScore | MemRL | EvolveR | D2Skill]] = {
    one.name: one for one in (MeanScore, MemRL, EvolveR, D2Skill)
}


def value_function(name: str) -> ValueFunction:
    """By name. Raises `SettingsError` for an unknown one."""
    if name not in VALUE_FUNCTIONS:
        raise SettingsError(f"there is no value function {name!r}", f"one of {', '.join(VALUE_FUNCTIONS)}")
    return VALUE_FUNCTIONS[name]()


def values(accounts: Mapping[str, Sequence[Appearance]], method: ValueFunction) -> dict[str, float]:
    """By unit, its worth (`memory.credit.appearances` gives the accounts)."""
    return {key: method.value(account) for key, account in accounts.items()}
