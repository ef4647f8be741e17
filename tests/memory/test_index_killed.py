"""A folder whose last write was cut by `kill -9` holds what it held before, and is no damaged one."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.memory.build import item
from wisen.memory.index import ChromaIndex
from wisen.models.embedder import MiniLM

ITEMS = [item(f"Press the lever number {number}.") for number in range(3)]


async def test_half_a_write_is_taken_back_and_the_folder_stays(embedder: MiniLM, tmp_path: Path) -> None:
    index = ChromaIndex(embedder, path=tmp_path / "whole")
    await index.sync(ITEMS)
    await index.close()
    with closing(sqlite3.connect(tmp_path / "whole/chroma.sqlite3", isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")  # so that pages are written before the transaction ends
        writer.execute("BEGIN")
        writer.execute("CREATE TABLE more AS SELECT randomblob(4000) AS text FROM sqlite_master, sqlite_master AS b")
        writer.execute("UPDATE embedding_metadata SET string_value = 'half'")
        shutil.copytree(tmp_path / "whole", tmp_path / "cut")  # what is on the disk at this moment
        writer.execute("ROLLBACK")
    assert (tmp_path / "cut/chroma.sqlite3-journal").stat().st_size > 0
    again = ChromaIndex(embedder, path=tmp_path / "cut")
    assert await again.ids() == {one.id for one in ITEMS}
    await again.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "whole"]
