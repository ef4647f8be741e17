"""A suite in a few lines for tests of the loop: press the lever that the goal names. Instant, text only."""

import asyncio
import os
import random
from collections.abc import Sequence
from pathlib import Path

from wisen.core.errors import EnvironmentFault
from wisen.core.records import Action, Observation, Split, StepResult, Task

STOP = "red"
COLOURS = "blue green white black brown pink grey".split()
TEMPLATES = ("one", "two", "stop")
RANGES = {Split.LEARN: 0, Split.GATE: 1_000_000, Split.REPORT: 2_000_000}
LOG = "LEVERS_LOG"  # a file that gets a line for every episode that begins


class Levers:
    """Implements `Environment`. A wrong lever ends the episode."""

    def __init__(self) -> None:
        self._goal: list[str] = []
        self._levers: list[str] = []
        self._instruction = ""
        self._pressed = 0
        self._open = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        await asyncio.sleep(0)
        draw = random.Random(task.id)
        self._levers = draw.sample(COLOURS, 3)
        self._pressed, self._open = 0, True
        match task.params["template"]:
            case "one":
                self._goal = [draw.choice(self._levers)]
                self._instruction = f'Press the "{self._goal[0]}" lever.'
            case "two":
                self._goal = draw.sample(self._levers, 2)
                self._instruction = 'Press the "{}" lever, then the "{}" lever.'.format(*self._goal)
            case _:  # the red one, which nobody says
                self._levers[draw.randrange(3)] = STOP
                self._levers = list(dict.fromkeys(self._levers))
                self._goal, self._instruction = [STOP], "Make it stop."
        if path := os.environ.get(LOG):
            _note(Path(path), task.id)
        return self._observe()

    async def step(self, action: Action) -> StepResult:
        await asyncio.sleep(0)
        if not self._open:
            raise EnvironmentFault("no episode is open")
        if action.text not in self._actions():
            return StepResult(observation=self._observe(), info={"note": f"there is no {action.text}"})
        right = action.text == f'press lever "{self._goal[self._pressed]}"'
        self._pressed += 1
        over = not right or self._pressed == len(self._goal)
        self._open = not over
        return StepResult(
            observation=self._observe(), reward=float(over and right), terminated=over, success=right if over else None
        )

    async def close(self) -> None:
        self._open = False

    def _actions(self) -> tuple[str, ...]:
        return tuple(f'press lever "{colour}"' for colour in self._levers)

    def _observe(self) -> Observation:
        text = "\n".join([*(f'lever "{colour}"' for colour in self._levers), f'text "pressed {self._pressed}"'])
        return Observation(instruction=self._instruction, text=text, actions=self._actions() if self._open else ())


def _note(path: Path, line: str) -> None:
    with path.open("a") as log:
        log.write(f"{line}\n")


class LeverSuite:
    """Implements `Suite`."""

    name = "levers"

    def __init__(self, templates: Sequence[str] = TEMPLATES, version: str = "1") -> None:
        self._templates, self._version = tuple(templates), version

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        first = RANGES[split] + offset
        return tuple(
            Task(
                id=f"levers/{template}/{seed}",
                suite=self.name,
                environment=self.name,
                template_id=f"levers/{template}",
                split=split,
                seed=seed,
                params={"template": template},
                version=self._version,
            )
            for seed in range(first, first + per_template)
            for template in self._templates
        )

    async def start(self) -> None: ...

    async def create(self) -> Levers:
        return Levers()

    async def stop(self) -> None: ...
