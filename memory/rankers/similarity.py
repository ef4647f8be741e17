"""Nearest in meaning first."""

from collections.abc import Sequence

from wisen.core.records import Candidate, Found
from wisen.memory.rankers.ordering import ordered


class Similarity:
    """By cosine."""

    name = "similarity"

    async def rank(
        self, found: Sequence[Found], *, query: str, seed: int, explore: bool = False
    ) -> tuple[Candidate, ...]:
        return ordered(found, [one.similarity for one in found])
