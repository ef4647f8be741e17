"""Search by words: BM25 over the items of one bank version (S. Robertson and H. Zaragoza 2009, in Lucene's variant),
by bm25s.

A bank version never changes, so its index is made once, where a recall asks for words at all: some 70 µs an item of 30
words (7 s of a slow core for 100,000). A query of 10 words then takes about 2 ms at 100,000 items.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wisen.core.records import MemoryItem
from wisen.memory.index import searchable

if TYPE_CHECKING:
    import bm25s

K1, B = 1.2, 0.75
POOLS = 16  # held at a time
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class _Scores:
    """raw: BM25 of every item [n]. most: what a text could score that has every word of the query without end."""

    raw: NDArray[np.float32]
    most: float

    def shares(self, raw: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.round(raw.astype(np.float64) / self.most, 6)


class Lexical:
    """Scores are shares of the query's information: BM25 over the most that any text could score, so from 0 to 1. A
    word that no item has counts as one that is missing. Rounded to 6 digits, so that the order does not hang on the
    last bits."""

    def __init__(self, items: Sequence[MemoryItem]) -> None:
        self._texts = [searchable(item) for item in items]
        self._place = {item.id: number for number, item in enumerate(items)}
        self._pools: dict[int, tuple[tuple[str, ...], NDArray[np.int64]]] = {}

    def load(self) -> None:
        """Make the index now, instead of at the first query."""
        _ = self._index

    def best(
        self, query: str, pool: tuple[str, ...], n: int, *, out: frozenset[str] = frozenset()
    ) -> list[tuple[str, float]]:
        """The n best of the pool, without those that are `out`, that have a word of the query; best first, ties in
        order of id. Raises `KeyError` for an item that is not here."""
        asked = self._scores(query)
        if asked is None or not pool or n < 1:
            return []
        own = asked.raw[self._places(pool)]
        hits = np.flatnonzero(own)
        values = asked.shares(own[hits])
        room = n + len(out)
        if len(hits) > room:  # with all that tie with the last
            best = values >= np.partition(values, -room)[-room]
            hits, values = hits[best], values[best]
        found = [(pool[hit], float(value)) for hit, value in zip(hits, values, strict=True) if pool[hit] not in out]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:n]

    def shares(self, query: str, ids: Iterable[str]) -> dict[str, float]:
        """By id, of these items."""
        keys, asked = tuple(ids), self._scores(query)
        if asked is None:
            return dict.fromkeys(keys, 0.0)
        values = asked.shares(asked.raw[[self._place[key] for key in keys]])
        return {key: float(value) for key, value in zip(keys, values, strict=True)}

    def _places(self, pool: tuple[str, ...]) -> NDArray[np.int64]:
        """Where a pool's items are. Pools come again and again, and are known by being the same object."""
        if id(pool) not in self._pools:
            if len(self._pools) >= POOLS:
                del self._pools[next(iter(self._pools))]
            self._pools[id(pool)] = (pool, np.fromiter((self._place[key] for key in pool), np.int64, len(pool)))
        return self._pools[id(pool)][1]

    def _scores(self, query: str) -> "_Scores | None":
        """None where no word of the query is known."""
        if self._index is None:
            return None
        asked = words(query)
        known = [word for word in asked if word in self._index.vocab_dict]
        if not known:
            return None
        return _Scores(self._index.get_scores(known), sum(self._idf(self._frequency(word)) for word in asked))

    def _frequency(self, word: str) -> int:
        """In how many items a word is."""
        assert self._index is not None
        if word not in self._index.vocab_dict:
            return 0
        place, starts = self._index.vocab_dict[word], self._index.scores["indptr"]
        return int(starts[place + 1] - starts[place])

    def _idf(self, frequency: int) -> float:
        return math.log(1 + (len(self._texts) - frequency + 0.5) / (frequency + 0.5))

    @cached_property
    def _index(self) -> "bm25s.BM25 | None":
        """None where there are no words at all."""
        import bm25s

        texts = [words(text) for text in self._texts]
        if not any(texts):
            return None
        index = bm25s.BM25(method="lucene", k1=K1, b=B)
        index.index(texts, show_progress=False)
        return index


def words(text: str) -> list[str]:
    """In lower case, in their order."""
    return _WORD.findall(text.lower())
