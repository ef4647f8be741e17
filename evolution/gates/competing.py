"""Several candidates at one use of a panel: new weights, new memory, and both."""

from collections.abc import Mapping

from wisen.core.statistics import holm
from wisen.evolution.gates.evidence import Evidence


def adjusted(found: Mapping[str, Evidence]) -> dict[str, float]:
    """Each one's p-value, adjusted for their number (Holm): at most alpha of the uses promote anything that is no
    better, whichever of them it is."""
    return dict(zip(found, holm([one.p_value for one in found.values()]), strict=True))


def best(found: Mapping[str, Evidence], alpha: float) -> str:
    """The one to promote: of those that pass adjusted, the one that is furthest ahead; else the first named, which is
    the candidate that is tried by default. Equals go in the order named."""
    p_values = adjusted(found)
    passing = [name for name, one in found.items() if one.lower > 0 and p_values[name] <= alpha]
    if not passing:
        return next(iter(found))
    return max(passing, key=lambda name: found[name].difference.mean)
