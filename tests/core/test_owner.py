"""A store on a PostgreSQL server: one owner, readers beside it, and servers that refuse, stop or come back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.support.servers import PostgreSQL, free_port
from wisen.core.errors import SettingsError, StoreError
from wisen.core.records import Episode
from wisen.core.store import Store
from wisen.core.store.engine import shown
from wisen.core.workspace import Workspace

_OWNER = """
import sys
from wisen.core.store import Store
with Store.open(sys.argv[1]) as store:
    store.start_run("run", {})
    print("owned", flush=True)
    sys.stdin.read()
"""


def test_a_second_owner_is_refused_at_once_and_told_by_whom(postgres_url: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, postgres_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert owner.stdout is not None and owner.stdout.readline() == b"owned\n"
        started = time.monotonic()
        with pytest.raises(StoreError, match=rf"another wisen process \(wisen pid {owner.pid} on .*schema public"):
            Store.open(postgres_url)
        assert time.monotonic() - started < 1.5
        with Store.read(postgres_url) as beside:
            assert len(beside.runs()) == 1
            with pytest.raises(StoreError, match="read only"):
                beside.start_run("other", {})
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        with Store.open(postgres_url) as store:  # at once: the server needs no timeout to notice
            assert len(store.runs()) == 1
    finally:
        owner.kill()
        owner.communicate()


def test_an_owner_that_leaves_or_fails_leaves_nothing_behind(postgres_url: str) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), Store.open(postgres_url):
            raise RuntimeError
    with pytest.raises(StoreError, match="holds no store"):
        Store.read(postgres_url.replace("host=", "options=-csearch_path%3Dpg_temp&host="))


def test_each_schema_has_an_owner_of_its_own(postgres_url: str) -> None:
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as direct:
        direct.execute("CREATE SCHEMA other")
    try:
        other = make_url(postgres_url).update_query_dict({"options": "-csearch_path=other"})
        with (
            Store.open(postgres_url) as one,
            Store.open(other.render_as_string(hide_password=False)) as two,
        ):
            one.start_run("run", {})
            assert two.runs() == ()
        nowhere = make_url(postgres_url).update_query_dict({"options": "-csearch_path=nowhere"})
        with pytest.raises(StoreError, match="no schema to keep tables in"):
            Store.open(nowhere.render_as_string(hide_password=False))
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as direct:
            direct.execute("DROP SCHEMA other CASCADE")


def test_an_owner_that_lost_its_connection_writes_no_more(postgres_url: str, episode: Callable[..., Episode]) -> None:
    import psycopg

    with Store.open(postgres_url) as store:
        store.start_run("run", {})
        store.add_episode(episode(1))
        with psycopg.connect(postgres_url, autocommit=True) as direct:
            direct.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'wisen%'"
            )
        for _ in range(2):  # the server is there again; the lock may be another's
            with pytest.raises(StoreError, match=r"the same command goes on") as lost:
                store.add_episode(episode(2))
            assert "\n" not in str(lost.value)
        with Store.open(postgres_url) as again:
            assert [one.id for one in again.trajectories()] == ["traj-0001"]
            assert again.add_episode(episode(2))
            with pytest.raises(StoreError):
                store.add_episode(episode(3))


def test_a_server_that_cannot_be_used_is_one_line(postgres_server: PostgreSQL) -> None:
    """A wrong password, no such database, nobody there; and no password is ever shown."""
    secret = "not-the-password"
    cases = {
        postgres_server.tcp("postgres", secret): r"password authentication failed.*mend user and password",
        postgres_server.tcp("nowhere"): r'database "nowhere" does not exist.*createdb',
        f"postgresql://wisen:{secret}@127.0.0.1:{free_port()}/x": r"refused.*is the database server running",
        f"postgresql://wisen@127.0.0.1:{free_port()}/x?password={secret}": r"refused.*is the database server running",
        f"postgresql://wisen:{secret}@no.such.host.invalid/x": r"no\.such\.host.*is the database server running",
    }
    for url, said in cases.items():
        for attempt in (Store.open, Store.read):
            with pytest.raises(StoreError, match=said) as refused:
                attempt(url)
            assert "\n" not in str(refused.value)
            assert secret not in str(refused.value) and postgres_server.password not in str(refused.value)


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr("wisen.core.store.engine.CONNECT_SECONDS", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(StoreError, match="is the database server running"):
            Store.open(f"postgresql://wisen@127.0.0.1:{silent.getsockname()[1]}/x")


def test_what_is_shown_of_a_url() -> None:
    assert shown("postgresql://me:secret@host/db?sslpassword=other") == "postgresql://me:***@host/db?sslpassword=hidden"
    assert "secret" not in shown("postgresql//me:secret@host:x/db?password=secret")


# Where a workspace keeps its store


def test_a_workspace_names_its_server_and_nothing_else(tmp_path: Path) -> None:
    plain = Workspace(tmp_path, {})
    assert plain.store_url.startswith("sqlite:///") and plain.index_url is None and plain.store_server is None
    named = Workspace(tmp_path, {"WISEN_STORE_URL": "postgresql://me@host/db", "WISEN_INDEX_URL": "http://host:8000"})
    assert named.store_url == "postgresql://me@host/db" and named.index_url == "http://host:8000"
    assert Workspace(tmp_path, {"WISEN_STORE_URL": ""}).store_server is None
    for wrong in ("sqlite:////somewhere/else.db", "mysql://me:secret@host/db", "host/db?password=secret"):
        with pytest.raises(SettingsError, match="names no PostgreSQL database") as refused:
            _ = Workspace(tmp_path, {"WISEN_STORE_URL": wrong}).store_url
        assert "secret" not in str(refused.value)


def test_a_workspace_opens_and_reads_the_store_on_its_server(postgres_url: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, {"WISEN_STORE_URL": postgres_url})
    for attempt in (workspace.read_store, lambda: workspace.open_store(create=False)):
        with pytest.raises(StoreError, match=r"holds no store.*wisen evolve"):
            attempt()
    with workspace.open_store() as store, workspace.read_store() as reader:
        store.start_run("run", {})
        assert len(reader.runs()) == 1
        elsewhere = Workspace(tmp_path / "elsewhere", {"WISEN_STORE_URL": postgres_url})
        with pytest.raises(StoreError, match=rf"pid {os.getpid()}"):
            elsewhere.open_store()
    assert not workspace.database.exists()
