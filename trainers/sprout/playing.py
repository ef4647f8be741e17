"""Generated worlds as a suite, for reports and tests: families, words and phrases that no training lesson holds.

Some kinds of errands, each with candidates that stay, at some places whose ways stay: experience can pay.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wisen.core.errors import EnvironmentFault
from wisen.core.ids import derived_seed
from wisen.core.records import Action, Observation, Split, StepResult, Task
from wisen.environments.tasks import checked_task, seeds
from wisen.trainers.sprout.kinds import HELD_KINDS
from wisen.trainers.sprout.lessons import Mix, drawn_custom
from wisen.trainers.sprout.pages import HELD_PAGES, pages
from wisen.trainers.sprout.ways import Custom
from wisen.trainers.sprout.words import Lexicon, Side
from wisen.trainers.sprout.world import World, ended

SUITE = "generated"
VERSION = "1"
PLACES = 4
MAX_STEPS = 12


class GeneratedSuite:
    """`world`: another number is another set of places and ways. lives: wrong tries that an errand bears. kinds: of
    errands with hidden ways; page families are named as such."""

    name = SUITE

    def __init__(
        self, world: int = 0, lives: int = 1, kinds: Sequence[str] = HELD_KINDS, side: Side = Side.HELD
    ) -> None:
        self.world, self._lives, self._side = world, lives, side
        self._customs = {kind: _custom(world, kind, lives, side) for kind in kinds if kind not in HELD_PAGES}
        self._pages = tuple(kind for kind in kinds if kind in HELD_PAGES)

    @property
    def customs(self) -> dict[str, Custom]:
        """By kind. What no agent may see."""
        return self._customs

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        places = [(kind, place) for kind, custom in self._customs.items() for place in custom.ways]
        places += [(family, f"page {number}") for family in self._pages for number in range(PLACES)]
        return tuple(
            Task(
                id=f"{SUITE}/{self.world}/{kind}/{place}/{seed}",
                suite=SUITE,
                environment=SUITE,
                template_id=f"{SUITE}/{kind}",
                split=split,
                seed=seed,
                params={"world": self.world, "kind": kind, "place": place, "lives": self._lives, "side": self._side},
                version=VERSION,
            )
            for seed in seeds(SUITE, split, per_template, offset)
            for kind, place in places
        )

    async def start(self) -> None:
        """Nothing is shared."""

    async def create(self) -> "GeneratedEnvironment":
        return GeneratedEnvironment()

    async def stop(self) -> None:
        """Nothing is shared."""

    def oracle(self) -> "GeneratedOracle":
        return GeneratedOracle()


def _custom(world: int, kind: str, lives: int, side: Side) -> Custom:
    draw = random.Random(derived_seed(SUITE, world, kind, side))
    custom = drawn_custom(draw, Lexicon(side, 0.5), Mix(candidates=5), (kind,), places=PLACES)
    return replace(custom, lives=lives)


def world_of(task: Task) -> World:
    """The task, begun."""
    checked_task(task, SUITE, VERSION)
    told = task.params
    draw = random.Random(derived_seed(SUITE, told["world"], told["kind"], task.seed))
    if told["kind"] in HELD_PAGES:
        draw = random.Random(derived_seed(SUITE, task.id))
        return pages(draw, Lexicon(Side(told["side"]), 0.5), told["kind"], 1)[0]
    return _custom(told["world"], told["kind"], told["lives"], Side(told["side"])).task(draw, told["place"])


class GeneratedEnvironment:
    """Takes the listed actions and no others."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._steps = 0

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        self._world, self._steps = world_of(task), 0
        return observed(self._world)

    async def step(self, action: Action) -> StepResult:
        world = self._world
        if world is None or world.done:
            raise EnvironmentFault("no episode is running", "reset the environment with a task first")
        self._steps += 1
        note = world.act(action.text) if action.text in world.seen().actions else "That cannot be done here."
        done, success = ended(world)
        over = not done and self._steps >= MAX_STEPS
        result = StepResult(
            observation=observed(world),
            reward=float(success),
            terminated=done,
            truncated=over,
            success=success if done else False if over else None,
            info={"note": note} if note else {},
        )
        if over:
            self._world = None
        return result

    async def close(self) -> None:
        self._world = None


class GeneratedOracle:
    """Knows the ways. For tests and benchmarks only."""

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        world, actions = world_of(task), []
        while not world.done:
            actions.append(Action(text=world.right()))
            world.act(world.right())
        return actions


def observed(world: World) -> Observation:
    seen = world.seen()
    return Observation(instruction=world.instruction, text=seen.text, actions=seen.actions)
