import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wisen.app import doctor
from wisen.app.doctor import Check, check_all, check_chromium, check_sandbox, check_workspace, healthy


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
