"""Near in meaning and alike in words: the two orders fused."""

from collections.abc import Sequence

from wisen.core.records import Candidate, Found
from wisen.memory.fusion import fused
from wisen.memory.rankers.ordering import ordered


class Hybrid:
    """Reciprocal rank fusion of the order by cosine and the order by BM25. An item that shares no word with the query
    has no rank in the second; equals take their ranks in order of id."""

    name = "hybrid"

    async def rank(
        self, found: Sequence[Found], *, query: str, seed: int, explore: bool = False
    ) -> tuple[Candidate, ...]:
        near = ordered(found, [one.similarity for one in found])
        alike = [one for one in ordered(found, [one.lexical for one in found]) if one.score > 0]
        scores = fused([[one.item_id for one in near], [one.item_id for one in alike]])
        return ordered(found, [scores[one.item.id] for one in found])
