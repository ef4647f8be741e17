"""What the text suites share: options, the note for what cannot be done, extras, the cache's folder."""

import difflib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from wisen.core.errors import SettingsError
from wisen.core.records import Action

LONGEST_ACTION = 500  # characters that a note repeats, and that are compared with the actions


def chosen(suite: str, what: str, named: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Those of `known` that an option names, all if it names none. Raises `SettingsError`."""
    if isinstance(named, str):
        raise SettingsError(f"{suite}: {what} = {named!r} is no list", f'write {what}=["{known[0]}"]')
    if unknown := [str(name) for name in named if name not in known]:
        near = difflib.get_close_matches(unknown[0], known, n=3)
        raise SettingsError(f"{suite}: unknown {what}: {', '.join(unknown)}", f"such as {', '.join(near or known[:5])}")
    return tuple(dict.fromkeys(named)) or tuple(known)


def extra_version(module: str, package: str, extra: str) -> str:
    """Version of an optional package, without importing it. Raises `SettingsError` where it is missing."""
    if find_spec(module) is None:
        raise SettingsError(f"{package} is not installed", f'pip install "wisen[{extra}]"')
    return version(package)


def cache_folder(name: str) -> Path:
    """Where this user keeps what can be made again: `$XDG_CACHE_HOME/wisen/NAME`, or the platform's place."""
    if named := os.environ.get("XDG_CACHE_HOME"):
        base = Path(named)
    else:
        base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return base / "wisen" / name


def command_of(action: Action) -> str:
    """The text of an action as a player would type it: one line, single spaces, no prompt sign before it."""
    return " ".join(action.text[: LONGEST_ACTION + 1].split()).removeprefix(">").strip()


def refusal(action: Action, admissible: Sequence[str]) -> str:
    """Why an action is not among the admissible ones, in words for who tried it."""
    if action.tool_call is not None:
        return f"There is no tool {action.tool_call.name[:80]!r} here: answer with a text."
    command = command_of(action)
    if not command:
        return "Nothing was said: answer with one of the actions."
    if len(action.text) > LONGEST_ACTION:
        return f"That is too long ({len(action.text):,} characters): answer with one of the actions."
    near = difflib.get_close_matches(command, admissible, n=3, cutoff=0.5)
    hint = f" Did you mean: {', '.join(near)}?" if near else ""
    return f"That cannot be done here: {command[:100]!r}.{hint}"
