"""The wheel holds what git holds: a sub-folder that the package list forgot, or data that no pattern names, fails."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _git_files() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _build(files: list[str], folder: Path) -> set[str]:
    """Copies the files (setuptools leaves a build folder behind, and picks up stale files from it), builds a wheel of
    the copy and returns what lies under wisen/ in it."""
    source, out = folder / "source", folder / "out"
    for name in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "--wheel-dir", str(out), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = out.glob("wisen-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.startswith("wisen/") and not name.endswith("/")}


def _folders() -> dict[str, str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        mapping: dict[str, str] = tomllib.load(file)["tool"]["setuptools"]["package-dir"]
    return mapping


def _expected(files: list[str]) -> set[str]:
    names = {folder: package.replace(".", "/") for package, folder in _folders().items()}
    split = [name.partition("/") for name in files]
    return {f"{names[top]}/{rest}" for top, slash, rest in split if slash and top in names}


def test_every_folder_with_an_init_file_is_mapped() -> None:
    tops = {name.partition("/")[0] for name in _git_files() if name.count("/") == 1 and name.endswith("/__init__.py")}
    assert tops == set(_folders().values())


def test_the_wheel_holds_what_git_holds(tmp_path: Path) -> None:
    files = _git_files()
    assert _build(files, tmp_path) == _expected(files)


def test_a_forgotten_folder_would_be_noticed(tmp_path: Path) -> None:
    """The comparison above can fail: plant a sub-folder that no package list names."""
    files = _git_files()
    planted = tmp_path / "source/core/forgotten/__init__.py"
    planted.parent.mkdir(parents=True)
    planted.touch()
    built = _build(files, tmp_path)
    assert built == _expected(files)
    assert built != _expected([*files, "core/forgotten/__init__.py"])
