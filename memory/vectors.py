"""Vectors in memory, and the nearest of them: exactly, and within milliseconds at 100,000.

Up to some thousand vectors all are scored. Beyond, a sketch (their first principal directions) chooses which are: a
fifth of the numbers are read, and the answer is the same, or else the sketch is not used. That is measured whenever it
is made, with queries made of the vectors themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALL_SCORED = 16_384  # so many at most are scored without a sketch: some 2 ms at 384 numbers each
FEW = 2048  # so many at most are scored without it, whatever else is there
WIDTHS = (64, 128)  # of a sketch, the first that finds everything
CHOSEN = 1024  # by a sketch, at least
PER_WANTED = 32  # and so many for each that is asked for
SAMPLE = 4096  # vectors that a sketch is made from
PROBES = 64
PROBED = 32  # nearest of each probe that the sketch must have among those that it chooses
LEAST_FOUND = 0.998
ROUNDING = 1e-5  # more than single precision and the six digits of a score can change together
POOLS = 16  # whose places are remembered

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sketch:
    """directions: [d, width], orthonormal. rows: [capacity, width], the vectors along them. made_at: how many vectors
    there were."""

    directions: Floats
    rows: Floats
    made_at: int


class Vectors:
    """Unit vectors by key. Not for several threads at once."""

    def __init__(self) -> None:
        self._place: dict[str, int] = {}
        self._keys: list[str] = []
        self._rows: Floats = np.zeros((0, 0), np.float32)
        self._sketch: Sketch | None = None
        self._tried_at = 0  # how many vectors there were when a sketch was last made, or refused
        self._pools: dict[int, tuple[tuple[str, ...], NDArray[np.intp]]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._place

    def put(self, keys: Sequence[str], vectors: Floats) -> None:
        """Add vectors ([n, d]), or replace those of keys that are there."""
        if not keys:
            return
        self._grow(len(self._keys) + len(keys), vectors.shape[1])
        for key in keys:
            if key not in self._place:
                self._place[key] = len(self._keys)
                self._keys.append(key)
        places = self._places(keys)
        self._rows[places] = vectors
        if self._sketch is not None:
            self._sketch.rows[places] = vectors @ self._sketch.directions

    def drop(self, keys: Sequence[str]) -> None:
        """Remove some; the last ones take their places. Unknown keys are none."""
        for key in keys:
            place = self._place.pop(key, None)
            if place is None:
                continue
            last = self._keys.pop()
            if last != key:
                self._keys[place], self._place[last] = last, place
                self._rows[place] = self._rows[len(self._keys)]
                if self._sketch is not None:
                    self._sketch.rows[place] = self._sketch.rows[len(self._keys)]
        self._pools.clear()

    def nearest(self, vector: Floats, keys: Sequence[str], n: int) -> list[tuple[str, float]]:
        """The n nearest of these keys as (key, cosine), best first, ties in order of key.

        vector: [d], a unit vector. Cosines are computed in double precision and rounded to 6 digits, so that the order
        does not hang on the last bits. A tuple given again and again (the very same one) is looked up once. Raises
        `KeyError` for an unknown key.
        """
        if not keys or n < 1:
            return []
        places = self._known(keys)
        candidates = self._candidates(vector, places, n)
        exact = vector.astype(np.float64)
        scores = [
            (self._keys[place], round(float(np.dot(self._rows[place].astype(np.float64), exact)), 6))
            for place in candidates
        ]
        return sorted(scores, key=lambda pair: (-pair[1], pair[0]))[:n]

    def _candidates(self, vector: Floats, places: NDArray[np.intp], n: int) -> NDArray[np.intp]:
        """Those that can be among the n nearest once scores are exact and rounded."""
        sketch = self._sketched() if len(places) > FEW else None
        most = max(CHOSEN, PER_WANTED * n)
        if sketch is not None and most < len(places):
            places = self._scored(sketch.rows, places, vector @ sketch.directions, most)
        return self._scored(self._rows, places, vector, n, ROUNDING)

    def _scored(
        self, rows: Floats, places: NDArray[np.intp], vector: Floats, n: int, margin: float = 0.0
    ) -> NDArray[np.intp]:
        """Which of the places have the n highest scores, and those within the margin."""
        if len(places) == len(self):
            return _best(rows[: len(self)] @ vector, n, margin)
        if len(places) <= max(FEW, len(self) // 5):
            return places[_best(rows.take(places, axis=0) @ vector, n, margin)]
        # Copying so many would take longer than reading all in order.
        return places[_best((rows[: len(self)] @ vector)[places], n, margin)]

    def _sketched(self) -> Sketch | None:
        """A sketch of what is there now; None where there is too little, or where it would not find everything."""
        if len(self) <= ALL_SCORED:
            self._sketch, self._tried_at = None, 0
        elif len(self) >= 2 * self._tried_at:
            self._sketch = _sketch(self._rows, len(self))
            self._tried_at = len(self)
        return self._sketch

    def _known(self, keys: Sequence[str]) -> NDArray[np.intp]:
        if not isinstance(keys, tuple) or len(keys) <= FEW:
            return self._places(keys)
        pool, places = self._pools.get(id(keys), ((), None))
        if pool is not keys or places is None:  # an id may have had another bearer
            places = self._places(keys)
            while len(self._pools) >= POOLS:
                del self._pools[next(iter(self._pools))]
            self._pools[id(keys)] = (keys, places)
        return places

    def _places(self, keys: Sequence[str]) -> NDArray[np.intp]:
        return np.fromiter((self._place[key] for key in keys), np.intp, len(keys))

    def _grow(self, size: int, dimensions: int) -> None:
        if size <= len(self._rows) and self._rows.shape[1] == dimensions:
            return
        if self._keys and self._rows.shape[1] != dimensions:
            raise ValueError(f"vectors of {dimensions} numbers among such of {self._rows.shape[1]}")
        capacity = max(size, 2 * len(self._keys))
        self._rows = _longer(self._rows, len(self._keys), capacity, dimensions)
        if self._sketch is not None:
            rows = _longer(self._sketch.rows, len(self._keys), capacity, self._sketch.rows.shape[1])
            self._sketch = Sketch(self._sketch.directions, rows, self._sketch.made_at)


def _longer(rows: Floats, kept: int, capacity: int, width: int) -> Floats:
    more = np.zeros((capacity, width), np.float32)
    if kept:
        more[:kept] = rows[:kept]
    return more


def _best(scores: Floats, n: int, margin: float = 0.0) -> NDArray[np.intp]:
    """Where the n highest are, and all that are less than `margin` below them."""
    if n >= len(scores):
        return np.arange(len(scores))
    if 16 * n < len(scores) and len(scores) > ALL_SCORED // 4:
        some = scores[::16]  # says where to look: sorting all would take longer than scoring them
        rank = max(16, n // 4)
        cut = np.partition(some, -rank)[-rank]
        above = np.flatnonzero(scores >= cut)
        if len(above) >= n:
            least = np.partition(scores[above], -n)[-n] - margin
            return np.flatnonzero(scores >= least) if least < cut else above[scores[above] >= least]
    return np.flatnonzero(scores >= np.partition(scores, -n)[-n] - margin)


def _sketch(rows: Floats, size: int) -> Sketch | None:
    """The narrowest sketch of the first `size` rows that loses next to nothing, measured; None where none is good."""
    some = rows[np.linspace(0, size - 1, min(size, SAMPLE)).astype(np.intp)]
    _, axes = np.linalg.eigh((some.T @ some).astype(np.float64))
    probes = some[:: max(1, len(some) // PROBES)][:PROBES].copy()
    probes[::2] += probes[np.arange(0, len(probes), 2) - 1]  # half of them lie between vectors, as queries do
    probes /= np.linalg.norm(probes, axis=1, keepdims=True) + 1e-12
    nearest = [frozenset(_best(rows[:size] @ probe, PROBED).tolist()) for probe in probes]
    for width in (width for width in WIDTHS if 2 * width <= rows.shape[1]):
        directions = np.ascontiguousarray(axes[:, ::-1][:, :width], dtype=np.float32)
        along = rows @ directions
        found = [
            len(true.intersection(_best(along[:size] @ (probe @ directions), CHOSEN).tolist())) / len(true)
            for true, probe in zip(nearest, probes, strict=True)
        ]
        if np.mean(found) >= LEAST_FOUND:
            return Sketch(directions, along, size)
    return None
