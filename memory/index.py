"""The vector index of memory items in Chroma. The store is the truth; the index can be dropped and rebuilt any time."""

import asyncio
import hashlib
import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from wisen.core.errors import WisenError
from wisen.core.protocols import Embedder
from wisen.core.records import MemoryItem

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

log = logging.getLogger(__name__)
T = TypeVar("T")

EXACT_UP_TO = 256  # so many items at most are all scored exactly; beyond, Chroma's approximate search preselects
PRESELECT = 128
BATCH = 500


class IndexFault(WisenError):
    """The index cannot be opened, or was asked for items that it does not hold."""


class ChromaIndex:
    """Embedded Chroma in a folder, or a Chroma server by URL; exactly one of the two.

    The collection's name carries the embedder's id, so vectors of two models never mix. Chroma's own embedding
    function (which downloads a model) is never used, and its telemetry is off. A folder that Chroma cannot read is
    moved aside with a warning and started afresh: `sync` then fills it. Methods may run concurrently; Chroma is called
    off the event loop, one call at a time.
    """

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
        self._client: Client | None = None
        self._collection: Collection | None = None
        self._held: dict[str, str] = {}  # item id -> digest of the text that its vector stands for

    async def sync(self, items: Iterable[MemoryItem]) -> None:
        """Make the collection hold exactly these items: embed and add what is missing or has another text, delete the
        rest. To serve several bank versions at once, give the items of all of them."""
        await self._write(items, prune=True)

    async def ensure(self, items: Iterable[MemoryItem]) -> None:
        """As `sync`, but what else the collection holds stays."""
        await self._write(items, prune=False)

    async def rebuild(self, items: Iterable[MemoryItem]) -> None:
        """Drop the collection and make it anew."""
        async with self._writing:
            await asyncio.to_thread(self._locked, self._drop)
        await self.sync(items)

    async def query(self, text: str | NDArray[np.float32], ids: Sequence[str], n: int) -> list[tuple[str, float]]:
        """The n nearest of the given items as (item id, cosine similarity), best first, ties in order of id.

        text: the query, or its unit vector [d]. Similarities are computed from the stored vectors in double precision
        and rounded to 6 digits, so that the order does not hang on the last bits. Raises `IndexFault` for an item that
        was not synced.
        """
        if not ids or n < 1:
            return []
        vector = (await self._embedder.embed([text]))[0] if isinstance(text, str) else text
        wanted = sorted(set(ids))
        found = await asyncio.to_thread(self._locked, lambda: self._nearest(vector, wanted, n))
        scores = [(key, round(float(np.dot(stored, vector.astype(np.float64))), 6)) for key, stored in found]
        return sorted(scores, key=lambda pair: (-pair[1], pair[0]))[:n]

    async def ids(self) -> frozenset[str]:
        """What the collection holds."""
        return await asyncio.to_thread(self._locked, lambda: (self._open(), frozenset(self._held))[1])

    async def close(self) -> None:
        await asyncio.to_thread(self._locked, self._close)

    async def _write(self, items: Iterable[MemoryItem], *, prune: bool) -> None:
        wanted = {item.id: searchable(item) for item in items}
        async with self._writing:
            held = await asyncio.to_thread(self._locked, lambda: (self._open(), dict(self._held))[1])
            missing = sorted(key for key, text in wanted.items() if held.get(key) != _digest(text))
            surplus = sorted(held.keys() - wanted.keys()) if prune else []
            vectors = await self._embedder.embed([wanted[key] for key in missing])
            digests = [_digest(wanted[key]) for key in missing]
            await asyncio.to_thread(self._locked, lambda: self._change(missing, vectors, digests, surplus))

    # Below: blocking, called with the lock held.

    def _locked(self, work: Callable[[], T]) -> T:
        with self._lock:
            return work()

    def _open(self) -> "Collection":
        if self._collection is None:
            if self._url is not None:
                self._connect(self._server)
            else:
                self._connect_folder()
        assert self._collection is not None
        return self._collection

    def _connect(self, make: "Callable[[], Client]") -> None:
        client = make()
        try:
            collection = client.get_or_create_collection(
                self.collection_name, configuration={"hnsw": {"space": "cosine"}}, embedding_function=None
            )
            held = _digests(collection)
        except Exception:
            client.close()  # or Chroma would hand out this very client again for the same folder
            raise
        self._client, self._collection, self._held = client, collection, held

    def _connect_folder(self) -> None:
        assert self._path is not None
        broken: Exception | None = _unreadable(self._path)
        if broken is None:
            try:
                self._connect(self._embedded)
                return
            except Exception as error:  # Chroma raises its own, sqlite's and plain ones for a damaged folder
                broken = error
        aside = _aside(self._path)
        log.warning(
            "the index in %s is unreadable and starts afresh; the old one is in %s: %s", self._path, aside, broken
        )
        for attempt in (1, 2):
            try:
                self._connect(self._embedded)
                return
            except Exception as error:
                # A start that failed stays in Chroma's cache of open folders until the next failure clears it.
                if attempt == 2:
                    raise IndexFault(
                        f"the memory index in {self._path} cannot be opened: {error}", "is the folder writable?"
                    ) from error

    def _embedded(self) -> "Client":
        import chromadb
        from chromadb.config import Settings

        assert self._path is not None
        self._path.mkdir(parents=True, exist_ok=True)
        client = chromadb.PersistentClient(path=str(self._path), settings=Settings(anonymized_telemetry=False))
        return cast("Client", client)  # declared as its base, which has no `close`

    def _server(self) -> "Client":
        import chromadb
        from chromadb.config import Settings

        parts = urlsplit(self._url or "")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise IndexFault(f"{self._url!r} is no URL of a Chroma server", "such as http://localhost:8000")
        ssl = parts.scheme == "https"
        try:
            client = chromadb.HttpClient(
                host=parts.hostname,
                port=parts.port or (443 if ssl else 8000),
                ssl=ssl,
                settings=Settings(anonymized_telemetry=False),
            )
        except ValueError as error:  # what Chroma raises when nothing answers
            raise IndexFault(f"no Chroma server at {self._url}: {error}", "start it, or use a folder") from error
        return cast("Client", client)

    def _nearest(
        self, vector: NDArray[np.float32], ids: Sequence[str], n: int
    ) -> list[tuple[str, NDArray[np.float64]]]:
        collection = self._open()
        unknown = [key for key in ids if key not in self._held]
        if unknown:
            raise IndexFault(f"{len(unknown)} items are not indexed, the first is {unknown[0]}", "sync the index first")
        wanted = len(ids) if len(ids) <= EXACT_UP_TO else min(len(ids), max(PRESELECT, 4 * n))
        answer = collection.query(
            query_embeddings=[vector.tolist()], ids=list(ids), n_results=wanted, include=["embeddings"]
        )
        vectors = answer["embeddings"]
        assert vectors is not None
        return [(key, np.asarray(row, np.float64)) for key, row in zip(answer["ids"][0], vectors[0], strict=True)]

    def _change(
        self, keys: Sequence[str], vectors: NDArray[np.float32], digests: Sequence[str], surplus: Sequence[str]
    ) -> None:
        collection = self._open()
        for start in range(0, len(surplus), BATCH):
            batch = list(surplus[start : start + BATCH])
            collection.delete(ids=batch)
            for key in batch:
                del self._held[key]
        for start in range(0, len(keys), BATCH):
            part = slice(start, start + BATCH)
            collection.upsert(
                ids=list(keys[part]),
                embeddings=vectors[part].tolist(),
                metadatas=[{"digest": digest} for digest in digests[part]],
            )
            self._held.update(zip(keys[part], digests[part], strict=True))

    def _drop(self) -> None:
        self._open()
        assert self._client is not None
        self._client.delete_collection(self.collection_name)
        self._collection = None
        self._close()

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._collection = None
        self._held = {}


