"""Likeness, worth, and a bonus for what has been shown little, as D2Skill ranks (upper confidence bound)."""

import math
from collections.abc import Sequence

from wisen.core.errors import SettingsError
from wisen.core.records import Candidate, Found
from wisen.memory.rankers.ordering import ordered, share


class UCB:
    """weight * similarity + (1 - weight) * (value + c * sqrt(log N / n)). n: how often the item was shown, N: how often
    all candidates together, both counted from 1, so that one that never was has a finite bonus. Without exploring there
    is no bonus."""

    name = "ucb"

    def __init__(self, *, weight: float = 0.5, c: float = 0.2) -> None:
        if not c >= 0:
            raise SettingsError(f"the ranker's option c is {c!r}", "give 0 or more")
        self._weight, self._c = share(weight, "weight"), c

    async def rank(
        self, found: Sequence[Found], *, query: str, seed: int, explore: bool = False
    ) -> tuple[Candidate, ...]:
        total = math.log(1 + sum(one.standing.shown for one in found))
        c = self._c if explore else 0.0
        scores = [
            self._weight * one.similarity
            + (1 - self._weight) * (one.standing.value + c * math.sqrt(total / (1 + one.standing.shown)))
            for one in found
        ]
        return ordered(found, scores)
