"""Upgrades: a store of the first schema opens with all it holds; before anything changes there is a backup; and what
fails in the middle has not happened."""

import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, insert, inspect, make_url, select

from tests.support.servers import new_database
from wisen.core.errors import StoreError
from wisen.core.records import Phase
from wisen.core.store import OlderSchema, Store, upgrade
from wisen.core.store.engine import make_engine, writing

FIRST = Path(__file__).with_name("first_schema.sql")
PRESENT = upgrade.MIGRATIONS
LATER = '''"""A later schema: one table made anew, with a column more, and an index."""

import os
import signal

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "later", "HEAD", None, None


def upgrade() -> None:
    anew = "always" if op.get_bind().dialect.name == "sqlite" else "auto"
    with op.batch_alter_table("trajectories", recreate=anew) as table:
        table.add_column(sa.Column("note", sa.String(), nullable=False, server_default="none"))
    TROUBLE
    op.create_index("ix_trajectories_note", "trajectories", ["note"])
'''
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def first(url: str, tmp_path: Path) -> str:
    """The URL of a store as the first schema kept it, with rows in every table."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(tmp_path / "wisen.db")) as made:
            made.executescript(FIRST.read_text())
        return url
    engine = make_engine(url)
    with writing(engine) as connection:
        config = Config()
        config.set_main_option("script_location", str(PRESENT))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with closing(sqlite3.connect(tmp_path / "first.db")) as made:
        made.executescript(FIRST.read_text())
    held, tables = rows(f"sqlite:///{tmp_path / 'first.db'}"), MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            if table.name != upgrade.VERSION_TABLE:
                connection.execute(insert(table), held[table.name])
    engine.dispose()
    return url


def rows(url: str) -> Rows:
    """All there is, by table, in an order that does not depend on how it lies there."""
    engine, tables = make_engine(url), MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        found = {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in tables.sorted_tables
        }
    engine.dispose()
    return {name: sorted(held, key=lambda row: json.dumps(row, default=str)) for name, held in found.items()}


def kept(before: Rows, after: Rows) -> None:
    """Every row and value of before is there after; what was added does not count."""
    for name, held in before.items():
        if name != upgrade.VERSION_TABLE:
            assert held and [{key: row[key] for key in held[0]} for row in after[name]] == held, name


def migrations(folder: Path, trouble: str = "pass") -> Path:
    """The migrations as they are, and one more. It is wrong in the middle where there is `trouble`."""
    made = shutil.copytree(PRESENT, folder / "migrations", ignore=shutil.ignore_patterns("__pycache__"))
    head = upgrade._scripts().get_current_head()
    (made / "versions" / "later.py").write_text(LATER.replace("HEAD", str(head)).replace("TROUBLE", trouble))
    return Path(made)


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The code of a later version."""
    with monkeypatch.context() as patch:
        patch.setattr(upgrade, "MIGRATIONS", migrations(tmp_path))
        yield patch


def opened(url: str, folder: Path, **how: Any) -> Store:
    return Store.open(url, backups=folder / "backups", **how)


def test_a_store_of_the_first_schema_opens_with_all_it_holds(first: str, tmp_path: Path) -> None:
    before = rows(first)
    assert len(before) == 12
    with opened(first, tmp_path) as store:
        (run,) = store.runs()
        assert run.title == "levers, seed 0" and run.settings["nested"] == {"a": [1, 2.5, None]} and run.finished_at
        assert set(store.marks("run")) == {"cycle/1/start", "cycle/1/done", "cycle/1/offered"}
        found = store.trajectories(run_id="run", phase=Phase.COLLECT)
        ids = [trajectory.id for trajectory in found]
        assert ids == ["traj-0000", "traj-0001", "traj-0002"]
        assert found[0].task.params["nested"]["list"][-1] == "ünïcödé 🦉"
        assert sum(len(verdicts) for verdicts in store.verdicts(ids).values()) == 5
        assert len(store.recalls()) == 3 and len(store.outcomes(ids)) == 3
        assert [len(items) for items in store.proposals(ids).values()] == [2, 2, 2]
        assert store.bank_version() == len(store.events()) == 2
        assert [one.name for one in store.checkpoints()] == ["base", "c1"]
        assert [one.name for one in store.releases()] == ["r0", "r1"] and len(store.release_events()) == 4
        present = store.current_release()
        assert present and present.name == "r1" and len(store.gates("run")) == 1
    kept(before, rows(first))


