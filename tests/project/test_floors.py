"""Imports go down the floors. Each forbidden direction is planted in a copy, to see that the contract bites."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "app", "core", "environments", "evolution", "memory", "models", "trainers")


def _lint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo", "--config",
         str(ROOT / "pyproject.toml")],
        cwd=path,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages laid out as they are installed. `PYTHONPATH` puts them before the checkout's own."""
    path = tmp_path_factory.mktemp("floors")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, path / "wisen" / package, ignore=shutil.ignore_patterns("__pycache__"))
    return path


def test_imports_go_down_the_floors(copy: Path) -> None:
    run = _lint(copy)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("package", "statement"),
    [
        ("core", "import wisen.memory"),
        ("core", "def late() -> None:\n    import torch"),
        ("memory", "import wisen.agent"),
        ("memory", "import wisen.models"),
        ("environments", "from wisen import models"),
        ("trainers", "import wisen.agent"),
        ("agent", "import wisen.trainers"),
        ("agent", "def late() -> None:\n    import wisen.evolution"),
        ("evolution", "import wisen.app"),
    ],
)
def test_a_planted_violation_is_found(copy: Path, package: str, statement: str) -> None:
    planted = copy / "wisen" / package / "planted.py"
    planted.write_text(statement + "\n")
    try:
        run = _lint(copy)
    finally:
        planted.unlink()
    assert run.returncode == 1
    assert f"wisen.{package}.planted" in run.stdout
