"""Distillers by name: the built-in ones, and those that installed packages offer as entry points."""

if __name__ != "wisen.memory.distillers":
    raise ImportError("import this package as 'wisen.memory.distillers', not as 'memory.distillers'")

from collections.abc import Callable
from importlib.metadata import entry_points

from wisen.core.errors import SettingsError
from wisen.core.protocols import Distiller, Model

ENTRY_POINTS = "wisen.distillers"

Factory = Callable[[Model | None], Distiller]  # gets the model to write with, None where there is none


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


def _extractive(model: Model | None) -> Distiller:
    from wisen.memory.distillers.extractive import Extractive

    return Extractive()


def _reasoningbank(model: Model | None) -> Distiller:
    from wisen.memory.distillers.reasoningbank import ReasoningBank

    if model is None:
        raise SettingsError("the distiller 'reasoningbank' needs a language model", "name one, or take 'extractive'")
    return ReasoningBank(model)


_BUILT_IN: dict[str, Factory] = {"extractive": _extractive, "reasoningbank": _reasoningbank}
