"""Items that a person writes: on the command line, as JSON lines, or in an editor."""

import os
import shlex
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from wisen.core.errors import SettingsError
from wisen.core.records import Author, ItemKind, MemoryItem, Record, Scope, Trust
from wisen.memory.bank import make_item
from wisen.memory.guard import GuardVerdict, check_item

TITLE_LENGTH = 60
STDIN = "-"
TEXTS = ("title", "when_to_use", "when_not", "content")
HEAD = """\
# Write, save and close. Another advice or another situation makes a new version, which has to prove itself anew.
# To leave it as it is, change nothing.
"""


class Written(Record):
    """One item as a person gives it."""

    content: str = Field(min_length=1)
    title: str = ""
    when_to_use: str = ""
    when_not: str = ""
    kind: ItemKind = ItemKind.STRATEGY
    scope: Scope = Scope()

    def item(self) -> MemoryItem:
        return make_item(
            kind=self.kind,
            title=self.title or textwrap.shorten(self.content, TITLE_LENGTH, placeholder="…"),
            when_to_use=self.when_to_use,
            when_not=self.when_not,
            content=self.content,
            scope=self.scope,
            author=Author(distiller="person"),
            evidence=(),
            source_tasks=(),
            outcome_source="person",
            trust=Trust.PERSON,
        )


def from_options(options: Mapping[str, Any], scope: Mapping[str, Any]) -> list[MemoryItem]:
    """One item. Raises `SettingsError`."""
    try:
        return [Written.model_validate({**options, "scope": scope}).item()]
    except ValidationError as error:
        raise SettingsError(f"this is no item: {_first(error)}") from error


def lines_of(file: Path) -> list[str]:
    """The lines of a file, or of stdin where it is `-`. Raises `SettingsError`."""
    try:
        if str(file) == STDIN:
            return sys.stdin.read().splitlines()
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"{file} cannot be read: {said}", "name a file of JSON lines, or - for stdin") from error


def from_lines(lines: Iterable[str], where: str) -> list[MemoryItem]:
    """An item of each line that is not empty. Raises `SettingsError` with the number of the first that is none."""
    items = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                items.append(Written.model_validate_json(line).item())
            except ValidationError as error:
                raise SettingsError(
                    f"{where}:{number} is no item: {_first(error)}", "nothing was added; mend the line"
                ) from error
    if not items:
        raise SettingsError(f"{where} holds no items", 'write a line such as {"content": "Unlock the order first."}')
    return items


def passing(items: Sequence[MemoryItem]) -> list[GuardVerdict]:
    """What the guard says of each. Raises `SettingsError` for the first that it refuses."""
    checked = [check_item(item) for item in items]
    for number, verdict in enumerate(checked, start=1):
        if not verdict.ok:
            which = f"item {number} " if len(checked) > 1 else "the item "
            raise SettingsError(
                f"the guard refuses {which}({verdict.item.title}): {'; '.join(verdict.reasons)}", "nothing was added"
            )
    return checked


def edited(item: MemoryItem) -> dict[str, str]:
    """Those texts of the item that a person changed in their editor. Raises `SettingsError` where there is none, it
    fails, or what it leaves cannot be read; that file is then kept, and named."""
    import yaml

    before = {name: getattr(item, name) for name in TEXTS}
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="wisen-", delete=False, encoding="utf-8") as file:
        file.write(HEAD + yaml.dump(before, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=100))
    path = Path(file.name)
    try:
        done = subprocess.run([*shlex.split(command), str(path)], check=False)
    except OSError as error:
        path.unlink()
        raise SettingsError(
            f"the editor {command!r} cannot be started: {error.strerror}", "set EDITOR, or give --content and its like"
        ) from error
    hint = f"what you wrote is in {path}"
    if done.returncode:
        raise SettingsError(f"the editor {command!r} left with {done.returncode}; nothing was changed", hint)
    try:
        after = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"what you wrote cannot be read: {' '.join(str(error).split())}", hint) from error
    if not isinstance(after, dict) or set(after) != set(TEXTS) or not all(isinstance(v, str) for v in after.values()):
        raise SettingsError(f"what you wrote holds not just the texts {', '.join(TEXTS)}", hint)
    path.unlink()
    return {name: text.strip() for name, text in after.items() if text.strip() != before[name].strip()}


def _dumper() -> Any:
    import yaml

    class Readable(yaml.SafeDumper):
        pass

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Readable.add_representer(str, text)
    return Readable


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    said = "there is no such field" if problem["type"] == "extra_forbidden" else problem["msg"]
    return f"{where}: {said}" if where else said
