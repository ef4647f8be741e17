"""What generated worlds have in common: they are seen, acted in, and know what one who knows their ways would do."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Seen:
    """What a world shows: the observation's text and the admissible actions."""

    text: str
    actions: tuple[str, ...]


class World(Protocol):
    """One attempt at one task. `family`: which kind of task. `scope`: whose hidden ways hold here, empty where there
    are none. `done` and `success`: as an environment would say."""

    family: str
    scope: str
    instruction: str
    done: bool
    success: bool

    def seen(self) -> Seen: ...

    def right(self) -> str:
        """The action that one takes who knows everything."""
        ...

    def fair(self) -> Sequence[str]:
        """The actions that one may try who knows only what is shown; the right one is among them."""
        ...

    def act(self, action: str) -> str:
        """Take an admissible action. Returns the environment's note, which the history shows; often empty."""
        ...


def ended(world: World) -> tuple[bool, bool]:
    """(whether it is over, whether it was a success)."""
    return world.done, world.success


def phrased(draw: random.Random, phrases: Sequence[str], **values: str) -> str:
    return draw.choice(phrases).format(**values)
