"""Finds suites by name: the built-in ones and those that installed packages offer (entry points, group `wisen.suites`).

A suite's module is imported when the suite is asked for, and not before. `isolated:NAME` is the suite NAME with each of
its environments in a process of its own.
"""

import difflib
import importlib
import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from wisen.core.errors import SettingsError
from wisen.core.protocols import Suite
from wisen.core.records import SuiteCard

GROUP = "wisen.suites"
ISOLATED = "isolated:"
# They hold global state, or a Java machine, may think for ever, or bring libraries that nothing else here wants.
_ALWAYS_ISOLATED = frozenset({"agentdojo", "reasoning-gym", "scienceworld", "textworld"})

_BUILT_IN = {
    "agentdojo": (
        "wisen.environments.tool.agentdojo_suite:AgentDojoSuite",
        "Errands in mail, calendar, drive, bank, travel and chat; injected texts by option (extra: security).",
    ),
    "appworld": (
        "wisen.environments.plugs.appworld:AppWorldSuite",
        "AppWorld by its own server (needs options: urls, tasks or datasets).",
    ),
    "browsergym": (
        "wisen.environments.plugs.browsergym:BrowserGymSuite",
        "BrowserGym's benchmarks: WebArena, WorkArena and others (needs options: tasks).",
    ),
    "code-repair": (
        "wisen.environments.code.repair:CodeRepairSuite",
        "Small functions with one wrong place; hidden tests decide. Runs in a sandbox.",
    ),
    "code-write": (
        "wisen.environments.code.write:CodeWriteSuite",
        "Functions to write from a description and examples; hidden tests decide. For models that write.",
    ),
    "harbor": (
        "wisen.environments.code.harbor.suite:HarborSuite",
        "Task folders in Harbor's format, under bubblewrap, Docker or Podman (options: folder, engine).",
    ),
    "mcp": (
        "wisen.environments.tool.mcp_suite:McpSuite",
        "Tasks over a folder, with the tools of MCP servers; a checker looks at the folder afterwards.",
    ),
    "gymnasium": (
        "wisen.environments.plugs.gym_suite:GymSuite",
        "Any environment of gymnasium that can be told in words (needs options: id).",
    ),
    "miniwob": (
        "wisen.environments.web.suite:MiniWobSuite",
        "MiniWoB++ web pages in a headless Chromium, from files, without network.",
    ),
    "office": (
        "wisen.environments.tool.office.suite:OfficeSuite",
        "Errands in a generated organisation whose ways nobody tells; mail, calendar, files, tickets, shop.",
    ),
    "household": (
        "wisen.environments.text.household:HouseholdSuite",
        "Errands in a house, by the rules of ALFWorld, in houses of our own.",
    ),
    "openenv": (
        "wisen.environments.plugs.openenv:OpenEnvSuite",
        "Any OpenEnv server by its address (needs options: url).",
    ),
    "reasoning-gym": (
        "wisen.environments.text.puzzles:ReasoningGymSuite",
        "Puzzles of 90 kinds and more, one answer each, for models that write (extra: reasoning).",
    ),
    "scienceworld": (
        "wisen.environments.text.scienceworld:ScienceWorldSuite",
        "Thirty experiments in a simulated laboratory, official splits (extra: science; needs Java).",
    ),
    "tau2": (
        "wisen.environments.plugs.tau2:Tau2Suite",
        "tau2-bench by its gymnasium class (needs options: entry, domain, tasks).",
    ),
    "textworld": (
        "wisen.environments.text.textworld:TextWorldSuite",
        "Cooking games in houses made from seeds (extra: text).",
    ),
    "web": (
        "wisen.environments.web.sites:SiteSuite",
        "Any site, by address, within the origins that a task allows (needs options: tasks).",
    ),
    "webarena": (
        "wisen.environments.web.benchmarks.webarena:WebArenaSuite",
        "WebArena's tasks on your copies of its sites, by its own rules (needs options: tasks).",
    ),
    "webarena-verified": (
        "wisen.environments.web.benchmarks.webarena_verified:WebArenaVerifiedSuite",
        "WebArena-Verified, scored by its own package (needs options: python).",
    ),
    "webvoyager": (
        "wisen.environments.web.benchmarks.webvoyager:WebVoyagerSuite",
        "WebVoyager's questions to live sites; a judge decides (needs options: tasks, day).",
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
    apart, name = name.startswith(ISOLATED), name.removeprefix(ISOLATED)
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
    try:
        suite = factory(**options)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"suite {name} cannot take {_shown(options)}: {error}") from error
    if not isinstance(suite, Suite):
        raise SettingsError(f"{name} is not a suite: {type(suite).__name__} lacks a part of wisen.core.protocols.Suite")
    if apart or name in _ALWAYS_ISOLATED:
        from wisen.environments.isolated.suite import IsolatedSuite

        return IsolatedSuite(suite, _BUILT_IN[name][0] if name in _BUILT_IN else _plugins()[name].value, options)
    return suite


def card(name: str) -> SuiteCard | None:
    """What a suite says of itself before its options are known; None where it says nothing. Works also where what the
    suite needs is missing. Raises `SettingsError`."""
    about = getattr(_load(name), "about", None)
    return about if isinstance(about, SuiteCard) else None


def options(name: str) -> tuple[str, dict[str, str]]:
    """(what the suite says of itself, its options with their defaults as written; empty for one that must be given).
    Raises `SettingsError`."""
    factory = _load(name)
    found = inspect.signature(factory).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = [parameter for parameter in found if parameter.kind in kinds]
    about = inspect.getdoc(factory) or ""
    return about, {one.name: "" if one.default is one.empty else repr(one.default) for one in named}


def _shown(options: dict[str, Any]) -> str:
    return ", ".join(f"{key} = {value!r}" for key, value in options.items()) or "its defaults"


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
