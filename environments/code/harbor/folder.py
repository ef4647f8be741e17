"""Reads Harbor task folders: `task.toml`, `instruction.md`, `environment/`, `tests/test.sh`, `solution/solve.sh`.

The format is Harbor's (version 1.0 of task.toml); keys that are not needed here are left alone.
"""

import hashlib
import shlex
import tomllib
from pathlib import Path, PurePosixPath
from typing import Any

from wisen.core.errors import SettingsError
from wisen.core.records import Record

MOST_INSTRUCTION = 20_000
_NOT_HERE = ("/", "/bin", "/box", "/dev", "/etc", "/lib", "/lib64", "/logs", "/proc", "/tests", "/tmp", "/usr")


class Dockerfile(Record):
    """What of a Dockerfile can be done without an engine: where to work, what to copy there, variables. `beyond` names
    the first instruction that needs one."""

    workdir: str = "/app"
    copies: tuple[tuple[str, str], ...] = ()  # below environment/, and the absolute place inside
    env: dict[str, str] = {}
    beyond: str = ""


class HarborTask(Record):
    """A task folder. `digest` changes with any of its files. Times are seconds."""

    name: str
    folder: str
    instruction: str
    digest: str
    agent_s: float = 600.0
    verifier_s: float = 600.0
    memory_mb: int = 2048
    cpus: float = 1.0
    internet: bool = False
    dockerfile: Dockerfile = Dockerfile()

    def path(self, *parts: str) -> Path:
        return Path(self.folder, *parts)


def find_tasks(folder: Path) -> tuple[HarborTask, ...]:
    """The task that a folder is, or those that it holds, by name. Raises `SettingsError`."""
    if (folder / "task.toml").is_file():
        return (read_task(folder),)
    found = sorted(path.parent for path in folder.glob("*/task.toml"))
    if not found:
        raise SettingsError(
            f"{folder} holds no Harbor task", "name a folder with task.toml, or a folder of such folders"
        )
    return tuple(read_task(path) for path in found)


def read_task(folder: Path) -> HarborTask:
    """Raises `SettingsError` for what is missing or cannot be read."""
    for needed in ("task.toml", "instruction.md", "tests/test.sh"):
        if not (folder / needed).is_file():
            raise SettingsError(f"Harbor task {folder} lacks {needed}")
    try:
        settings = tomllib.loads((folder / "task.toml").read_text())
        instruction = (folder / "instruction.md").read_text().strip()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"Harbor task {folder} cannot be read: {error}") from error
    if not instruction or len(instruction) > MOST_INSTRUCTION:
        raise SettingsError(f"{folder}/instruction.md has {len(instruction)} characters", f"1 to {MOST_INSTRUCTION}")
    environment = _table(settings, "environment", folder)
    network = environment.get("network_mode", "public" if environment.get("allow_internet", True) else "none")
    dockerfile = folder / "environment" / "Dockerfile"
    return HarborTask(
        name=folder.resolve().name,
        folder=str(folder.resolve()),
        instruction=instruction,
        digest=_digest(folder),
        agent_s=_number(_table(settings, "agent", folder), "timeout_sec", 600.0, folder),
        verifier_s=_number(_table(settings, "verifier", folder), "timeout_sec", 600.0, folder),
        memory_mb=_memory(environment, folder),
        cpus=_number(environment, "cpus", 1.0, folder),
        internet=network not in ("none", "no-network"),
        dockerfile=read_dockerfile(dockerfile.read_text()) if dockerfile.is_file() else Dockerfile(),
    )


def read_dockerfile(text: str) -> Dockerfile:
    """What can be done without an engine, and what cannot."""
    workdir, beyond = "/app", ""
    copies: list[tuple[str, str]] = []
    env: dict[str, str] = {}
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        try:
            parts = shlex.split(rest)
        except ValueError:
            parts = [rest]
        match word.upper():
            case "" | "FROM" | "CMD" | "LABEL" | "EXPOSE" | "SHELL" | "ENTRYPOINT":
                pass
            case "WORKDIR":
                workdir = str(PurePosixPath(workdir, rest.strip()))
            case "ENV" if all("=" in part for part in parts):
                env |= dict(part.split("=", 1) for part in parts)
            case "COPY" if len(parts) >= 2 and not parts[0].startswith(("--", "[")):
                *sources, target = parts
                place = str(PurePosixPath(workdir, target)) + ("/" if target.endswith(("/", ".")) else "")
                copies += [(source, place) for source in sources]
            case _:
                beyond = beyond or line.strip()[:80]
    inside = [place for _, place in copies if not PurePosixPath(place).is_relative_to(workdir)]
    if not beyond and inside:
        beyond = f"COPY to {inside[0]}, outside {workdir}"
    if not beyond and (workdir in _NOT_HERE or workdir.startswith(("/proc/", "/dev/", "/usr/bin", "/usr/lib"))):
        beyond = f"WORKDIR {workdir}"
    return Dockerfile(workdir=workdir, copies=tuple(copies), env=env, beyond=beyond)


def _table(settings: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    found = settings.get(name, {})
    if not isinstance(found, dict):
        raise SettingsError(f"{folder}/task.toml: {name} is not a table")
    return found


def _number(table: dict[str, Any], name: str, default: float, folder: Path) -> float:
    found = table.get(name, default)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1e6:
        raise SettingsError(f"{folder}/task.toml: {name} = {found!r} is not a positive number")
    return float(found)


def _memory(environment: dict[str, Any], folder: Path) -> int:
    """`memory_mb`, or the older `memory` with a letter."""
    old = str(environment.get("memory", "2G"))
    factor = {"G": 1024, "M": 1}.get(old[-1:].upper())
    if factor is None or not old[:-1].isdigit():
        raise SettingsError(f"{folder}/task.toml: memory = {old!r}", "write memory_mb = 2048")
    return int(_number(environment, "memory_mb", float(int(old[:-1]) * factor), folder))


def _digest(folder: Path) -> str:
    made = hashlib.blake2b(digest_size=8)
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise SettingsError(f"{path} is a link", "a task folder is made of files and folders")
        if path.is_file() and "__pycache__" not in path.parts:
            made.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
            made.update(path.read_bytes())
    return made.hexdigest()
