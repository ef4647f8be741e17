"""The suite `household`: errands by ALFWorld's rules in houses of our own. Results on it are not ALFWorld scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Acts, Observation, Snapshot, Split, StepResult, SuiteCard, Task
from wisen.environments.snapshots import kept, opened
from wisen.environments.tasks import checked_task, refuse_closed, seeds
from wisen.environments.text import house as houses
from wisen.environments.text.common import chosen, command_of, refusal
from wisen.environments.text.house import ERRANDS, TOOL, House

SUITE = "household"
VERSION = "1"


class HouseholdSuite:
    """Options: `errands`, of `house.ERRANDS` (all, if empty). `max_steps` truncates: ALFWorld's usual limit is 50."""

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Errands in a house, by the rules of ALFWorld, in houses of our own.",
        licence="Apache-2.0, our own",
        templates=len(ERRANDS),
        acts=(Acts.CHOICE,),
        reward="0 or 1",
        success="the errand is done",
        max_steps=50,
        snapshots=True,
    )

    def __init__(self, errands: Sequence[str] = (), max_steps: int = 50) -> None:
        self._errands = chosen(SUITE, "errands", errands, tuple(ERRANDS))
        if max_steps < 1:
            raise SettingsError(f"{SUITE}: max_steps = {max_steps} leaves no step")
        self._max_steps = max_steps

    def card(self) -> SuiteCard:
        return self.about.model_copy(update={"templates": len(self._errands), "max_steps": self._max_steps})

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return tuple(
            Task(
                id=f"{SUITE}/{errand}/{seed}",
                suite=SUITE,
                environment=SUITE,
                template_id=f"{SUITE}/{errand}",
                split=split,
                seed=seed,
                params={"errand": errand, "max_steps": self._max_steps},
                version=VERSION,
            )
            for seed in seeds(SUITE, split, per_template, offset)
            for errand in self._errands
        )

    async def start(self) -> None:
        """Nothing is shared."""

    async def create(self) -> "HouseholdEnvironment":
        return HouseholdEnvironment()

    async def stop(self) -> None:
        """Nothing is shared."""

    def oracle(self) -> "HouseholdOracle":
        return HouseholdOracle()


@dataclass
class Episode:
    """`said`: what was told last, as it is shown."""

    house: House
    max_steps: int
    said: str
    steps: int = 0


class HouseholdEnvironment:
    """Actions are the texts that an observation lists. Reward and success come when the errand is done."""

    def __init__(self) -> None:
        self._task: Task | None = None
        self._episode: Episode | None = None
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        self._refuse(task)
        house = houses.build(task.params["errand"], task.seed)
        self._task, self._episode = task, Episode(house, int(task.params["max_steps"]), houses.around(house))
        return _observed(house, self._episode.said, tuple(houses.moves(house)))

    async def step(self, action: Action) -> StepResult:
        _, episode = self._running()
        house = episode.house
        episode.steps += 1
        admissible, command = tuple(houses.moves(house)), command_of(action)
        if command in admissible:
            episode.said = houses.act(house, command)
            admissible = tuple(houses.moves(house))
        else:
            episode.said = refusal(action, admissible)
        done = house.done
        truncated = not done and episode.steps >= episode.max_steps
        if done or truncated:
            self._episode, admissible = None, ()
        return StepResult(
            observation=_observed(house, episode.said, admissible),
            reward=float(done),
            terminated=done,
            truncated=truncated,
            success=True if done else False if truncated else None,
            info={"note": episode.said},
        )

    async def snapshot(self) -> Snapshot:
        return kept(*self._running())

    async def restore(self, snapshot: Snapshot) -> Observation:
        self._refuse(snapshot.task)
        self._task, self._episode = snapshot.task, opened(snapshot, Episode)
        return _observed(self._episode.house, self._episode.said, tuple(houses.moves(self._episode.house)))

    async def close(self) -> None:
        self._episode, self._closed = None, True

    def _refuse(self, task: Task) -> None:
        refuse_closed(self._closed)
        checked_task(task, SUITE, VERSION)

    def _running(self) -> tuple[Task, Episode]:
        if self._task is None or self._episode is None:
            raise EnvironmentFault("no episode is running", "reset the environment with a task first")
        return self._task, self._episode


def instruction(house: House) -> str:
    """The errand in a sentence."""
    thing, goal = house.target, house.goal
    match house.errand:
        case "light":
            return f"Look at the {thing} under the desklamp: hold it there with the lamp on."
        case "two":
            return f"Put two of {thing} in or on one {goal}."
        case "put":
            return f"Put some {thing} in or on a {goal}."
    return f"{house.errand.capitalize()} some {thing} and put it in or on a {goal}."


def _observed(house: House, said: str, admissible: tuple[str, ...]) -> Observation:
    where = house.at or f"the middle of the {house.room}"
    return Observation(
        instruction=instruction(house),
        text=f"{said}\nYou are at {where}. You carry {house.held or 'nothing'}.",
        actions=admissible,
    )


class HouseholdOracle:
    """Sees through closed doors. For tests only."""

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        return [Action(text=move) for move in plan(houses.build(task.params["errand"], task.seed))]

    def secrets(self, task: Task) -> tuple[str, ...]:
        """The plan, and where each thing is that lies behind a door."""
        house = houses.build(task.params["errand"], task.seed)
        return ", ".join(plan(house)), str(house.where)


def plan(house: House) -> list[str]:
    """A way to do the errand from the start of the house; it is played on it."""
    steps: list[str] = []

    def play(*moves: str) -> None:
        for move in moves:
            steps.append(move)
            houses.act(house, move)

    def reach(place: str) -> None:
        if house.at != place:
            play(f"go to {place}")
        if not house.can_reach_into(place):
            play(f"open {place}")

    targets = [thing for thing, kind in house.kinds.items() if kind == house.target]
    goal = next((place for place, kind in house.places.items() if kind == house.goal), "")
    for thing in targets[: 2 if house.errand == "two" else 1]:
        reach(house.where[thing])
        play(f"take {thing} from {house.at}")
        if tool := TOOL.get(house.errand):
            place = next(place for place, kind in house.places.items() if kind == tool)
            if house.at != place:
                play(f"go to {place}")
            play(f"{house.errand} {thing} with {place}")
        if house.errand == "light":
            lamp = next(name for name in house.kinds if "lamp" in house.does(name))
            reach(house.where[lamp])
            play(f"use {lamp}")
        else:
            reach(goal)
            play(f"move {thing} to {goal}")
    return steps
