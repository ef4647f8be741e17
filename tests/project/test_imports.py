"""What importing costs: light parts stay light, and the folders answer only to their full name."""

import importlib.util
import os
import pkgutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "app", "core", "environments", "evolution", "memory", "models", "trainers")
HEAVY = frozenset(
    """accelerate chromadb datasets fastapi gymnasium langchain_core langgraph langsmith litellm matplotlib mcp miniwob
    onnxruntime openai pandas peft playwright scipy sentence_transformers sklearn statsmodels tokenizers torch
    transformers""".split()
)
# What the command line does not need before a command runs, beyond HEAVY.
NOT_AT_START = HEAVY | {"alembic", "jinja2", "numpy", "sqlalchemy"}


def _modules(package: str) -> list[str]:
    """Every module of a package, found from its files and not by importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations is not None
    found = [package]
    for module in pkgutil.iter_modules(spec.submodule_search_locations, f"{package}."):
        found += _modules(module.name) if module.ispkg else [module.name]
    return found


def _loaded_by(modules: Sequence[str]) -> set[str]:
    """The top-level names in sys.modules of a fresh process after it imported the modules."""
    code = "import importlib, sys\nfor m in sys.argv[1:]: importlib.import_module(m)\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return {name.partition(".")[0] for name in run.stdout.split()}


def _core_modules() -> list[str]:
    # Alembic runs its scripts itself, with a context that a plain import lacks.
    return [name for name in _modules("wisen.core") if ".migrations" not in name]


def test_the_detector_sees_a_heavy_library() -> None:
    assert "scipy" in _loaded_by(["scipy"]) & HEAVY


def test_core_imports_no_heavy_library() -> None:
    modules = _core_modules()
    assert len(modules) > 10
    assert not _loaded_by(modules) & HEAVY


def test_the_command_line_starts_without_heavy_libraries() -> None:
    assert not _loaded_by(["wisen.app.cli"]) & NOT_AT_START


def test_help_answers_in_half_a_second() -> None:
    """Median of three, after one run that fills the caches of bytecode and disk. Where the machine is so busy that a
    bare interpreter is slow, the limit grows by as much."""
    command = Path(sys.executable).with_name("wisen")
    _seconds([str(command), "--help"])
    bare = statistics.median(_seconds([sys.executable, "-c", "pass"]) for _ in range(3))
    spent = statistics.median(_seconds([str(command), "--help"]) for _ in range(3))
    assert spent < 0.5 * max(1.0, bare / 0.03), f"wisen --help took {spent:.2f} s (a bare Python {bare:.2f} s)"


def _seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


@pytest.mark.parametrize("package", PACKAGES)
def test_a_bare_import_refuses(package: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"import {package}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert f"ImportError: import this package as 'wisen.{package}'" in run.stderr
