import asyncio
import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.memory.build import item
from tests.support.loopback import Loopback
from tests.support.servers import Chroma, free_port, new_database
from wisen.app import doctor
from wisen.app.check import Check, healthy
from wisen.app.doctor import check_all, check_chromium, check_sandbox
from wisen.app.doctor_remote import check_remote
from wisen.app.doctor_workspace import check_kept, check_workspace
from wisen.core.records import Checkpoint, Release, ReleaseEventKind
from wisen.core.store import upgrade
from wisen.core.workspace import Workspace
from wisen.memory.bank import Bank
from wisen.memory.index import ChromaIndex
from wisen.models.embedder import MiniLM


def _script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_looking_only_loads_no_heavy_library(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wisen.app.doctor import check_all\n"
        "parts = [c.part for c in check_all(Path(sys.argv[1]), probe=False)]\n"
        "print(len(parts), *({'torch', 'playwright', 'sentence_transformers'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["7"]


def test_this_machine_has_what_the_main_job_needs(tmp_path: Path) -> None:
    found = {check.part: check for check in check_all(tmp_path)}
    assert all(found[part].ok for part in ("Python", "torch", "Playwright", "embedder", "workspace")), found
    assert found["torch"].found.startswith("2.13.0")


def test_a_part_that_only_some_commands_need_does_not_make_it_unhealthy() -> None:
    good, optional, bad = (Check(part="x", ok=ok, found="") for ok in (True, None, False))
    assert healthy((good, optional))
    assert not healthy((good, bad))


def test_a_package_that_is_missing_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EMBEDDER", "a-package-that-nobody-has")
    check = doctor.check_embedder()
    assert check.ok is False and "a-package-that-nobody-has" in check.found and check.advice


def test_a_browser_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WISEN_CHROMIUM", str(tmp_path / "nowhere"))
    check = check_chromium()
    assert check.ok is False and "nowhere" in check.found and "playwright install" in check.advice


def test_a_browser_that_does_not_start_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = _script(tmp_path / "chromium", "echo 'libnss3.so: cannot open shared object file' >&2; exit 127")
    monkeypatch.setenv("WISEN_CHROMIUM", str(broken))
    check = check_chromium()
    assert check.ok is False and "libnss3.so" in check.found and "install-deps" in check.advice
    assert check_chromium(probe=False).ok


def test_the_version_of_a_browser_is_its_last_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrapper = _script(tmp_path / "chromium", "echo 'a wrapper says something'; echo 'Chromium 156.0'")
    monkeypatch.setenv("WISEN_CHROMIUM", str(wrapper))
    assert check_chromium().found.startswith("Chromium 156.0 at ")


def test_a_missing_sandbox_is_no_fault_but_comes_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    from wisen.environments.code import sandbox

    level = sandbox.SandboxLevel(level="none", detail="no bwrap", hint="install bubblewrap")
    monkeypatch.setattr(sandbox, "sandbox_level", lambda: level)
    check = check_sandbox()
    assert check.ok is None and check.advice == "install bubblewrap"


@pytest.mark.parametrize("below", ["", "not/made/yet"])
def test_a_workspace_is_writable_and_left_as_it_was(tmp_path: Path, below: str) -> None:
    assert check_workspace(tmp_path / below).ok
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_the_workspace_is_a_finding(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    assert check_workspace(place / "below").ok is False


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_finding(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    check = check_workspace(tmp_path)
    tmp_path.chmod(0o700)
    assert check.ok is False and "denied" in check.found


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken() -> Check:
        raise RuntimeError("out of order")

    monkeypatch.setattr(doctor, "check_sandbox", broken)
    check = next(check for check in check_all(tmp_path, probe=False) if check.part == "sandbox")
    assert check.ok is False and "out of order" in check.found


# The workspace: store, index, model


WEIGHTS = b"not a tensor in sight"


class Quick(MiniLM):
    """Its place in the index, without its model: the doctor compares ids."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.eye(len(texts), 384, dtype=np.float32)


def filled(root: Path) -> Workspace:
    """One item, indexed, and one release whose weights are there."""
    workspace = Workspace(root).create()
    (workspace.weights / "c1").mkdir()
    (workspace.weights / "c1" / "model.safetensors").write_bytes(WEIGHTS)
    with workspace.open_store() as store:
        Bank(store).propose([item("Press the red lever.")], actor="test")
        store.add_checkpoint(Checkpoint(name="c1", path="c1", sha256=hashlib.sha256(WEIGHTS).hexdigest()))
        release = Release(id="rel-1", name="r1", model="c1", bank_version=1, harness="h")
        store.add_release(release)
        store.append_release_event(ReleaseEventKind.PROMOTED, release.id)

    async def index() -> None:
        made = ChromaIndex.of(workspace, Quick())
        with workspace.read_store() as store:
            await made.sync(Bank(store).snapshot().items.values())
        await made.close()

    asyncio.run(index())
    return workspace


def kept(root: Path, *, model: str = "") -> dict[str, Check]:
    found = {check.part: check for check in check_kept(root, model=model)}
    assert list(found) == ["store", "index", "model"]
    assert all("\n" not in check.found + check.advice for check in found.values())
    assert all(check.advice for check in found.values() if check.ok is not True)
    return found


def test_a_workspace_that_is_not_made_yet_lacks_nothing(tmp_path: Path) -> None:
    found = kept(tmp_path / "nowhere")
    assert healthy(tuple(found.values())) and "wisen evolve" in found["model"].found
    assert not (tmp_path / "nowhere").exists()


def test_a_whole_workspace(tmp_path: Path) -> None:
    workspace = filled(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    found = kept(tmp_path)
    assert all(check.ok for check in found.values()), found
    assert "schema 0001 (the newest), 0 episodes" in found["store"].found
    assert "all 1 items of the bank" in found["index"].found
    assert "release r1, weights c1" in found["model"].found and "as recorded" in found["model"].found
    assert sorted(tmp_path.rglob("*")) == before
    with workspace.lock():  # as while a run goes on
        assert f"in use by pid {os.getpid()}" in kept(tmp_path)["index"].found
        assert f"in use by pid {os.getpid()}" in check_workspace(tmp_path).found


def test_what_is_wrong_with_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = filled(tmp_path)
    weights = workspace.weights / "c1" / "model.safetensors"
    weights.write_bytes(WEIGHTS[:-1])
    assert kept(tmp_path)["model"].ok is False and "not the weights" in kept(tmp_path)["model"].found
    weights.unlink()
    assert kept(tmp_path)["model"].ok is False and "releases rollback" in kept(tmp_path)["model"].advice
    with workspace.open_store() as store:
        Bank(store).propose([item("Wait for the bell.")], actor="test")
    assert kept(tmp_path)["index"].ok is None and "lacks 1 of the bank's 2" in kept(tmp_path)["index"].found
    (workspace.index / "chroma.sqlite3").write_bytes(b"garbage" * 1000)
    assert kept(tmp_path)["index"].ok is None and (workspace.index / "chroma.sqlite3").exists()
    monkeypatch.setattr(upgrade.Schema, "current", False)
    assert kept(tmp_path)["store"].ok is None and "upgrades it" in kept(tmp_path)["store"].advice
    monkeypatch.undo()
    with closing(sqlite3.connect(workspace.database)) as direct:
        direct.execute("UPDATE wisen_schema SET version_num = '9999'")
        direct.commit()
    assert kept(tmp_path)["store"].ok is False and "update wisen" in kept(tmp_path)["store"].advice
    workspace.database.write_bytes(b"garbage" * 1000)
    assert not any(check.ok is True for check in kept(tmp_path).values())


def test_servers_are_asked(tmp_path: Path, postgres: str, chroma: Chroma, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_database(postgres) as url:
        monkeypatch.setenv("WISEN_STORE_URL", url)
        assert kept(tmp_path)["store"].ok and "none yet" in kept(tmp_path)["store"].found
        monkeypatch.setenv("WISEN_INDEX_URL", chroma.url)
        filled(tmp_path)
        found = kept(tmp_path)
        assert all(check.ok for check in found.values()), found
        assert "postgresql" in found["store"].found and chroma.url in found["index"].found
    nobody = free_port()
    monkeypatch.setenv("WISEN_STORE_URL", f"postgresql://me:secret@127.0.0.1:{nobody}/x")
    monkeypatch.setenv("WISEN_INDEX_URL", f"http://127.0.0.1:{nobody}")
    found = kept(tmp_path)
    assert not any(check.ok for check in found.values())
    assert "secret" not in str(found) and "database server" in found["store"].advice


def test_a_remote_model_needs_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    check = kept(tmp_path, model="openai/gpt-x")["model"]
    assert check.ok is None and "OPENAI_API_KEY" in check.advice
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    assert kept(tmp_path, model="openai/gpt-x")["model"].ok is True
    assert kept(tmp_path, model="gpt-x")["model"].ok is False


class _Lister(BaseHTTPRequestHandler):
    """A server with one model and one key."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == "Bearer right"
        status = 404 if self.path != "/v1/models" else 200 if known else 401
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"data": [{"id": "mine"}]}')

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("key", "name", "path", "ok", "says"),
    [
        ("right", "openai/mine", "/v1", True, "the server has it"),
        ("right", "openai/mine", "", True, "the server has it"),
        ("right", "openai/yours", "/v1", False, "it has mine"),
        ("wrong", "openai/mine", "/v1", False, "key is refused (401)"),
        ("right", "openai/mine", "/v2", False, "no list of models (404)"),
    ],
)
def test_a_server_of_one_s_own_is_asked_for_the_model(
    monkeypatch: pytest.MonkeyPatch, key: str, name: str, path: str, ok: bool, says: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    server = Loopback(_Lister)
    server.start()
    try:
        check = check_remote(name, name, api_base=server.url + path)
    finally:
        server.stop()
    assert check.ok is ok and says in f"{check.found} {check.advice}"


def test_a_server_that_is_not_there_is_a_finding() -> None:
    nobody = free_port()
    for base, says in ((f"http://127.0.0.1:{nobody}/v1", "cannot be asked"), ("file:///etc/passwd", "no address")):
        check = check_remote("openai/x", "openai/x", api_base=base)
        assert check.ok is False and says in check.found and "\n" not in check.found


def test_the_command_prints_lines_or_json_and_leaves_with_one_where_something_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from wisen.app.cli import app

    at = ["doctor", "--workspace", str(tmp_path)]
    plain = CliRunner().invoke(app, at)
    assert plain.exit_code == 0, plain.output
    (tmp_path / "wisen.db").write_bytes(b"garbage" * 1000)
    listed = CliRunner().invoke(app, [*at, "--json"])
    assert listed.exit_code == 1
    found = {entry["part"]: entry for entry in json.loads(listed.output)}
    assert len(found) == 10 and found["store"]["ok"] is False and found["Python"]["ok"] is True
