"""Finds suites by name: the built-in ones and those that installed packages offer (entry points, group `wisen.suites`).

A suite's module is imported when the suite is asked for, and not before.
"""

import difflib
import importlib
import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from wisen.core.errors import SettingsError
from wisen.core.protocols import Suite

GROUP = "wisen.suites"

_BUILT_IN = {
    "code-repair": (
        "wisen.environments.code.repair:CodeRepairSuite",
        "Small functions with one wrong place; hidden tests decide. Runs in a sandbox, needs bubblewrap.",
    ),
    "miniwob": (
        "wisen.environments.web.suite:MiniWobSuite",
        "MiniWoB++ web pages in a headless Chromium, from files, without network.",
    ),
}


def suites() -> dict[str, str]:
    """Names of all suites with a line about each, sorted. A built-in name hides a package's suite of the same name."""
    found = {name: f"From {_origin(point)}: {point.value}" for name, point in _plugins().items()}
    found |= {name: line for name, (_, line) in _BUILT_IN.items()}
    return dict(sorted(found.items()))


def create(name: str, **options: Any) -> Suite:
    """Make a suite; nothing is started yet. Raises `SettingsError` for an unknown name or option, or for a suite whose
    packages are missing."""
    factory = _load(name)
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        known = [
            parameter.name
            for parameter in inspect.signature(factory).parameters.values()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        raise SettingsError(
            f"suite {name}: {error}", f"its options are {', '.join(known)}" if known else "it has no options"
        ) from error
    suite = factory(**options)
    if not isinstance(suite, Suite):
        raise SettingsError(f"{name} is not a suite: {type(suite).__name__} lacks a part of wisen.core.protocols.Suite")
    return suite


def _load(name: str) -> Any:
    """The class (or function) that makes the suite."""
    if name in _BUILT_IN:
        target = _BUILT_IN[name][0]
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise SettingsError(f"suite {name} cannot be loaded: {error}", "install what is missing") from error
    point = _plugins().get(name)
    if point is None:
        near = difflib.get_close_matches(name, suites(), n=1, cutoff=0.4)
        guess = f"did you mean {near[0]}? " if near else ""
        raise SettingsError(f"unknown suite {name!r}", f"{guess}known: {', '.join(suites())}")
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"suite {name} of {_origin(point)} cannot be loaded: {error}") from error


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _origin(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an installed package"
