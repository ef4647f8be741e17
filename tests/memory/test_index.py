import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.memory.build import item
from tests.support.servers import Chroma
from wisen.core.ids import derived_seed
from wisen.core.workspace import Workspace
from wisen.memory.index import ChromaIndex, IndexFault, collection_name, searchable
from wisen.models.embedder import MiniLM

ITEMS = [
    item("Type the name, then press login.", when="A login form asks for a username."),
    item("Open the list and pick the country.", when="A country must be chosen from a list."),
    item("Press the x in the corner.", when="A dialog covers the page."),
    item("Tick each named box, then submit.", when="Several checkboxes are named."),
]


class Cheap:
    """Vectors from a hash, for tests with many items: they are about the index, not the model."""

    @property
    def id(self) -> str:
        return "cheap"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [np.random.default_rng(derived_seed(text)).normal(size=32) for text in texts]
        found = np.array(rows, dtype=np.float32).reshape(-1, 32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.fixture(params=["folder", "server"])
def index(request: pytest.FixtureRequest, embedder: MiniLM, tmp_path: Path) -> ChromaIndex:
    if request.param == "folder":
        return ChromaIndex(embedder, path=tmp_path / "chroma")
    name = f"memory{derived_seed(request.node.name)}"
    return ChromaIndex(embedder, url=request.getfixturevalue("chroma").url, collection=name)


async def test_query_gives_exact_cosines_best_first(index: ChromaIndex, embedder: MiniLM) -> None:
    await index.sync(ITEMS)
    query = "Log in with your username."
    found = await index.query(query, [one.id for one in ITEMS], 4)
    vectors = await embedder.embed([searchable(one) for one in ITEMS])
    cosines = vectors.astype(np.float64) @ (await embedder.embed([query]))[0].astype(np.float64)
    expected = sorted(((one.id, cosine) for one, cosine in zip(ITEMS, cosines, strict=True)), key=lambda x: -x[1])
    assert [key for key, _ in found] == [key for key, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-6)
    assert found[0][0] == ITEMS[0].id
    assert await index.query(query, [one.id for one in ITEMS], 2) == found[:2]
    await index.close()


async def test_query_is_restricted_to_the_given_ids(index: ChromaIndex) -> None:
    await index.sync(ITEMS)
    found = await index.query("Log in with your username.", [ITEMS[1].id, ITEMS[2].id], 5)
    assert {key for key, _ in found} == {ITEMS[1].id, ITEMS[2].id}
    assert await index.query("anything", [], 5) == []
    with pytest.raises(IndexFault, match="not indexed"):
        await index.query("anything", ["mem-unknown", ITEMS[0].id], 5)
    await index.close()


async def test_sync_holds_exactly_what_it_is_given(index: ChromaIndex) -> None:
    await index.sync(ITEMS)
    await index.sync(ITEMS[1:3])
    assert await index.ids() == {ITEMS[1].id, ITEMS[2].id}
    await index.ensure(ITEMS[:1])
    assert await index.ids() == {one.id for one in ITEMS[:3]}
    retitled = ITEMS[0].model_copy(update={"title": "Trains to Vienna leave at noon"})
    assert retitled.id == ITEMS[0].id
    before = await index.query("When does the train leave?", [ITEMS[0].id], 1)
    await index.ensure([retitled])
    after = await index.query("When does the train leave?", [ITEMS[0].id], 1)
    assert after[0][1] > before[0][1] + 0.1
    await index.sync([])
    assert await index.ids() == frozenset()
    await index.rebuild(ITEMS)
    assert await index.ids() == {one.id for one in ITEMS}
    await index.close()


async def test_a_closed_index_is_there_again_when_opened(tmp_path: Path, embedder: MiniLM) -> None:
    first = ChromaIndex(embedder, path=tmp_path / "chroma")
    await first.sync(ITEMS)
    found = await first.query("a dialog", [one.id for one in ITEMS], 4)
    await first.close()
    second = ChromaIndex(embedder, path=tmp_path / "chroma")
    assert await second.ids() == {one.id for one in ITEMS}
    assert await second.query("a dialog", [one.id for one in ITEMS], 4) == found
    await second.close()


async def test_many_concurrent_queries_agree(tmp_path: Path, embedder: MiniLM) -> None:
    index = ChromaIndex(embedder, path=tmp_path / "chroma")
    await asyncio.gather(*(index.ensure(ITEMS[: number % 4 + 1]) for number in range(8)))
    ids = [one.id for one in ITEMS]
    answers = await asyncio.gather(*(index.query("choose a country", ids, 4) for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    await index.close()


@pytest.mark.parametrize("damage", ["garbage", "half", "early"])
async def test_a_damaged_folder_is_moved_aside_and_filled_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    folder = tmp_path / "chroma"
    many = [item(f"Advice number {number}.") for number in range(1100 if damage == "early" else 9)]
    ids = [one.id for one in many]
    with monkeypatch.context() as patch:
        if damage == "early":  # Chroma's own threshold: vectors go to binary files, which nothing checks
            patch.setattr("wisen.memory.chroma.NEVER", 1000)
            patch.setattr("wisen.memory.chroma.PART", 10_000)
        index = ChromaIndex(Cheap(), path=folder)
        await index.sync(many)
        found = await index.query("a query", ids, 3)
        await index.close()
    database = folder / "chroma.sqlite3"
    if damage == "garbage":
        database.write_bytes(b"this was a database once " * 400)
    elif damage == "half":
        database.write_bytes(database.read_bytes()[: database.stat().st_size // 2])
    else:
        assert list(folder.glob("*/index_metadata.pickle"))
    with pytest.raises(IndexFault, match="is damaged"):
        await ChromaIndex(Cheap(), path=folder).look()
    again = ChromaIndex(Cheap(), path=folder)
    with caplog.at_level(logging.WARNING, logger="wisen.memory.index"):
        assert await again.ids() == frozenset()
    assert "starts afresh" in caplog.text
    assert (tmp_path / "chroma.broken-1" / "chroma.sqlite3").exists()
    await again.sync(many)
    assert await again.query("a query", ids, 3) == found
    await again.close()
    assert await ChromaIndex(Cheap(), path=folder).look() == set(ids)


async def test_chromas_own_files_hold_nothing_that_could_be_damaged(tmp_path: Path) -> None:
    """Beyond a thousand items they would hold the vectors, and random bytes there end the process (signal 11)."""
    folder = tmp_path / "chroma"
    many = [item(f"Advice number {number}.") for number in range(1200)]
    ids = [one.id for one in many]
    index = ChromaIndex(Cheap(), path=folder)
    await index.sync(many)
    found = await index.query("a query", ids, 3)
    await index.close()
    binaries = list(folder.glob("*/*.bin"))
    assert binaries
    for path in binaries:
        path.write_bytes(np.random.default_rng(0).bytes(max(4096, path.stat().st_size)))
    again = ChromaIndex(Cheap(), path=folder)
    assert await again.ids() == set(ids)
    assert await again.query("a query", ids, 3) == found
    await again.close()


async def test_a_full_disk_is_a_fault_of_one_line_and_no_reason_to_begin_anew(small_disk: Path) -> None:
    index = ChromaIndex(Cheap(), path=small_disk / "chroma")
    few = [item(f"Advice number {number}.") for number in range(20)]
    await index.sync(few)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    with pytest.raises(IndexFault, match=r"full.*free some space") as full:
        await index.sync([item(f"Other advice, number {number}.") for number in range(2000)])
    assert "\n" not in str(full.value)
    await index.close()
    ballast.unlink()
    again = ChromaIndex(Cheap(), path=small_disk / "chroma")
    await again.sync(few)
    assert await again.ids() == {one.id for one in few}
    await again.close()
    assert not list(small_disk.glob("*.broken-*"))


async def test_a_server_that_goes_away_is_a_fault_of_one_line(chroma: Chroma) -> None:
    index = ChromaIndex(Cheap(), url=chroma.url, collection="gone")
    await index.sync(ITEMS)
    chroma.stop()
    try:
        with pytest.raises(IndexFault, match=rf"{chroma.url} failed.*is the server still there") as gone:
            await index.sync(ITEMS[:1])
        assert "\n" not in str(gone.value)
        assert await index.query("a query", [ITEMS[0].id], 1)  # what was read is searched here
        await index.close()
        with pytest.raises(IndexFault, match="no Chroma server at"):
            await ChromaIndex(Cheap(), url=chroma.url, collection="gone").look()
    finally:
        chroma.start()
    again = ChromaIndex(Cheap(), url=chroma.url, collection="gone")
    assert await again.look() == {one.id for one in ITEMS}
    await again.sync(ITEMS)
    await again.close()


def test_a_workspace_says_where_its_index_is(tmp_path: Path) -> None:
    assert ChromaIndex.of(Workspace(tmp_path, {}), Cheap())._place == str(tmp_path / "index")
    named = Workspace(tmp_path, {"WISEN_INDEX_URL": "http://chroma:8000"})
    assert ChromaIndex.of(named, Cheap())._place == "http://chroma:8000"


async def test_more_items_than_are_scored_exactly(tmp_path: Path) -> None:
    many = [item(f"Advice number {number}.") for number in range(700)]
    index = ChromaIndex(Cheap(), path=tmp_path / "chroma")
    await index.sync(many)
    found = await index.query("a query", [one.id for one in many], 5)
    vectors = await Cheap().embed([searchable(one) for one in many])
    cosines = vectors @ (await Cheap().embed(["a query"]))[0]
    best = [many[place].id for place in np.argsort(-cosines)[:5]]
    assert [key for key, _ in found] == best
    await index.close()


async def test_where_it_cannot_open_it_says_so(tmp_path: Path, embedder: MiniLM) -> None:
    with pytest.raises(IndexFault, match="either"):
        ChromaIndex(embedder)
    with pytest.raises(IndexFault, match="either"):
        ChromaIndex(embedder, path=tmp_path, url="http://localhost:1")
    with pytest.raises(IndexFault, match="no URL"):
        await ChromaIndex(embedder, url="localhost:8000").ids()
    with pytest.raises(IndexFault, match="no usable port"):
        await ChromaIndex(embedder, url="http://localhost:eight").ids()
    with pytest.raises(IndexFault, match="holds no user and password") as told:
        await ChromaIndex(embedder, url="http://me:secret@localhost:8000").ids()
    assert "secret" not in str(told.value)
    with pytest.raises(IndexFault, match="no Chroma server"):
        await ChromaIndex(embedder, url="http://127.0.0.1:9").ids()


def test_a_collection_is_named_after_the_embedder() -> None:
    assert collection_name("memory", "all-MiniLM-L6-v2") == "memory-all-MiniLM-L6-v2"
    assert collection_name("memory", "org/model") != collection_name("memory", "org-model")
    assert collection_name("memory", "org/model") != collection_name("memory", "org model")


async def test_a_folder_is_kept_in_parts_and_each_item_stays_in_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write costs as much as there is in its collection: it must not cost more with every item."""
    monkeypatch.setattr("wisen.memory.chroma.PART", 3)
    many = [item(f"Advice number {number}.") for number in range(10)]
    index = ChromaIndex(Cheap(), path=tmp_path / "chroma")
    for one in many[:7]:
        await index.ensure([one])
    await index.discard([many[0].id, "mem-unknown"])
    retitled = many[1].model_copy(update={"title": "Another"})
    await index.ensure([retitled, *many[7:]])
    ids = tuple(one.id for one in many[1:])
    found = await index.query("a query", ids, 9)
    assert len(index._open()._collections) == 4 and len(found) == 9
    await index.close()
    again = ChromaIndex(Cheap(), path=tmp_path / "chroma")
    assert await again.look() == set(ids)
    assert await again.query("a query", ids, 9) == found
    await again.ensure([retitled])
    assert len(await again.ids()) == 9
    await again.rebuild(many[:1])
    await again.close()
    assert await ChromaIndex(Cheap(), path=tmp_path / "chroma").look() == {many[0].id}


async def test_vectors_are_read_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wisen.memory.chroma.PAGE", 4)
    many = [item(f"Advice number {number}.") for number in range(10)]
    index = ChromaIndex(Cheap(), path=tmp_path / "chroma")
    await index.sync(many)
    found = await index.query("a query", [one.id for one in many], 10)
    await index.close()
    again = ChromaIndex(Cheap(), path=tmp_path / "chroma")
    assert await again.query("a query", [one.id for one in many], 10) == found
    await again.close()