def test_an_upgrade_keeps_every_row_and_makes_a_backup_that_can_be_gone_back_to(
    first: str, tmp_path: Path, later: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, postgres: str
) -> None:
    if first.startswith("postgresql") and shutil.which("pg_dump") is None:
        pytest.skip("there is no pg_dump here")
    before = rows(first)
    with pytest.raises(OlderSchema, match="this wisen reads later"):
        Store.read(first)
    with caplog.at_level(logging.WARNING, logger="wisen"), opened(first, tmp_path) as store:
        assert len(store.trajectories()) == 3
        with store._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
            assert "ix_trajectories_note" in {one["name"] for one in inspect(connection).get_indexes("trajectories")}
    after = rows(first)
    kept(before, after)
    assert {row["note"] for row in after["trajectories"]} == {"none"}
    (backup,) = (tmp_path / "backups").iterdir()
    assert str(backup) in caplog.text and "wisen-0001-20" in backup.name
    with opened(first, tmp_path):
        assert list((tmp_path / "backups").iterdir()) == [backup]  # there is nothing to upgrade any more
    later.setattr(upgrade, "MIGRATIONS", PRESENT)
    for attempt in (Store.open, Store.read):
        with pytest.raises(StoreError, match=r"schema later.*update wisen"):
            attempt(first)
    if first.startswith("sqlite"):
        assert rows(f"sqlite:///{backup}") == before
        return
    with new_database(postgres) as other:
        plain = make_url(other).render_as_string(hide_password=False)
        restore = ["pg_restore", "--clean", "--if-exists", "--no-owner", f"--dbname={plain}", str(backup)]
        subprocess.run(restore, check=True, capture_output=True)
        assert rows(other) == before


@pytest.mark.parametrize("trouble", ["raise RuntimeError('in the middle')", "op.execute('SELECT nonsense')", "kill"])
def test_what_fails_in_the_middle_has_not_happened(first: str, tmp_path: Path, trouble: str) -> None:
    before = rows(first)
    made = migrations(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)" if trouble == "kill" else trouble)
    code = (
        "import sys; from pathlib import Path; from wisen.core.store import Store, upgrade\n"
        "upgrade.MIGRATIONS = Path(sys.argv[2]); Store.open(sys.argv[1], backup=False)"
    )
    run = subprocess.run([sys.executable, "-c", code, first, str(made)], capture_output=True, text=True, check=False)
    assert run.returncode == (-signal.SIGKILL if trouble == "kill" else 1), run.stderr
    assert rows(first) == before
    with opened(first, tmp_path) as store:
        assert len(store.trajectories()) == 3


@pytest.mark.usefixtures("later")
def test_without_room_for_a_backup_nothing_is_upgraded(small_disk: Path) -> None:
    database = small_disk / "wisen.db"
    with closing(sqlite3.connect(database)) as made:
        made.executescript(FIRST.read_text())
    (small_disk / "ballast").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096 - 150_000))
    before = rows(f"sqlite:///{database}")
    with pytest.raises(StoreError, match=r"no backup could be made in .*full.*nothing was changed"):
        Store.open(f"sqlite:///{database}")
    assert rows(f"sqlite:///{database}") == before
    assert list((small_disk / "backups").iterdir()) == []


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_without_pg_dump_postgresql_is_upgraded_only_when_told(
    first: str, tmp_path: Path, later: pytest.MonkeyPatch
) -> None:
    later.setenv("PATH", "/nowhere")
    with pytest.raises(StoreError, match=r"no pg_dump.*WISEN_NO_BACKUP=1"):
        opened(first, tmp_path)
    (tmp_path / "pg_dump").write_text("#!/bin/sh\necho 'server version mismatch' >&2; exit 1\n")
    (tmp_path / "pg_dump").chmod(0o755)
    later.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match=r"pg_dump made no backup: server version mismatch"):
        opened(first, tmp_path)
    assert "note" not in rows(first)["trajectories"][0] and list((tmp_path / "backups").iterdir()) == []
    with opened(first, tmp_path, backup=False):
        assert rows(first)["trajectories"][0]["note"] == "none"


@pytest.mark.usefixtures("later")
def test_a_damaged_store_is_not_taken_for_a_backup(tmp_path: Path) -> None:
    database = tmp_path / "wisen.db"
    with closing(sqlite3.connect(database)) as made:
        made.executescript(FIRST.read_text())
        (page,) = made.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_verdicts_trajectory_id'").fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        Store.open(f"sqlite:///{database}")
    assert list((tmp_path / "backups").iterdir()) == []
