"""The workspace: its folders, its one owner, and errors that say what to do."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from wisen.core.errors import StoreError
from wisen.core.store import Store
from wisen.core.workspace import Workspace

_HOLDER = """
import sys, time
from pathlib import Path
from wisen.core.workspace import Workspace
with Workspace(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_making_the_object_touches_nothing_and_create_makes_all(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "deep" / "down")
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        assert workspace.create() is workspace
    folders = [workspace.index, workspace.weights, workspace.artifacts, workspace.runs, workspace.cache]
    assert all(folder.is_dir() for folder in folders) and len(set(folders)) == 5
    assert sorted(workspace.root.iterdir()) == sorted(folders)  # the probe is gone


def test_the_default_is_beside_the_work_and_stays_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Workspace()
    monkeypatch.chdir("/")
    assert workspace.root == tmp_path / ".wisen"


@pytest.mark.parametrize("name", ["plain", "with space", "100%25 + ünï", "a?b#c&d"])
def test_the_store_opens_under_any_name(tmp_path: Path, name: str) -> None:
    workspace = Workspace(tmp_path / name).create()
    with Store.open(workspace.store_url) as store:
        store.start_run("run", {})
    assert workspace.database.is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_second_process_is_refused_at_once_and_told_by_whom(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        started = time.monotonic()
        with (
            pytest.raises(StoreError, match=rf"another wisen process \(pid {holder.pid}\) is using {tmp_path}"),
            Workspace(tmp_path).lock(),
        ):
            pass
        assert time.monotonic() - started < 1
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with Workspace(tmp_path).lock():
            assert (tmp_path / "lock.pid").read_text() == str(os.getpid())
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()


def test_the_lock_is_freed_also_by_an_error_and_not_given_twice(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside"), Workspace(tmp_path).lock():
        raise RuntimeError("inside")
    assert not (tmp_path / "lock.pid").exists()
    with Workspace(tmp_path).lock():
        with pytest.raises(StoreError, match=f"pid {os.getpid()}"), Workspace(tmp_path).lock():
            pass
        assert (tmp_path / "lock.pid").exists()  # the one refused must not take the owner's number away
    with Workspace(tmp_path).lock():
        pass


@pytest.mark.usefixtures("unprivileged")
def test_a_read_only_folder() -> None:
    folder = Path(tempfile.mkdtemp())
    workspace = Workspace(folder)
    try:
        workspace.create()
        folder.chmod(0o555)
        for attempt in (Workspace(folder / "inner").create, workspace.create, workspace.lock().__enter__):
            with pytest.raises(StoreError, match="Permission denied") as refused:
                attempt()
            assert "permissions" in refused.value.hint
    finally:
        folder.chmod(0o755)
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="a part of the path is a file"):
        Workspace(tmp_path / "file").create()
    (tmp_path / "runs").write_text("")
    with pytest.raises(StoreError, match="a file is in the way"):
        Workspace(tmp_path).create()


def test_a_full_disk(tmp_path: Path) -> None:
    """Where mounting is allowed, on a disk of one page; the folders fit, the probe does not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount a small disk here")
    try:
        (disk / "ballast").write_bytes(bytes(4096))
        with pytest.raises(StoreError, match=r"No space left.*free some space"):
            Workspace(disk).create()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
