"""Rankers by name: who comes first among the items that may be recalled. The built-in ones, and those that installed
packages offer as entry points."""

if __name__ != "wisen.memory.rankers":
    raise ImportError("import this package as 'wisen.memory.rankers', not as 'memory.rankers'")

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from wisen.core.errors import SettingsError
from wisen.core.protocols import Embedder, Ranker
from wisen.memory.rankers.hybrid import Hybrid
from wisen.memory.rankers.random import RandomOrder
from wisen.memory.rankers.similarity import Similarity
from wisen.memory.rankers.thompson import Thompson
from wisen.memory.rankers.ucb import UCB
from wisen.memory.rankers.value import Value

__all__ = [
    "UCB",
    "WORTHLESS",
    "Hybrid",
    "Parts",
    "RandomOrder",
    "Similarity",
    "Thompson",
    "Value",
    "make_ranker",
    "ranker_names",
]

ENTRY_POINTS = "wisen.rankers"
WORTHLESS = frozenset({"similarity", "hybrid", "random", "parametric"})  # they never ask what an item is worth


@dataclass(frozen=True)
class Parts:
    """What a ranker may be made of beside its options. folder: where a workspace keeps what rankers have learned.
    bank_version: the one that is ranked, None where it is not known yet."""

    embedder: Embedder | None = None
    folder: Path | None = None
    bank_version: int | None = None


Factory = Callable[..., Ranker]  # gets the parts, and the options by keyword


def ranker_names() -> tuple[str, ...]:
    """All names that `make_ranker` knows."""
    return tuple(sorted({*_BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINTS))}))


def make_ranker(name: str, options: Mapping[str, Any] | None = None, parts: Parts | None = None) -> Ranker:
    """The ranker of that name. Raises `SettingsError` for an unknown name, for an option that it does not have or that
    is out of its range, and where it needs parts that are not there."""
    factory = _BUILT_IN.get(name)
    if factory is None:
        found = [point for point in entry_points(group=ENTRY_POINTS) if point.name == name]
        if not found:
            raise SettingsError(f"there is no ranker {name!r}", f"one of {', '.join(ranker_names())}")
        factory = found[0].load()
    given = dict(options or {})
    try:
        inspect.signature(factory).bind(parts or Parts(), **given)
    except TypeError as error:
        raise SettingsError(f"the ranker {name!r} does not take these options: {error}") from error
    return factory(parts or Parts(), **given)


def _similarity(parts: Parts) -> Ranker:
    return Similarity()


def _hybrid(parts: Parts) -> Ranker:
    return Hybrid()


def _value(parts: Parts, *, weight: float = 0.5, epsilon: float = 0.1) -> Ranker:
    return Value(weight=weight, epsilon=epsilon)


def _ucb(parts: Parts, *, weight: float = 0.5, c: float = 0.2) -> Ranker:
    return UCB(weight=weight, c=c)


def _thompson(parts: Parts) -> Ranker:
    return Thompson()


def _random(parts: Parts) -> Ranker:
    return RandomOrder()


def _parametric(parts: Parts, *, prefilter: int = 50, temperature: float = 0.0) -> Ranker:
    from wisen.memory.parametric.ranker import proven_ranker

    return proven_ranker(parts.folder, parts.embedder, parts.bank_version, prefilter=prefilter, temperature=temperature)


_BUILT_IN: dict[str, Factory] = {
    "similarity": _similarity,
    "hybrid": _hybrid,
    "value": _value,
    "ucb": _ucb,
    "thompson": _thompson,
    "random": _random,
    "parametric": _parametric,
}
