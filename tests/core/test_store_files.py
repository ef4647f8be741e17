"""The store as a file: its schema, its settings, its errors, and kill -9."""

import os
import random
import runpy
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, column, event, inspect, table, text, update

from wisen.core.errors import StoreError
from wisen.core.records import Episode, EventKind, LedgerEvent
from wisen.core.store import Store
from wisen.core.store.engine import make_engine
from wisen.core.store.tables import Table
from wisen.core.store.upgrade import MIGRATIONS, VERSION_TABLE


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'wisen.db'}"


# Schema


def test_the_migrations_make_what_the_tables_say(url: str) -> None:
    with Store.open(url) as store, store._engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Table.metadata) == []
        reflected = inspect(connection)
        assert set(reflected.get_table_names()) == {*Table.metadata.tables, VERSION_TABLE}
        for table in Table.metadata.tables.values():  # the comparison above does not look at primary keys
            assert reflected.get_pk_constraint(table.name)["constrained_columns"] == [
                column.name for column in table.primary_key
            ]


def test_the_migrations_are_one_line_of_descent_beside_the_code() -> None:
    assert len(ScriptDirectory(str(MIGRATIONS)).get_heads()) == 1
    assert (MIGRATIONS / "__init__.py").exists() and (MIGRATIONS / "versions" / "__init__.py").exists()


def test_opening_again_keeps_everything_and_writes_nothing(url: str, episode: Callable[..., Episode]) -> None:
    with Store.open(url) as store:
        store.start_run("run", {})
        store.add_episode(episode(1))
    said: list[str] = []

    def note(*args: object) -> None:
        said.append(str(args[2]))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with Store.open(url) as store:
            assert store.trajectory("traj-0001") == episode(1).trajectory
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert any(statement.startswith("SELECT") for statement in said)
    assert not [s for s in said if s.split()[0] in {"CREATE", "INSERT", "UPDATE", "ALTER"} or "IMMEDIATE" in s]


def test_a_newer_schema_is_refused(url: str) -> None:
    Store.open(url).close()
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(update(table(VERSION_TABLE, column("version_num"))).values(version_num="9999"))
    engine.dispose()
    with pytest.raises(StoreError, match=r"schema 9999.*update wisen"):
        Store.open(url)


def test_another_applications_tables_are_left_alone(url: str) -> None:
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE runs (id INTEGER)"))
    with pytest.raises(StoreError, match=r"did not make: runs"):
        Store.open(url)
    assert inspect(engine).get_table_names() == ["runs"]
    engine.dispose()


def test_the_settings_of_sqlite(tmp_path: Path) -> None:
    with Store.open(_url(tmp_path)) as store, store._engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")
        }
    assert found == {"journal_mode": "wal", "busy_timeout": 5000, "foreign_keys": 1, "synchronous": 1}


# Errors


@pytest.mark.parametrize("url", ["nonsense", "sqlite+nonsense:///x.db", "mongo://host/x", ""])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(StoreError, match="not a database URL"):
        Store.open(url)


def test_a_missing_folder_and_a_folder_as_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open") as missing:
        Store.open(_url(tmp_path / "nowhere"))
    assert missing.value.hint
    with pytest.raises(StoreError):
        Store.open(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "wisen.db").write_bytes(b"these are not the bytes you are looking for" * 100)
    with pytest.raises(StoreError, match=r"not a database.*backup"):
        Store.open(_url(tmp_path))


def test_a_damaged_database(tmp_path: Path, episode: Callable[..., Episode]) -> None:
    with Store.open(_url(tmp_path)) as store:
        store.start_run("run", {})
        for number in range(50):
            store.add_episode(episode(number))
    file = tmp_path / "wisen.db"
    content = bytearray(file.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged|malformed|not a database"), Store.open(_url(tmp_path)) as store:
        store.trajectories()
        store.append_events([LedgerEvent(seq=0, kind=EventKind.STATUS)])


def test_a_body_that_does_not_fit_its_record(tmp_path: Path, episode: Callable[..., Episode]) -> None:
    with Store.open(_url(tmp_path)) as store:
        store.start_run("run", {})
        store.add_episode(episode(1))
        with sqlite3.connect(tmp_path / "wisen.db") as direct:
            direct.execute("UPDATE trajectories SET body = json_set(body, '$.attempt', '0')")  # a text, not a number
        with pytest.raises(StoreError, match="stored Trajectory cannot be read"):
            store.trajectories()


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, episode: Callable[..., Episode]) -> None:
    with Store.open(_url(tmp_path)) as store:
        store.start_run("run", {})
        with store._engine.connect() as connection:  # the pool hands this one connection out again
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 8}")
        taken = 0
        with pytest.raises(StoreError, match=r"disk is full.*free some space"):
            for taken in range(1000):
                store.add_episode(episode(taken))
        assert 0 < taken < 999
        assert len(store.trajectories()) == len(store.recalls()) == taken
        assert store.run("run") is not None


