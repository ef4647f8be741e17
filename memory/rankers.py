"""Rankers: who comes first among the items that may be recalled."""

from collections.abc import Sequence

from wisen.core.ids import derived_seed
from wisen.core.records import Candidate, MemoryItem


class Similarity:
    """Nearest in meaning first."""

    @property
    def name(self) -> str:
        return "similarity"

    def rank(self, items: Sequence[MemoryItem], similarities: Sequence[float], *, seed: int) -> tuple[Candidate, ...]:
        return _ordered(items, similarities)


class RandomOrder:
    """The control: an order that depends on the seed alone. For a control over the whole bank, let recall take all
    items as candidates and set its similarity floors to -1."""

    @property
    def name(self) -> str:
        return "random"

    def rank(self, items: Sequence[MemoryItem], similarities: Sequence[float], *, seed: int) -> tuple[Candidate, ...]:
        return _ordered(items, [derived_seed(seed, "rank", item.id) / 2**32 for item in items])


def _ordered(items: Sequence[MemoryItem], scores: Sequence[float]) -> tuple[Candidate, ...]:
    ranked = sorted(zip(items, scores, strict=True), key=lambda pair: (-pair[1], pair[0].id))
    return tuple(Candidate(item_id=item.id, score=score) for item, score in ranked)
