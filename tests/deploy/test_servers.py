"""The whole loop where things are kept elsewhere. The set-up of docker-compose.yml without containers: on a PostgreSQL
and a Chroma server that stop in the middle it comes to what it comes to in a folder, undisturbed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.evolving import Host, differing, result
from tests.support.servers import Chroma, PostgreSQL, new_database
from wisen.app.opened import readable
from wisen.core.errors import StoreError
from wisen.core.workspace import Workspace
from wisen.trainers.checkpoints import describe

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("host"))
    yield made
    made.close()


def test_the_loop_on_servers_that_stop_comes_to_the_same_as_in_a_folder(
    host: Host,
    postgres_server: PostgreSQL,
    chroma: Chroma,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, served = tmp_path / "plain", tmp_path / "served"
    assert host.evolve(plain, cycles=1) == 0, host.said()
    in_a_folder = result(plain)
    with new_database(postgres_server.url) as made:
        url = postgres_server.tcp(made.partition("?")[0].rpartition("/")[2])
        servers = {"WISEN_STORE_URL": url, "WISEN_INDEX_URL": chroma.url}

        def stopped(server: PostgreSQL | Chroma, line: str, reason: str) -> None:
            host.begin(served, cycles=1, env=servers)
            host.await_line(line)
            server.stop()
            server.start()
            assert host.code() == 2, host.said()
            (last,) = [one for one in host.said().splitlines() if one.startswith("wisen: ")]
            assert reason in last and "the same command goes on" in last
            assert "Traceback" not in host.said() and postgres_server.password not in host.said()

        stopped(postgres_server, "cycle 1: collecting", "could not")
        chroma.stop()
        assert host.evolve(served, cycles=1, env=servers) == 2, host.said()
        assert f"no Chroma server at {chroma.url}" in host.said() and "Traceback" not in host.said()
        chroma.start()
        host.begin(served, cycles=1, env=servers)
        for name, value in servers.items():
            monkeypatch.setenv(name, value)
        host.await_line("going on with run")
        with pytest.raises(StoreError, match="another wisen process"):
            Workspace(tmp_path / "elsewhere").open_store()
        with readable(served) as store:  # as `wisen memory list` does, beside the run
            assert len(store.runs()) == 1
        assert host.code() == 0, host.said()
        on_servers = result(served)
    assert set(differing(on_servers, in_a_folder)) <= {"indexed"}  # the server scales vectors anew, in the last digit
    assert set(on_servers.indexed) == set(in_a_folder.indexed)
    for key, vector in in_a_folder.indexed.items():
        assert on_servers.indexed[key] == pytest.approx(vector, abs=2e-6)
    assert not (served / "wisen.db").exists() and not list((served / "index").iterdir())
    assert in_a_folder.items and in_a_folder.recalls and in_a_folder.gates and in_a_folder.indexed


def test_a_run_whose_weights_fill_the_disk_goes_on_when_there_is_room(
    host: Host, small_disk: Path, tmp_path: Path
) -> None:
    """The weights lie on a disk of their own; the store, on another, does not take them for written."""
    root, ballast = tmp_path / "ws", small_disk / "ballast"
    short = ("--prepare", "--set", "warmup.pages=0")
    root.mkdir()
    (small_disk / "weights").mkdir()
    (root / "weights").symlink_to(small_disk / "weights")
    ballast.write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096 - 40_000))
    assert host.evolve(root, *short, cycles=0) == 2, host.said()
    (line,) = [one for one in host.said().splitlines() if one.startswith("wisen: ")]
    assert "No space left on device" in line and "free some space" in line and "Traceback" not in host.said()
    ballast.unlink()
    assert host.evolve(root, *short, cycles=0) == 0, host.said()
    with readable(root) as store:
        (checkpoint,) = store.checkpoints()
    assert describe(small_disk / "weights" / "base") == checkpoint
