"""The control: any order."""

from collections.abc import Sequence

from wisen.core.records import Candidate, Found
from wisen.memory.rankers.ordering import draws, ordered


class RandomOrder:
    """An order that depends on the seed alone. For a control over the whole bank, let recall take all items as
    candidates and set its similarity floors to -1."""

    name = "random"

    async def rank(
        self, found: Sequence[Found], *, query: str, seed: int, explore: bool = False
    ) -> tuple[Candidate, ...]:
        return ordered(found, draws(found, seed))
