"""What an MCP task is: a folder to begin with, servers, and a look at the folder afterwards.

A task folder holds `task.toml` (see docs/mcp-tasks.md) and either `fixture/` with `expected/`, or a Python file with
`make`, `check` and `solution`. Its Python runs in this process: use task folders that you trust.
"""

import filecmp
import hashlib
import importlib.util
import json
import random
import shutil
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.ids import derived_seed
from wisen.core.records import Split, ToolCall
from wisen.environments.tool.mcp_session import Server

_KNOWN = {"instruction", "python", "split", "max_steps", "servers"}
_SERVER_KEYS = {"command", "url", "server", "call_s", "start_s", "env", "stateless"}


@dataclass(frozen=True)
class Prepared:
    """An episode's beginning. values: what the instruction was filled with; the checker gets them again."""

    instruction: str
    values: Mapping[str, Any]


class Scenario(Protocol):
    """A kind of task. `split`: None where seeds make different tasks, else the only split that it belongs to."""

    name: str
    version: str
    split: Split | None
    max_steps: int

    def servers(self, seed: int) -> Sequence[Server]: ...

    def prepare(self, folder: Path, seed: int) -> Prepared:
        """Fill the empty folder."""
        ...

    def check(self, folder: Path, prepared: Prepared, seed: int) -> float:
        """The share of the task that is done, 1.0 for all of it, from the folder and nothing else."""
        ...

    def solution(self, prepared: Prepared, seed: int) -> Sequence[ToolCall]:
        """For tests only."""
        ...


class FolderScenario:
    """A task folder. processes: run servers as processes where the task says how, also if they could run in this
    one. Raises `SettingsError` for a folder that is none."""

    def __init__(self, source: Path, *, processes: bool = False) -> None:
        self.source, self.name = source, source.name
        told = _read(source / "task.toml")
        self._instruction = told.get("instruction", "")
        self.max_steps = told.get("max_steps", 30)
        if not isinstance(self._instruction, str) or not self._instruction.strip():
            raise SettingsError(f"{source}/task.toml: the instruction is missing", 'write instruction = "…"')
        if type(self.max_steps) is not int or self.max_steps < 1:
            raise SettingsError(f"{source}/task.toml: max_steps = {self.max_steps!r} is no number of steps")
        self._servers = tuple(
            _server(source, name, given, processes) for name, given in _table(source, told, "servers").items()
        )
        if not self._servers:
            raise SettingsError(f"{source}/task.toml: no server is named", 'write [servers.files] and command = ["…"]')
        self._python = _python(source, told["python"]) if "python" in told else None
        if self._python is None and not (source / "expected").is_dir():
            raise SettingsError(
                f"{source}: nothing says when it is done", "add a folder expected, or name a python file"
            )
        self.split = None if hasattr(self._python, "make") else _split(source, told)
        self.version = _version(source)

    def servers(self, seed: int) -> tuple[Server, ...]:
        return self._servers

    def prepare(self, folder: Path, seed: int) -> Prepared:
        if (fixture := self.source / "fixture").is_dir():
            shutil.copytree(fixture, folder, dirs_exist_ok=True)
        values: dict[str, Any] = {}
        try:
            if self._python is not None and hasattr(self._python, "make"):
                values = self._python.make(folder, random.Random(derived_seed("mcp", self.name, seed)))
            return Prepared(self._instruction.format(**values), values)
        except Exception as error:
            raise EnvironmentFault(f"{self.source}: make failed: {type(error).__name__}: {error}") from error

    def check(self, folder: Path, prepared: Prepared, seed: int) -> float:
        if self._python is None or not hasattr(self._python, "check"):
            return float(_same(folder, self.source / "expected"))
        try:
            return min(1.0, max(0.0, float(self._python.check(folder, prepared.values))))
        except Exception as error:
            raise EnvironmentFault(f"{self.source}: check failed: {type(error).__name__}: {error}") from error

    def solution(self, prepared: Prepared, seed: int) -> tuple[ToolCall, ...]:
        if self._python is not None and hasattr(self._python, "solution"):
            calls = self._python.solution(prepared.values)
        elif (path := self.source / "solution.json").exists():
            calls = json.loads(path.read_text())
        else:
            raise SettingsError(f"{self.source} has no solution", "add solution.json, or solution to its python file")
        return tuple(ToolCall(name=name, arguments=arguments) for name, arguments in calls)


def scratch_prepared(scenario: Scenario, seed: int) -> Prepared:
    """A preparation whose folder is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        return scenario.prepare(Path(folder), seed)


def _read(path: Path) -> dict[str, Any]:
    try:
        told = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"{path.parent} is no task folder: it has no task.toml") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    if unknown := sorted(set(told) - _KNOWN):
        raise SettingsError(f"{path}: unknown {', '.join(unknown)}", f"it may hold {', '.join(sorted(_KNOWN))}")
    return told


def _table(source: Path, told: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = told.get(key, {})
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise SettingsError(f"{source}/task.toml: {key} is no table of tables", f"write [{key}.NAME]")
    return found


def _server(source: Path, name: str, given: Mapping[str, Any], processes: bool) -> Server:
    if unknown := sorted(set(given) - _SERVER_KEYS):
        known = ", ".join(sorted(_SERVER_KEYS))
        raise SettingsError(f"{source}/task.toml: server {name}: unknown {', '.join(unknown)}", f"it may hold {known}")
    command = given.get("command", ())
    if not isinstance(command, list | tuple) or not all(isinstance(word, str) for word in command):
        raise SettingsError(f"{source}/task.toml: server {name}: the command is no list of words")
    here = given.get("server") if not (processes and command) else None
    return Server(
        name=name,
        command=() if here else tuple(command),
        url=given.get("url", ""),
        server=here,
        call_s=float(given.get("call_s", 30.0)),
        start_s=float(given.get("start_s", 30.0)),
        env=given.get("env", {}),
        stateless=given.get("stateless") is True,
    )


def _split(source: Path, told: Mapping[str, Any]) -> Split:
    try:
        return Split(told.get("split", Split.REPORT))
    except ValueError:
        raise SettingsError(f"{source}/task.toml: split = {told['split']!r}", "learn, gate or report") from None


def _python(source: Path, name: str) -> ModuleType:
    path = source / name
    spec = importlib.util.spec_from_file_location(f"wisen_mcp_task_{path.parent.name.replace('-', '_')}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SettingsError(f"{source}/task.toml: there is no Python file {name}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SettingsError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module


def _version(source: Path) -> str:
    """A hash of all that the task folder holds."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(source).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _same(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files with the same content."""
    left, right = ({path.relative_to(top) for path in top.rglob("*") if path.is_file()} for top in (one, other))
    return left == right and all(filecmp.cmp(one / name, other / name, shallow=False) for name in left)
