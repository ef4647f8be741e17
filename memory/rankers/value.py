"""Likeness and worth, as MemRL ranks: both standardised over the candidates, and now and then anything at all."""

from collections.abc import Sequence

from wisen.core.ids import derived_seed
from wisen.core.records import Candidate, Found
from wisen.memory.rankers.ordering import draws, ordered, share, standardised


class Value:
    """(1 - weight) z(similarity) + weight z(value). Where exploring is allowed, a share `epsilon` of the recalls takes
    a random order instead."""

    name = "value"

    def __init__(self, *, weight: float = 0.5, epsilon: float = 0.1) -> None:
        self._weight, self._epsilon = share(weight, "weight"), share(epsilon, "epsilon")

    async def rank(
        self, found: Sequence[Found], *, query: str, seed: int, explore: bool = False
    ) -> tuple[Candidate, ...]:
        if explore and derived_seed(seed, "epsilon") / 2**32 < self._epsilon:
            return ordered(found, draws(found, seed))
        near = standardised([one.similarity for one in found])
        worth = standardised([one.standing.value for one in found])
        return ordered(found, [(1 - self._weight) * a + self._weight * b for a, b in zip(near, worth, strict=True)])
