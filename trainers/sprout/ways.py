"""Worlds with hidden ways: which of several acts a place wants, nobody tells; only trying, or experience, does.

A `Custom` is one kind of task with its candidates, and the way of each place (a site, an organisation, a house, a
project). It makes tasks for any of its places. A wrong try is answered with a refusal, and costs one of the lives.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from wisen.trainers.sprout.words import THINGS, WORK, Lexicon, Side
from wisen.trainers.sprout.world import Seen

REFUSALS = {
    Side.TRAIN: (
        "{c} is not used here.",
        "Not {c}.",
        "{c} was refused.",
        "That failed: {c} is wrong.",
        "No: another one than {c}.",
        "Nothing happens.",
    ),
    Side.HELD: ("{c} will not do.", "Denied.", "{c} does not work at this place."),
}
_NOUNS = THINGS + WORK


@dataclass(frozen=True)
class Stage:
    """A decision. `right` among `candidates` (action texts); more than one candidate: it is hidden which. `names`:
    what each candidate is called in a refusal. `says`: what the place answers to the right one. `always`: whether its
    acts are offered at all times, and not only when it is their turn."""

    right: str
    candidates: tuple[str, ...]
    names: tuple[str, ...] = ()
    says: str = ""
    always: bool = True

    @property
    def hidden(self) -> bool:
        return len(self.candidates) > 1


@dataclass
class Job:
    """What a kind makes of a task: the goal after the place's name, its stages, acts that lead nowhere, and how it
    looks: (the stages done so far, the last answer, the place) -> text."""

    goal: str
    stages: tuple[Stage, ...]
    others: tuple[str, ...]
    look: Callable[[int, str], str]
    notes: bool  # whether answers come as notes of the history
    end: str = ""  # what is shown at the end


class Way:
    """A task at a place. See `World`."""

    def __init__(self, family: str, scope: str, instruction: str, job: Job, *, lives: int, refusal: str, order: int):
        self.family, self.scope, self.instruction = family, scope, instruction
        self._job, self.lives, self._refusal = job, lives, refusal
        self.at = 0
        self._refused: set[str] = set()
        self._said = ""
        self.errors = 0
        self.done = self.success = False
        self._order = order

    @property
    def stages(self) -> tuple[Stage, ...]:
        return self._job.stages

    @property
    def stage(self) -> Stage:
        return self._job.stages[self.at]

    def seen(self) -> Seen:
        if self.done:
            return Seen(self._job.end if self.success and self._job.end else self._said, ())
        offered = [stage for index, stage in enumerate(self._job.stages) if stage.always or index == self.at]
        actions = [action for stage in offered for action in stage.candidates] + list(self._job.others)
        actions = sorted(dict.fromkeys(actions), key=lambda text: _mixed(text, self._order))
        return Seen(self._job.look(self.at, self._said), tuple(actions))

    def right(self) -> str:
        return self.stage.right

    def fair(self) -> Sequence[str]:
        return tuple(action for action in self.stage.candidates if action not in self._refused)

    def act(self, action: str) -> str:
        stage = self.stage
        if action == stage.right:
            self._said = stage.says
            self.at += 1
            self._refused = set()
            if self.at == len(self._job.stages):
                self.at -= 1
                self.done = self.success = True
        else:
            self.errors += 1
            self._refused.add(action)
            named = dict(zip(stage.candidates, stage.names, strict=False)).get(action)
            self._said = self._refusal.format(c=named) if named else "Nothing happens."
            self.done = self.errors > self.lives
        return self._said if self._job.notes else ""


def _mixed(text: str, order: int) -> int:
    """A place in an order that depends on nothing but text and number."""
    total = order
    for letter in text:
        total = (total * 31 + ord(letter)) % 1_000_003
    return total


@dataclass(frozen=True)
class Kind:
    """A kind of task with hidden ways. `make(draw, lexicon, names, ways, value)`: the job of one task, from the names
    of the candidates and, for each hidden stage, the index of the right one."""

    key: str
    held: bool
    make: Callable[[random.Random, Lexicon, "Cast", Sequence[int]], Job]
    hidden: int = 1
    rooms: bool = False


@dataclass(frozen=True)
class Cast:
    """What all tasks of a custom share: the noun of the task, the candidates' names, names of the surroundings."""

    phrase: str
    noun: str
    candidates: tuple[str, ...]
    extras: tuple[str, ...]
    style: int


@dataclass
class Custom:
    """A kind with its candidates, and the ways of some places."""

    kind: Kind
    cast: Cast
    ways: Mapping[str, tuple[int, ...]]
    scope_phrase: str
    refusal: str
    lives: int
    lexicon: Lexicon
    values: list[str] = field(default_factory=list)

    def task(self, draw: random.Random, place: str, ways: Sequence[int] | None = None) -> Way:
        """A task at a place; `ways` in place of its own for one whose ways have changed."""
        job = self.kind.make(draw, self.lexicon, self.cast, self.ways[place] if ways is None else ways)
        instruction = self.scope_phrase.format(s=place) + job.goal
        instruction = instruction[0].upper() + instruction[1:]
        return Way(
            self.kind.key,
            place,
            instruction,
            job,
            lives=self.lives,
            refusal=self.refusal,
            order=draw.randrange(1_000_000),
        )


SCOPES = {
    Side.TRAIN: ("At {s}: ", "In {s}: ", "For {s}: ", "{s}: ", "At {s}, ", "You work for {s}. "),
    Side.HELD: ("With {s}: ", "On behalf of {s}, ", "Place: {s}. "),
}


def custom(
    draw: random.Random, lexicon: Lexicon, kind: Kind, phrases: Sequence[str], *, places: Sequence[str], most: int = 5
) -> Custom:
    """Draw a custom. Places differ in their ways as far as the candidates allow."""
    count = draw.randint(2, most) if kind.hidden == 1 else draw.randint(2, 3)
    candidates = lexicon.names(draw, count, word=True)
    orders = [draw.sample(range(count), count) for _ in range(kind.hidden)]
    shift = [draw.randrange(count) for _ in range(kind.hidden)]
    ways = {
        place: tuple(
            order[(index + moved) % count] if index < count or draw.random() < 0.5 else draw.randrange(count)
            for order, moved in zip(orders, shift, strict=True)
        )
        for index, place in enumerate(places)
    }
    cast = Cast(
        phrase=draw.choice(phrases),
        noun=lexicon.pick(draw, _NOUNS),
        candidates=tuple(candidates),
        extras=tuple(lexicon.names(draw, 6, word=True)),
        style=draw.randrange(1_000),
    )
    return Custom(
        kind=kind,
        cast=cast,
        ways=ways,
        scope_phrase=draw.choice(SCOPES[lexicon.side]),
        refusal=draw.choice(REFUSALS[lexicon.side]),
        lives=draw.randint(1, 3),
        lexicon=lexicon,
    )
