"""Chroma's side of the memory index: opening a folder or a server, and what may be wrong with them."""

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from wisen.core.errors import WisenError

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.collection_configuration import CreateHNSWConfiguration
    from chromadb.api.models.Collection import Collection

# After so many changes Chroma writes vectors to binary files of its own, which it does not check when it reads them: a
# damaged one kills the process or answers wrongly (seen with 1.5.9). Up to there all is in its SQLite file, which is
# checked.
NEVER = 1_000_000_000
# Chroma keeps the vectors; the search is `Vectors`', which is exact. Its own graph is as small as it may be: it is made
# anew whenever a folder is opened, and at its usual size that takes minutes for 100,000 items.
LEAST_GRAPH = 2
PART = 500
BATCH = 500
PAGE = 2000  # vectors read at once: Chroma hands each number over as an object of its own
VECTOR_FILES = "*/index_metadata.pickle"  # there where Chroma keeps vectors in files of its own
GOES_ON = "nothing else is lost, and the same command goes on"
EXAMPLE = "such as http://localhost:8000"


class IndexFault(WisenError):
    """The index cannot be opened, or was asked for items that it does not hold."""


class Parts:
    """The collections that one index is kept in: item id -> digest and vector.

    A write to a collection costs as much as there is in it, since with `NEVER` Chroma reads its log again each time
    (some 10 us an item). So in a folder none takes more than `PART` changes; the next ones go to another.
    """

    def __init__(self, client: "Client", name: str, *, folder: bool) -> None:
        self._client, self._name, self._folder = client, name, folder
        numbers = _numbers(client, name)
        self._collections = [self._make(number) for number in range(1, max(numbers, default=1) + 1)]
        self._home: dict[str, int] = {}
        self._changes: list[int] = []
        self.digests: dict[str, str] = {}
        for place, collection in enumerate(self._collections):
            stored = collection.get(include=["metadatas"])
            self._changes.append(len(stored["ids"]))
            for key, metadata in zip(stored["ids"], stored["metadatas"] or [], strict=True):
                self._home[key] = place
                self.digests[key] = str((metadata or {}).get("digest", ""))

    def vectors(self, keys: Iterable[str]) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """(ids, [n, d]) page by page, of these items, in any order."""
        for place, there in self._by_place(keys):
            for start in range(0, len(there), PAGE):
                page = there[start : start + PAGE]
                stored = self._collections[place].get(ids=page, include=["embeddings"])
                yield stored["ids"], np.asarray(stored["embeddings"], np.float32)

    def put(self, keys: Sequence[str], vectors: NDArray[np.float32], digests: Sequence[str]) -> None:
        """Write items, or write them anew where they are."""
        row = {key: place for place, key in enumerate(keys)}
        for key in keys:
            if key not in self._home:
                self._home[key] = self._room()
        for place, there in self._by_place(keys):
            for start in range(0, len(there), BATCH):
                page = there[start : start + BATCH]
                self._collections[place].upsert(
                    ids=page,
                    embeddings=[vectors[row[key]] for key in page],
                    metadatas=[{"digest": digests[row[key]]} for key in page],
                )
                self.digests.update((key, digests[row[key]]) for key in page)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove items that are there."""
        for place, there in self._by_place(keys):
            for start in range(0, len(there), BATCH):
                page = there[start : start + BATCH]
                self._collections[place].delete(ids=page)
                self._changes[place] += len(page)
                for key in page:
                    del self._home[key], self.digests[key]

    def drop(self) -> None:
        """Remove the collections themselves."""
        for collection in self._collections:
            self._client.delete_collection(collection.name)

    def close(self) -> None:
        self._client.close()

    def _room(self) -> int:
        """Where the next item goes."""
        if self._folder and self._changes[-1] >= PART:
            self._collections.append(self._make(len(self._collections) + 1))
            self._changes.append(0)
        self._changes[-1] += 1
        return len(self._collections) - 1

    def _by_place(self, keys: Iterable[str]) -> list[tuple[int, list[str]]]:
        found: dict[int, list[str]] = {}
        for key in keys:
            found.setdefault(self._home[key], []).append(key)
        return sorted(found.items())

    def _make(self, number: int) -> "Collection":
        hnsw: CreateHNSWConfiguration = {"space": "cosine"}
        if self._folder:
            hnsw |= {"sync_threshold": NEVER, "max_neighbors": LEAST_GRAPH, "ef_construction": LEAST_GRAPH}
        return self._client.get_or_create_collection(
            _part(self._name, number), configuration={"hnsw": hnsw}, embedding_function=None
        )


def kept_ids(client: "Client", name: str) -> frozenset[str]:
    """What the collections of an index hold, without making any."""
    parts = [_part(name, number) for number in sorted(_numbers(client, name))]
    held = (client.get_collection(part, embedding_function=None).get(include=[])["ids"] for part in parts)
    return frozenset(key for keys in held for key in keys)


def _part(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-part-{number}"


def _numbers(client: "Client", name: str) -> set[int]:
    names = {collection.name for collection in client.list_collections()}
    found = {int(match[1]) for one in names if (match := re.fullmatch(rf"{re.escape(name)}-part-(\d+)", one))}
    return found | ({1} if name in names else set())


def embedded(path: Path) -> "Client":
    """Chroma in a folder, which is made."""
    import chromadb
    from chromadb.config import Settings

    path.mkdir(parents=True, exist_ok=True)
    client = chromadb.PersistentClient(path=str(path), settings=Settings(anonymized_telemetry=False))
    return cast("Client", client)  # declared as its base, which has no `close`


def server(url: str) -> "Client":
    """Chroma over HTTP. Raises `IndexFault`."""
    import chromadb
    from chromadb.config import Settings

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise IndexFault("the URL of the Chroma server has no usable port", EXAMPLE) from None
    if parts.username or parts.password:
        raise IndexFault("the URL of a Chroma server holds no user and password: Chroma asks for none", EXAMPLE)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise IndexFault(f"{url!r} is no URL of a Chroma server", EXAMPLE)
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
            f"no Chroma server at {url}: {said}", "start it, or unset WISEN_INDEX_URL to use a folder"
        ) from error
    return cast("Client", client)


def collection_name(prefix: str, embedder_id: str) -> str:
    """A name that Chroma accepts (3 to 512 of letters, digits, `._-`, ending in a letter or digit). Ids that differ
    only in what had to be replaced still get different names."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", embedder_id)
    mark = "" if plain == embedder_id else "-" + hashlib.blake2b(embedder_id.encode(), digest_size=4).hexdigest()
    return f"{prefix}-{plain[:200]}".rstrip("._-") + mark


def unreadable(path: Path) -> Exception | None:
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


def not_the_folder(message: str) -> bool:
    """It is the disk that says no, not the folder that is damaged."""
    return any(sign in message.lower() for sign in ("full", "no space", "readonly", "read-only", "denied"))


def fault_hint(message: str) -> str:
    text = message.lower()
    if "full" in text or "no space" in text:
        return f"free some space on the disk; {GOES_ON}"
    return "is the folder writable, with room on its disk?"