def searchable(item: MemoryItem) -> str:
    """The text that is embedded: the item's, without placeholders such as <1>. They stand for other words in every
    query, and the embedder takes them for text: without them the right workflow comes first more often."""
    return re.sub(r"<\d+>", "", item.text)


def collection_name(prefix: str, embedder_id: str) -> str:
    """A name that Chroma accepts (3 to 512 of letters, digits, `._-`, ending in a letter or digit). Ids that differ
    only in what had to be replaced still get different names."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", embedder_id)
    mark = "" if plain == embedder_id else "-" + hashlib.blake2b(embedder_id.encode(), digest_size=4).hexdigest()
    return f"{prefix}-{plain[:200]}".rstrip("._-") + mark


def _digests(collection: "Collection") -> dict[str, str]:
    """What a collection holds: item id -> digest. Also looks one vector up, for they are kept in files of their own."""
    stored = collection.get(include=["metadatas"])
    metadatas: list[Any] = list(stored["metadatas"] or [])
    if stored["ids"]:
        vectors = collection.get(ids=stored["ids"][:1], include=["embeddings"])["embeddings"]
        collection.query(query_embeddings=vectors, n_results=1)
    return {
        key: str((metadata or {}).get("digest", "")) for key, metadata in zip(stored["ids"], metadatas, strict=True)
    }


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _unreadable(path: Path) -> Exception | None:
    """What is wrong with the folder's database, asked of sqlite before Chroma may trip over it."""
    database = path / "chroma.sqlite3"
    if not database.exists():
        return None
    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return error
    return None if verdict == "ok" else sqlite3.DatabaseError(verdict)


def _aside(path: Path) -> Path:
    number = 1
    while (target := path.with_name(f"{path.name}.broken-{number}")).exists():
        number += 1
    return path.rename(target)
