"""How long an item's texts may be."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Limits:
    """Longest texts, in characters."""

    title: int = 200
    when_to_use: int = 2000
    when_not: int = 1000
    content: int = 6000


def unfit(texts: Mapping[str, str], limits: Limits) -> tuple[str, ...]:
    """What is too long, or missing, in words."""
    found = [
        f"{field} has {len(texts[field])} characters, more than {limit}"
        for field, limit in asdict(limits).items()
        if len(texts[field]) > limit
    ]
    return (*found, *(() if texts["content"].strip() else ("content is empty",)))
