"""The search: which of the eligible items a query finds, by meaning and, where asked, by words."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from wisen.core.records import Found, Standing
from wisen.memory.eligibility import Eligible, Shelf
from wisen.memory.fusion import fused
from wisen.memory.recall_settings import RecallSettings


class Index(Protocol):
    """Finds the nearest items. Its vectors stand for `MemoryItem.text`."""

    async def query(self, text: str, ids: Sequence[str], n: int) -> list[tuple[str, float]]:
        """The n nearest of the given items, as (item id, cosine), best first, ties in order of id. Where many recalls
        may choose from the same items, `ids` is the same tuple each time."""
        ...


async def search(
    query: str,
    eligible: Eligible,
    shelf: Shelf,
    index: Index,
    settings: RecallSettings,
    standing: Callable[[str], Standing],
) -> list[Found]:
    """At most `settings.candidates` items: the nearest, or, where words are searched too, the first of both orders
    fused. `index` must hold all of them."""
    if not eligible.ids:
        return []
    near = await _nearest(query, eligible, index, settings.candidates)
    cosines, alike = dict(near), dict[str, float]()
    if settings.by_words:
        cosines, alike = await _with_words(query, near, eligible, shelf, index, settings.candidates)
    items = shelf.snapshot.items
    return [
        Found(item=items[key], similarity=cosine, lexical=alike.get(key, 0.0), standing=standing(key))
        for key, cosine in cosines.items()
    ]


async def _nearest(query: str, eligible: Eligible, index: Index, n: int) -> list[tuple[str, float]]:
    """The n nearest. Where few are out, they are asked for too: so the index is given the pool, which it knows."""
    if len(eligible.out) > 4 * n:
        return await index.query(query, eligible.ids, n)
    near = await index.query(query, eligible.pool, n + len(eligible.out))
    return [(key, cosine) for key, cosine in near if key not in eligible.out][:n]


async def _with_words(
    query: str, near: list[tuple[str, float]], eligible: Eligible, shelf: Shelf, index: Index, n: int
) -> tuple[dict[str, float], dict[str, float]]:
    """(cosines, shares of the query's information) of the first n of the fused orders."""
    by_words = await asyncio.to_thread(lambda: shelf.lexical.best(query, eligible.pool, n, out=eligible.out))
    scores = fused([[key for key, _ in near], [key for key, _ in by_words]])
    chosen = sorted(scores, key=lambda key: (-scores[key], key))[:n]
    cosines = dict(near)
    missing = tuple(sorted(key for key in chosen if key not in cosines))
    if missing:
        cosines.update(await index.query(query, missing, len(missing)))
    shares = dict(by_words)
    unread = [key for key in chosen if key not in shares]
    if unread:
        shares.update(await asyncio.to_thread(lambda: shelf.lexical.shares(query, unread)))
    return {key: cosines[key] for key in chosen}, shares
