"""A small MCP server over one folder: list, read, write, move, delete and search its text files.

    python -m wisen.environments.tool.folder_server FOLDER

It never leaves the folder, also not by a symbolic link.
"""

import argparse
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wisen.core.records import ToolSpec
from wisen.environments.tool.serve import make_server, serve_stdio

MOST_BYTES = 100_000


class Refused(ValueError):
    """What was asked for cannot be done; the message says why."""


class Folder:
    """The tools' functions; each returns what to tell."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def list_files(self) -> str:
        names = sorted(path.relative_to(self._root).as_posix() for path in self._root.rglob("*") if path.is_file())
        return "\n".join(names) or "There are no files."

    def read_file(self, path: str) -> str:
        file = self._file(path)
        if file.stat().st_size > MOST_BYTES:
            raise Refused(f"{path} is larger than {MOST_BYTES:,} bytes.")
        return file.read_text(errors="replace")

    def write_file(self, path: str, text: str) -> str:
        target = self._within(path)
        if target.is_dir():
            raise Refused(f"{path} is a folder.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return f"Written: {path}, {len(text)} characters."

    def move_file(self, source: str, target: str) -> str:
        file, goal = self._file(source), self._within(target)
        if goal.exists():
            raise Refused(f"There is {target} already.")
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, goal)
        return f"Moved {source} to {target}."

    def delete_file(self, path: str) -> str:
        self._file(path).unlink()
        return f"Deleted {path}."

    def search(self, text: str) -> str:
        found = [
            f"{path.relative_to(self._root).as_posix()}: {line.strip()[:200]}"
            for path in sorted(self._root.rglob("*"))
            if path.is_file() and path.resolve().is_relative_to(self._root) and path.stat().st_size <= MOST_BYTES
            for line in path.read_text(errors="replace").splitlines()
            if text.lower() in line.lower()
        ]
        return "\n".join(found[:100]) or f"No line holds {text[:80]!r}."

    def _file(self, path: str) -> Path:
        found = self._within(path)
        if not found.is_file():
            raise Refused(f"There is no file {path[:200]}; list_files names them all.")
        return found

    def _within(self, path: str) -> Path:
        found = (self._root / path).resolve()
        if found == self._root or not found.is_relative_to(self._root):
            raise Refused(f"{path[:200]} is not inside the folder; write paths relative to it.")
        return found


_PATH = {"type": "string", "minLength": 1, "maxLength": 500, "description": "Relative to the folder."}
_TEXT = {"type": "string"}


def _tool(name: str, description: str, **properties: Mapping[str, Any]) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return ToolSpec(name=name, description=description, parameters=schema)


TOOLS = (
    _tool("list_files", "List all files, with their paths."),
    _tool("read_file", "Read a text file.", path=_PATH),
    _tool("write_file", "Write a text file; one that is there is replaced.", path=_PATH, text=_TEXT),
    _tool("move_file", "Move or rename a file. Folders are made as needed.", source=_PATH, target=_PATH),
    _tool("delete_file", "Delete a file.", path=_PATH),
    _tool("search", "Find the lines that hold a text, in all files.", text=_TEXT),
)


def build(folder: Path) -> Any:
    """The server for `folder`, to be used in this process or over any transport."""
    tools = Folder(folder)

    async def call(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        function: Callable[..., str] = getattr(tools, name)
        try:
            return function(**arguments), False
        except (Refused, OSError, ValueError) as why:  # a path with a NUL byte is a ValueError
            return str(why), True

    return make_server("folder", TOOLS, call)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    serve_stdio(build(parser.parse_args().folder))


if __name__ == "__main__":
    main()
