"""Algorithms by name: what rows are made of a dataset, and with which loss. The built-in ones, one per file, and those
that installed packages offer as entry points."""

if __name__ != "wisen.trainers.algorithms":
    raise ImportError("import this package as 'wisen.trainers.algorithms', not as 'trainers.algorithms'")

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from wisen.core.errors import SettingsError
from wisen.trainers.algorithms.base import Algorithm

__all__ = ["Algorithm", "algorithm_names", "make_algorithm"]

ENTRY_POINTS = "wisen.algorithms"
# Where each lives, "module:class"; imported when it is asked for.
_BUILT_IN = {
    "rft": "rft:RFT",
    "dpo": "dpo:DPO",
    "kto": "kto:KTO",
    "grpo": "grpo:GRPO",
    "gigpo": "gigpo:GiGPO",
    "self-imitation": "self_imitation:SelfImitation",
    "agent-r": "agent_r:AgentR",
    "early-experience": "early_experience:EarlyExperience",
    "webrl": "webrl:WebRL",
}


def algorithm_names() -> tuple[str, ...]:
    """All names that `make_algorithm` knows."""
    return tuple(dict.fromkeys([*_BUILT_IN, *(point.name for point in entry_points(group=ENTRY_POINTS))]))


def make_algorithm(name: str, options: Mapping[str, Any] | None = None) -> Algorithm:
    """The algorithm of that name. Raises `SettingsError` for an unknown name, and for an option that it does not have
    or that is out of its range."""
    if name in _BUILT_IN:
        module, _, kind = _BUILT_IN[name].partition(":")
        factory = getattr(import_module(f"wisen.trainers.algorithms.{module}"), kind)
    else:
        found = [point for point in entry_points(group=ENTRY_POINTS) if point.name == name]
        if not found:
            raise SettingsError(f"there is no algorithm {name!r}", f"one of {', '.join(algorithm_names())}")
        factory = found[0].load()
    try:
        made: Algorithm = factory(**dict(options or {}))
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        known = ", ".join(sorted(factory.model_fields))
        raise SettingsError(f"the algorithm {name!r} does not take these options: {said}", f"it has {known}") from error
    return made
