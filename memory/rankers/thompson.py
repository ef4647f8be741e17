"""Thompson sampling: an item comes first as often as it may be the best (W. R. Thompson, Biometrika 25, 1933)."""

import random
from collections.abc import Sequence

from wisen.core.ids import derived_seed
from wisen.core.records import Candidate, Found
from wisen.memory.rankers.ordering import ordered


class Thompson:
    """By a draw from the Beta posterior of each item's success share when shown, from a uniform prior; without
    exploring by its mean. The share is that of whole runs, in which easy tasks count for whatever was shown."""

    name = "thompson"

    async def rank(
        self, found: Sequence[Found], *, query: str, seed: int, explore: bool = False
    ) -> tuple[Candidate, ...]:
        return ordered(found, [_share(one, seed) if explore else _mean(one) for one in found])


def _share(one: Found, seed: int) -> float:
    won, lost = one.standing.wins, one.standing.shown - one.standing.wins
    return random.Random(derived_seed(seed, "thompson", one.item.id)).betavariate(1 + won, 1 + lost)


def _mean(one: Found) -> float:
    return (1 + one.standing.wins) / (2 + one.standing.shown)
