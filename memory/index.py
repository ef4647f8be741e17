"""The vector index of memory items in Chroma. The store is the truth; the index can be dropped and rebuilt any time."""

import asyncio
import hashlib
import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from wisen.core.errors import WisenError
from wisen.core.ids import content_id
from wisen.core.protocols import Embedder
from wisen.core.records import MemoryItem
from wisen.core.workspace import Workspace

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.collection_configuration import CreateHNSWConfiguration
    from chromadb.api.models.Collection import Collection

log = logging.getLogger(__name__)
T = TypeVar("T")

# After so many changes Chroma writes vectors to binary files of its own, which it does not check when it reads them: a
# damaged one kills the process or answers wrongly (seen with 1.5.9). Up to there all is in its SQLite file, which is
# checked, and the search structure is made in memory: some 10 ms for 10,000 items.
NEVER = 1_000_000_000
VECTOR_FILES = "*/index_metadata.pickle"  # there where such files hold anything

EXACT_UP_TO = 256  # so many items at most are all scored exactly; beyond, Chroma's approximate search preselects
PRESELECT = 128
BATCH = 500


GOES_ON = "nothing else is lost, and the same command goes on"
EXAMPLE = "such as http://localhost:8000"


class IndexFault(WisenError):
    """The index cannot be opened, or was asked for items that it does not hold."""


class ChromaIndex:
    """Embedded Chroma in a folder, or a Chroma server by URL; exactly one of the two.

    The collection's name carries the embedder's id, so vectors of two models never mix. Chroma's own embedding
    function (which downloads a model) is never used, and its telemetry is off. A folder that Chroma cannot read is
    moved aside with a warning and started afresh: `sync` then fills it. Methods may run concurrently; Chroma is called
    off the event loop, one call at a time. All raise `IndexFault` for what Chroma or its server refuse.
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

    async def look(self) -> frozenset[str]:
        """What the collection holds, without making, moving or mending anything. Raises `IndexFault` where it cannot
        be read."""
        return await asyncio.to_thread(self._locked, self._look)

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
            try:
                return work()
            except WisenError:
                raise
            except Exception as error:  # Chroma raises its own, httpx's, sqlite's and plain ones
                said = " ".join(str(error).split())
                hint = _hint(said) if self._url is None else f"is the server still there? {GOES_ON}"
                raise IndexFault(f"the memory index at {self._place} failed: {said}", hint) from error

    @property
    def _place(self) -> str:
        return self._url or str(self._path)

    def _look(self) -> frozenset[str]:
        if self._path is not None:
            if not (self._path / "chroma.sqlite3").exists():
                return frozenset()
            if (broken := _unreadable(self._path)) is not None:
                raise IndexFault(f"the memory index in {self._path} is damaged: {broken}", "the next run makes it anew")
        client = self._server() if self._path is None else self._embedded()
        try:
            names = {collection.name for collection in client.list_collections()}
            if self.collection_name not in names:
                return frozenset()
            return frozenset(
                client.get_collection(self.collection_name, embedding_function=None).get(include=[])["ids"]
            )
        finally:
            client.close()

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
                self.collection_name, configuration={"hnsw": self._hnsw()}, embedding_function=None
            )
            held = _digests(collection)
        except Exception:
            client.close()  # or Chroma would hand out this very client again for the same folder
            raise
        self._client, self._collection, self._held = client, collection, held

    def _hnsw(self) -> "CreateHNSWConfiguration":
        if self._url is not None:
            return {"space": "cosine"}
        return {"space": "cosine", "sync_threshold": NEVER}

    def _connect_folder(self) -> None:
        assert self._path is not None
        broken: Exception | None = _unreadable(self._path)
        if broken is None:
            try:
                self._connect(self._embedded)
                return
            except Exception as error:  # Chroma raises its own, sqlite's and plain ones for a damaged folder
                said = " ".join(str(error).split())
                if _refused(said):
                    raise IndexFault(
                        f"the memory index in {self._path} cannot be opened: {said}", _hint(said)
                    ) from error
                broken = error
        aside = self._aside()
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
                    said = " ".join(str(error).split())
                    raise IndexFault(
                        f"the memory index in {self._path} cannot be opened: {said}", _hint(said)
                    ) from error

    def _closed(self, error: Exception) -> IndexFault:
        said = " ".join(str(error).split())
        return IndexFault(f"the memory index in {self._path} cannot be opened: {said}", _hint(said))

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

        try:
            parts = urlsplit(self._url or "")
            port = parts.port
        except ValueError:
            raise IndexFault("the URL of the Chroma server has no usable port", EXAMPLE) from None
        if parts.username or parts.password:
            raise IndexFault("the URL of a Chroma server holds no user and password: Chroma asks for none", EXAMPLE)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise IndexFault(f"{self._url!r} is no URL of a Chroma server", EXAMPLE)
        ssl = parts.scheme == "https"
        try:
            client = chromadb.HttpClient(
                host=parts.hostname,
                port=port or (443 if ssl else 8000),
                ssl=ssl,
                settings=Settings(anonymized_telemetry=False),
            )
        except Exception as error:  # ValueError when nothing answers, others when something else does
            said = " ".join(str(error).split())
            raise IndexFault(
                f"no Chroma server at {self._url}: {said}", "start it, or unset WISEN_INDEX_URL to use a folder"
            ) from error
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
    """What is wrong with the folder, asked of sqlite before Chroma may trip over it."""
    database = path / "chroma.sqlite3"
    if not database.exists():
        return None
    if any(path.glob(VECTOR_FILES)):
        return sqlite3.DatabaseError("it keeps vectors in files that cannot be checked, as an early wisen made it")
    try:
        # Not read-only: what a kill left in the middle of a write is taken back here, and that is a write.
        connection = sqlite3.connect(f"file:{database}?mode=rw", uri=True)
        try:
            verdict = connection.execute("PRAGMA quick_check").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return error
    return None if verdict == "ok" else sqlite3.DatabaseError(verdict)


def _refused(message: str) -> bool:
    """It is the disk that says no, not the folder that is damaged."""
    return any(sign in message.lower() for sign in ("full", "no space", "readonly", "read-only", "denied"))


def _hint(message: str) -> str:
    text = message.lower()
    if "full" in text or "no space" in text:
        return f"free some space on the disk; {GOES_ON}"
    return "is the folder writable, with room on its disk?"
