"""Faults of storage as the command line tells them: one line, exit code 2, and nothing is lost."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.memory.build import item
from tests.support.servers import PostgreSQL, free_port, new_database
from wisen.app.cli import main
from wisen.core.workspace import Workspace
from wisen.memory.bank import Bank


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WISEN_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return filled(Workspace(tmp_path / "ws"))


def filled(workspace: Workspace) -> Workspace:
    with workspace.create().open_store() as store:
        Bank(store).propose([item("Press the red lever."), item("Wait for the bell.")], actor="test")
    return workspace


def told(*args: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """(exit code, what was said on stderr) of `wisen ARGS`."""
    monkeypatch.setattr(sys, "argv", ["wisen", *args])
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main()
    code = left.value.code
    return 0 if code is None else int(code), capsys.readouterr().err


class Told:
    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *args: str) -> tuple[int, str]:
        return told(*args, capsys=self._capsys, monkeypatch=self._monkeypatch)

    def refusal(self, *args: str) -> str:
        code, said = self(*args)
        assert code == 2 and said.startswith("wisen: ") and said.count("\n") == 1, said
        return said


@pytest.fixture
def wisen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(capsys, monkeypatch)


def test_a_listing_works_beside_an_owner_and_writing_does_not(workspace: Workspace, wisen: Told) -> None:
    at = ("--workspace", str(workspace.root))
    code = (
        "import sys; from pathlib import Path; from wisen.core.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert owner.stdout is not None and owner.stdout.readline() == b"held\n"
        assert wisen("memory", "list", *at)[0] == wisen("releases", "list", *at)[0] == 0
        assert f"pid {owner.pid}" in wisen.refusal("memory", "restore", "1", *at)
    finally:
        owner.kill()
        owner.communicate()


@pytest.mark.parametrize(
    ("damage", "said"),
    [("no database", "not a database"), ("damaged", "damaged"), ("newer", "update wisen"), ("missing", "no workspace")],
)
def test_a_store_that_cannot_be_read(workspace: Workspace, wisen: Told, damage: str, said: str) -> None:
    file = workspace.database
    if damage == "no database":
        file.write_bytes(b"minutes of the last meeting\n" * 500)
    elif damage == "damaged":
        file.write_bytes(file.read_bytes()[:4096] + os.urandom(file.stat().st_size - 4096))
    elif damage == "newer":
        with closing(sqlite3.connect(file)) as direct:
            direct.execute("UPDATE wisen_schema SET version_num = '9999'")
            direct.commit()
    else:
        file.unlink()
    before = file.read_bytes() if file.exists() else b""
    for args in (("memory", "list"), ("memory", "restore", "1"), ("releases", "rollback")):
        assert said in wisen.refusal(*args, "--workspace", str(workspace.root))
    assert damage == "missing" or file.read_bytes() == before


def test_a_read_only_workspace_can_be_read_and_says_so_when_written(small_disk: Path, wisen: Told) -> None:
    workspace = filled(Workspace(small_disk / "ws"))
    at = ("--workspace", str(workspace.root))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert wisen("memory", "list", *at) == (0, "")
    assert "read-only" in wisen.refusal("memory", "restore", "1", *at).lower()
    assert "read-only" in wisen.refusal("evolve", "--set", "cycles=0", *at).lower()


def test_a_full_disk_says_so_and_loses_nothing(small_disk: Path, wisen: Told) -> None:
    workspace = filled(Workspace(small_disk / "ws"))
    at = ("--workspace", str(workspace.root))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096))
    assert "free some space" in wisen.refusal("memory", "restore", "1", *at)
    assert wisen("memory", "list", *at)[0] == 0
    ballast.unlink()
    assert wisen("memory", "restore", "1", *at)[0] == 0


def test_postgresql_that_cannot_be_used(
    postgres_server: PostgreSQL, wisen: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = {
        f"postgresql://wisen:secret@127.0.0.1:{free_port()}/x": "is the database server running",
        postgres_server.tcp("postgres", "secret"): "mend user and password",
        "mysql://wisen:secret@host/x": "names no PostgreSQL database",
    }
    for url, said in cases.items():
        monkeypatch.setenv("WISEN_STORE_URL", url)
        for args in (("memory", "list"), ("releases", "rollback"), ("evolve", "--set", "cycles=0")):
            line = wisen.refusal(*args)
            assert said in line and "secret" not in line


def test_commands_work_on_a_server(postgres: str, wisen: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with new_database(postgres) as url:
        monkeypatch.setenv("WISEN_STORE_URL", url)
        assert "holds no store" in wisen.refusal("memory", "list")
        filled(Workspace(tmp_path / "ws"))
        for args in (("memory", "list"), ("memory", "restore", "1"), ("releases", "list")):
            assert wisen(*args, "-w", str(tmp_path / "ws"))[0] == 0
