"""Keys and values of all sequences, in one stretch of memory per layer, and who holds which part of it.

A sequence leases neighbouring places. When it ends, what it read of its prompt stays, idle, until the room is needed:
the next step of an episode, or another attempt at a task, finds the prefix that it shares and computes only the rest.
"""

import bisect
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wisen.models.engine import CHUNK

ROOM = 512  # places: leases are a multiple of this where there is room


class Arena:
    """`places` tokens' keys and values, made when a layer is first written: [1, heads, places, d] each, so that what
    a head reads lies in a row. The last `CHUNK` places are nobody's: rows that only fill a pass are written there."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.nowhere = places - CHUNK
        self._layers: dict[int, tuple[Any, Any]] = {}

    def store(self, layer: int, key: Any, value: Any, places: Any) -> tuple[Any, Any]:
        """Write [1, heads, rows, d] keys and values at [rows] places. Gives all of the layer's,
        [1, heads, places, d]."""
        found = self._layers.get(layer)
        if found is None:
            found = self._layers[layer] = tuple(
                each.new_empty(1, each.shape[1], self.places, each.shape[3]) for each in (key, value)
            )
        for kept, new in zip(found, (key, value), strict=True):
            kept.index_copy_(2, places, new)
        return found

    def copy(self, source: int, target: int, count: int) -> None:
        import torch

        with torch.inference_mode():
            for kept in self._kept():
                kept[:, :, target : target + count] = kept[:, :, source : source + count]

    @property
    def bytes_per_token(self) -> int:
        """Of the layers written so far."""
        return sum(kept.shape[1] * kept.shape[3] * kept.element_size() for kept in self._kept())

    def _kept(self) -> Iterator[Any]:
        return (kept for layer in self._layers.values() for kept in layer)


@dataclass(eq=False)
class Lease:
    """Places [start, start + size). keys: of each whole chunk of its prompt, with all that stands before it. valid: how
    many tokens of those were read: others may share them. used: when it last was, for the order of dropping."""

    start: int
    size: int
    keys: tuple[bytes, ...]
    valid: int = 0
    idle: bool = False
    used: int = 0


def chunk_keys(ids: Sequence[int], owner: str) -> tuple[bytes, ...]:
    """One digest per whole chunk, of its tokens and all before: equal keys, equal keys and values in the cache. owner:
    what else these depend on, the adapter."""
    data = np.asarray(ids, dtype=np.int64).tobytes()
    size = CHUNK * 8
    keys, last = [], owner.encode()
    for at in range(0, len(data) - size + 1, size):
        last = hashlib.blake2b(last + data[at : at + size]).digest()
        keys.append(last)
    return tuple(keys)


class Prefixes:
    """Who holds which places, and the idle prefixes, least recently used out first."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._leases: list[Lease] = []  # by start
        self._holders: dict[bytes, list[Lease]] = {}
        self._clock = 0
        self.hits = self.misses = 0  # tokens

    def awaited(self, keys: Sequence[bytes]) -> bool:
        """Whether a prompt is being read that will hold more of these chunks than any does now."""
        soon = self._longest(keys, lambda lease, count: not lease.idle)[1]
        return soon > self._longest(keys, _holds)[1]

    def take(self, keys: tuple[bytes, ...], length: int, size: int) -> Lease | None:
        """A lease of `size` places for a prompt of `length` tokens, whose first `valid` hold the longest known prefix;
        at least the last token is left to read. None while there is no room."""
        best, shared = self._longest(keys[: (length - 1) // CHUNK], _holds)
        self._clock += 1
        if best is not None:
            best.used = self._clock
        if best is not None and best.idle and shared == best.valid and size <= best.size:
            lease = best
            self._drop(best)
            lease.idle, lease.keys = False, keys
        else:
            generous = -(-size // ROOM) * ROOM  # the next step of an episode then stays where it is
            start = self._hole(generous)
            if start is None:
                generous, start = size, self._room(size, best)
            if start is None:
                return None
            if best is not None and best not in self._leases:  # its own room was needed
                shared = 0
            elif best is not None:
                self._arena.copy(best.start, start, shared)
            lease = Lease(start, generous, keys, valid=shared)
        self._hold(lease)
        self.hits += shared
        self.misses += length - shared
        return lease

    def release(self, lease: Lease) -> None:
        """Its sequence is done. What it read stays, once: shorter prefixes of the same are dropped."""
        self._clock += 1
        self._drop(lease)
        chunks = lease.valid // CHUNK
        lease.keys, lease.idle, lease.used = lease.keys[:chunks], True, self._clock
        if not lease.keys or any(_holds(each, chunks) for each in self._holders.get(lease.keys[-1], ())):
            return
        for count, key in enumerate(lease.keys, 1):
            for each in [each for each in self._holders.get(key, ()) if each.idle and each.valid == count * CHUNK]:
                self._drop(each)
        self._hold(lease)

    def _longest(self, keys: Sequence[bytes], good: Callable[[Lease, int], bool]) -> tuple[Lease | None, int]:
        """The lease that is good for the most leading chunks, and how many tokens those are."""
        best, shared = None, 0
        for count, key in enumerate(keys, 1):
            found = next((each for each in self._holders.get(key, ()) if good(each, count)), None)
            if found is None:
                break
            best, shared = found, count * CHUNK
        return best, shared

    def _hold(self, lease: Lease) -> None:
        bisect.insort(self._leases, lease, key=lambda each: each.start)
        for key in lease.keys:
            self._holders.setdefault(key, []).append(lease)

    def _drop(self, lease: Lease) -> None:
        self._leases.remove(lease)
        for key in lease.keys:
            self._holders[key].remove(lease)
            if not self._holders[key]:
                del self._holders[key]

    def _hole(self, size: int) -> int | None:
        """The first place of so many that nobody holds."""
        start = 0
        for lease in self._leases:
            if lease.start - start >= size:
                return start
            start = lease.start + lease.size
        return start if self._arena.nowhere - start >= size else None

    def _room(self, size: int, spare: Lease | None) -> int | None:
        """A hole, made by dropping idle leases where there is none, `spare` last."""
        while (start := self._hole(size)) is None:
            idle = [each for each in self._leases if each.idle]
            if not idle:
                return None
            self._drop(min(idle, key=lambda each: (each is spare, each.used)))
        return start


def _holds(lease: Lease, chunks: int) -> bool:
    return lease.valid >= chunks * CHUNK
