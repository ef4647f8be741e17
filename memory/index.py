"""The vector index of memory items in Chroma. The store is the truth; the index can be dropped and rebuilt any time."""

import asyncio
import hashlib
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from wisen.core.errors import WisenError
from wisen.core.ids import content_id
from wisen.core.protocols import Embedder
from wisen.core.records import MemoryItem
from wisen.core.workspace import Workspace
from wisen.memory.chroma import (
    BATCH,
    GOES_ON,
    IndexFault,
    Parts,
    collection_name,
    embedded,
    fault_hint,
    kept_ids,
    not_the_folder,
    server,
    unreadable,
)
from wisen.memory.vectors import Vectors

__all__ = ["ChromaIndex", "IndexFault", "collection_name", "searchable"]

if TYPE_CHECKING:
    from chromadb.api.client import Client

log = logging.getLogger(__name__)
T = TypeVar("T")


class ChromaIndex:
    """Embedded Chroma in a folder, or a Chroma server by URL; exactly one of the two.

    The collection's name carries the embedder's id, so vectors of two models never mix. Chroma's own embedding
    function (which downloads a model) is never used, and its telemetry is off. What it holds is read into memory when
    it is opened (some 2 KB an item) and searched there. A folder that Chroma cannot read is moved aside with a warning
    and started afresh: `sync` then fills it. Methods may run concurrently; Chroma is called off the event loop, one
    call at a time. All raise `IndexFault` for what Chroma or its server refuse.

    One process at a time may write to a folder: whoever opens it owns the workspace (`Workspace.lock`).
    """

    @classmethod
    def of(cls, workspace: Workspace, embedder: Embedder) -> Self:
        """The index of a workspace: in its folder, or on the server that the machine names. Stores that share a server
        have collections of their own."""
        if not workspace.index_url:
            return cls(embedder, path=workspace.index)
        return cls(embedder, url=workspace.index_url, collection=content_id("memory", workspace.store_name))

    def __init__(
        self, embedder: Embedder, *, path: Path | None = None, url: str | None = None, collection: str = "memory"
    ) -> None:
        if (path is None) == (url is None):
            raise IndexFault("the index needs either a folder or the URL of a Chroma server")
        self._embedder = embedder
        self._path = path
        self._url = url
        self.collection_name = collection_name(collection, embedder.id)
        self._lock = threading.Lock()
        self._writing = asyncio.Lock()
        self._parts: Parts | None = None
        self._sure: dict[str, MemoryItem] = {}  # items, the very objects, whose vectors are known to be right
        self._vectors = Vectors()

    async def sync(self, items: Iterable[MemoryItem]) -> None:
        """Make the collection hold exactly these items: embed and add what is missing or has another text, delete the
        rest. To serve several bank versions at once, give the items of all of them."""
        await self._write(items, prune=True)

    async def ensure(self, items: Iterable[MemoryItem]) -> None:
        """As `sync`, but what else the collection holds stays."""
        await self._write(items, prune=False)

    async def discard(self, ids: Iterable[str]) -> None:
        """Delete these items, if they are there."""
        async with self._writing:
            await asyncio.to_thread(self._locked, lambda: self._discard(ids))

    async def rebuild(self, items: Iterable[MemoryItem]) -> None:
        """Drop the collection and make it anew."""
        async with self._writing:
            await asyncio.to_thread(self._locked, self._drop)
        await self.sync(items)

    async def query(self, text: str | NDArray[np.float32], ids: Sequence[str], n: int) -> list[tuple[str, float]]:
        """The n nearest of the given items as (item id, cosine similarity), best first, ties in order of id.

        text: the query, or its unit vector [d]. ids: distinct; a tuple that is given again and again is looked up once.
        Similarities are computed as in `Vectors.nearest`. Raises `IndexFault` for an item that was not synced.
        """
        if not ids or n < 1:
            return []
        vector = (await self._embedder.embed([text]))[0] if isinstance(text, str) else text
        return await asyncio.to_thread(self._locked, lambda: self._nearest(vector, ids, n))

    async def ids(self) -> frozenset[str]:
        """What the collection holds."""
        return await asyncio.to_thread(self._locked, lambda: frozenset(self._open().digests))

    async def look(self) -> frozenset[str]:
        """What the collection holds, without making, moving or mending anything. Raises `IndexFault` where it cannot
        be read."""
        return await asyncio.to_thread(self._locked, self._look)

    async def close(self) -> None:
        await asyncio.to_thread(self._locked, self._close)

    async def _write(self, items: Iterable[MemoryItem], *, prune: bool) -> None:
        given = items if isinstance(items, Collection) else tuple(items)
        async with self._writing:
            held = await asyncio.to_thread(self._locked, lambda: self._open().digests)
            # Versions of a bank share their items, so that of most of them nothing needs to be worked out again.
            new = [item for item in given if self._sure.get(item.id) is not item]
            digests = {item.id: _digest(searchable(item)) for item in new}
            texts = {item.id: searchable(item) for item in new if held.get(item.id) != digests[item.id]}
            surplus = sorted(held.keys() - {item.id for item in given}) if prune else []
            missing = sorted(texts)
            for start in range(0, len(missing), BATCH):  # a kill loses the embedding of one batch at most
                keys = missing[start : start + BATCH]
                vectors = await self._embedder.embed([texts[key] for key in keys])
                put = partial(self._put, keys, vectors, [digests[key] for key in keys])
                await asyncio.to_thread(self._locked, put)
            if surplus:
                await asyncio.to_thread(self._locked, lambda: self._discard(surplus))
            self._sure.update((item.id, item) for item in new)

    # Below: blocking, called with the lock held.

    def _locked(self, work: Callable[[], T]) -> T:
        with self._lock:
            try:
                return work()
            except WisenError:
                raise
            except Exception as error:  # Chroma raises its own, httpx's, sqlite's and plain ones
                said = " ".join(str(error).split())
                hint = fault_hint(said) if self._url is None else f"is the server still there? {GOES_ON}"
                raise IndexFault(f"the memory index at {self._place} failed: {said}", hint) from error

    @property
    def _place(self) -> str:
        return self._url or str(self._path)

    def _look(self) -> frozenset[str]:
        if self._path is not None:
            if not (self._path / "chroma.sqlite3").exists():
                return frozenset()
            if (broken := unreadable(self._path)) is not None:
                raise IndexFault(f"the memory index in {self._path} is damaged: {broken}", "the next run makes it anew")
        client = self._client_of()
        try:
            return kept_ids(client, self.collection_name)
        finally:
            client.close()

    def _open(self) -> Parts:
        if self._parts is None:
            self._parts, self._vectors = self._connected() if self._url is not None else self._connected_folder()
        return self._parts

    def _client_of(self) -> "Client":
        if self._path is not None:
            return embedded(self._path)
        assert self._url is not None
        return server(self._url)

    def _connected(self) -> tuple[Parts, Vectors]:
        client = self._client_of()
        try:
            parts, vectors = Parts(client, self.collection_name, folder=self._url is None), Vectors()
            for keys, rows in parts.vectors(parts.digests):
                vectors.put(keys, rows)
        except Exception:
            client.close()  # or Chroma would hand out this very client again for the same folder
            raise
        return parts, vectors

    def _connected_folder(self) -> tuple[Parts, Vectors]:
        assert self._path is not None
        broken: Exception | None = unreadable(self._path)
        if broken is None:
            try:
                return self._connected()
            except Exception as error:  # Chroma raises its own, sqlite's and plain ones for a damaged folder
                said = " ".join(str(error).split())
                if not_the_folder(said):
                    raise IndexFault(
                        f"the memory index in {self._path} cannot be opened: {said}", fault_hint(said)
                    ) from error
                broken = error
        aside = self._aside()
        log.warning(
            "the index in %s is unreadable and starts afresh; the old one is in %s: %s", self._path, aside, broken
        )
        with suppress(Exception):  # a start that failed stays in Chroma's cache of open folders until the next failure
            return self._connected()
        try:
            return self._connected()
        except Exception as error:
            said = " ".join(str(error).split())
            raise IndexFault(f"the memory index in {self._path} cannot be opened: {said}", fault_hint(said)) from error

    def _aside(self) -> Path:
        """Move the folder out of the way."""
        assert self._path is not None
        number = 1
        while (target := self._path.with_name(f"{self._path.name}.broken-{number}")).exists():
            number += 1
        try:
            return self._path.rename(target)
        except OSError as error:
            raise IndexFault(
                f"the damaged memory index in {self._path} cannot be moved aside: {error.strerror}", "remove it"
            ) from error

    def _nearest(self, vector: NDArray[np.float32], ids: Sequence[str], n: int) -> list[tuple[str, float]]:
        self._open()
        try:
            return self._vectors.nearest(vector, ids, n)
        except KeyError:
            unknown = [key for key in ids if key not in self._vectors]
            raise IndexFault(
                f"{len(unknown)} items are not indexed, the first is {unknown[0]}", "sync the index first"
            ) from None

    def _put(self, keys: Sequence[str], vectors: NDArray[np.float32], digests: Sequence[str]) -> None:
        parts = self._open()
        parts.put(keys, vectors, digests)
        if self._url is None:
            self._vectors.put(keys, vectors)
        else:  # a server scales them anew, in the last digit: whoever opens it later must find the same
            for there, rows in parts.vectors(keys):
                self._vectors.put(there, rows)

    def _discard(self, ids: Iterable[str]) -> None:
        parts = self._open()
        there = sorted(parts.digests.keys() & set(ids))
        parts.delete(there)
        self._vectors.drop(there)
        for key in there:
            self._sure.pop(key, None)

    def _drop(self) -> None:
        self._open().drop()
        self._close()

    def _close(self) -> None:
        if self._parts is not None:
            self._parts.close()
        self._parts, self._sure, self._vectors = None, {}, Vectors()


def searchable(item: MemoryItem) -> str:
    """The text that is embedded: the item's, without placeholders such as <1>. They stand for other words in every
    query, and the embedder takes them for text: without them the right workflow comes first more often."""
    return re.sub(r"<\d+>", "", item.text)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
