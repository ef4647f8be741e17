"""Distillers by name: the built-in ones, and those that installed packages offer as entry points."""

if __name__ != "wisen.memory.distillers":
    raise ImportError("import this package as 'wisen.memory.distillers', not as 'memory.distillers'")

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from wisen.core.errors import SettingsError
from wisen.core.protocols import Distiller, Model

ENTRY_POINTS = "wisen.distillers"

Factory = Callable[[Model | None], Distiller]  # gets the model to write with, None where there is none


COMPARING = frozenset({"matts"})  # they teach nothing from a single attempt at a task
PROVEN = frozenset({"skills"})  # what they write is tried in its environment, and enters the bank only if it passes


def distiller_names() -> tuple[str, ...]:
    """All names that `make_distiller` knows."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINTS))}))


def make_distiller(name: str, model: Model | None = None) -> Distiller:
    """The distiller of that name. Raises `SettingsError` for an unknown name, or where it needs a model (of another
    kind) to write with."""
    factory = _BUILT_IN.get(name)
    if factory is None:
        found = [point for point in entry_points(group=ENTRY_POINTS) if point.name == name]
        if not found:
            raise SettingsError(f"there is no distiller {name!r}", f"one of {', '.join(distiller_names())}")
        factory = found[0].load()
    return factory(model)


def _made(model: Model | None, name: str) -> Distiller:
    module, _, made = (_RULES | _WRITERS)[name].partition(":")
    distiller = getattr(import_module(f"wisen.memory.distillers.{module}"), made)
    if name in _RULES:
        return cast(Distiller, distiller())
    if model is None:
        raise SettingsError(f"the distiller {name!r} needs a language model", "name one, or take 'extractive'")
    return cast(Distiller, distiller(model))


# Where each lives, "module:class"; imported when it is asked for. The rules need no model, the writers need one that
# chats.
_RULES = {
    "cases": "cases:Cases",
    "extractive": "extractive:Extractive",
    "raw": "raw:Raw",
    "workflows": "workflows:Workflows",
}
_WRITERS = {
    "ace": "ace:ACE",
    "awm": "awm:AWM",
    "cheatsheet": "cheatsheet:Cheatsheet",
    "concepts": "concepts:Concepts",
    "conditions": "conditions:Conditions",
    "expel": "expel:ExpeL",
    "matts": "matts:MaTTS",
    "reasoningbank": "reasoningbank:ReasoningBank",
    "skills": "skills:Skills",
    "subtasks": "subtasks:Subtasks",
}
_BUILT_IN: dict[str, Factory] = {name: partial(_made, name=name) for name in (*_RULES, *_WRITERS)}