@pytest.mark.usefixtures("unprivileged")
def test_a_read_only_folder() -> None:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    try:
        with pytest.raises(StoreError) as refused:
            Store.open(_url(folder))
        assert refused.value.hint
    finally:
        folder.chmod(0o755)
        folder.rmdir()


def test_another_writer_is_waited_for_and_then_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wisen.core.store.engine.BUSY_SECONDS", 0.2)
    with Store.open(_url(tmp_path)) as store:
        store.start_run("run", {})
        direct = sqlite3.connect(tmp_path / "wisen.db", isolation_level=None)
        direct.execute("BEGIN IMMEDIATE")
        assert store.run("run") is not None  # reading goes on
        with pytest.raises(StoreError, match=r"locked.*another process"):
            store.mark("run", "key", {})
        direct.execute("ROLLBACK")
        direct.close()
        store.mark("run", "key", {})


def test_many_threads_may_write(url: str) -> None:
    with Store.open(url) as store:
        one = LedgerEvent(seq=0, kind=EventKind.STATUS)
        threads = [
            threading.Thread(target=lambda: [store.append_events([one, one]) for _ in range(10)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [event.seq for event in store.events()] == list(range(1, 81))


# kill -9

_WRITER = """
import runpy, sys
from wisen.core.records import EventKind, LedgerEvent
from wisen.core.store import Store

make_episode = runpy.run_path(sys.argv[2])["make_episode"]
with Store.open(sys.argv[1]) as store:
    store.start_run("run", {})
    number = len(store.trajectories())
    print("ready", flush=True)
    while True:
        assert store.add_episode(make_episode(number, judged=(True, False)))
        events = [LedgerEvent(seq=0, kind=EventKind.STATUS, item_id=str(number))] * 2
        store.append_events(events, mark=("run", f"episode/{number}", {}))
        number += 1
"""


def test_kill_at_any_moment_leaves_whole_episodes(tmp_path: Path) -> None:
    here = Path(__file__).parent / "conftest.py"
    make_episode = runpy.run_path(str(here))["make_episode"]
    moment = random.Random(7)
    written = 0
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, _url(tmp_path), str(here)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n", writer.communicate()[1].decode()
        time.sleep(moment.uniform(0.02, 0.4))
        assert writer.poll() is None, writer.communicate()[1].decode()
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        with Store.open(_url(tmp_path)) as store:
            found = store.trajectories()
            ids = [trajectory.id for trajectory in found]
            expected = [make_episode(number, judged=(True, False)) for number in range(len(found))]
            assert list(found) == [episode.trajectory for episode in expected]
            assert store.verdicts(ids) == {e.trajectory.id: e.verdicts for e in expected}
            assert store.recalls() == tuple(e.recall for e in expected)
            assert store.proposals(ids) == {e.trajectory.id: e.proposals for e in expected}
            marks = store.marks("run")
            assert len(found) - 1 <= len(marks) <= len(found)  # the kill may fall between the two transactions
            assert store.bank_version() == len(store.events()) == 2 * len(marks)
            if found and len(marks) < len(found):  # what a resumed run does: the same again
                number = len(found) - 1
                events = [LedgerEvent(seq=0, kind=EventKind.STATUS, item_id=str(number))] * 2
                store.append_events(events, mark=("run", f"episode/{number}", {}))
            assert not store.add_episode(expected[-1]) if expected else True
        with sqlite3.connect(tmp_path / "wisen.db") as direct:
            assert direct.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert len(found) >= written
        written = len(found)
    assert written > 0


def test_kill_during_the_first_opening_leaves_a_store_that_opens(tmp_path: Path) -> None:
    moment = random.Random(3)
    code = "import sys\nfrom wisen.core.store import Store\nprint('ready', flush=True)\nStore.open(sys.argv[1])\n"
    for number in range(4):
        url = f"sqlite:///{tmp_path / f'{number}.db'}"
        opener = subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE)
        assert opener.stdout is not None and opener.stdout.readline() == b"ready\n"
        time.sleep(moment.uniform(0.0, 0.3))
        opener.kill()
        opener.communicate()
        with Store.open(url) as store:
            store.start_run("run", {})
            assert len(store.runs()) == 1
