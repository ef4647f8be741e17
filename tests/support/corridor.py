"""A small text environment with a life of its own: walk a corridor to the door that the task names."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from wisen.core.errors import EnvironmentFault
from wisen.core.records import (
    Action,
    EpisodeRequest,
    MemoryMode,
    Observation,
    Phase,
    Release,
    Split,
    StepResult,
    Task,
    ToolCall,
    ToolSpec,
)

LENGTH = 4
MOVES = ("left", "right", "open", "knock")
TOOL = ToolSpec(name="move", description="Move or open the door here.", parameters={"type": "object"})
RELEASE = Release(id="rel-1", name="r1", model="any", bank_version=0, harness="harness-1")

Trouble = Callable[[Task, int], None]  # raises, by task and step (-1: at reset)


class Corridor:
    """Doors 0 to `LENGTH`, beginning at 0; "open" ends it, "left" at 0 and "knock" change nothing. A task of the
    environment "slow" sleeps at each step."""

    def __init__(self, trouble: Trouble | None = None, *, tools: bool = True) -> None:
        self._trouble = trouble or (lambda task, step: None)
        self._tools = tools
        self.played: list[str] = []
        self.screenshots: list[Path | None] = []
        self.closed = 0
        self._task: Task | None = None
        self._door = self._steps = 0

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        self._task, self._door, self._steps = task, 0, 0
        self.played.append(task.id)
        self.screenshots.append(screenshots)
        await asyncio.sleep(0)
        self._trouble(task, -1)
        return self._seen()

    async def step(self, action: Action) -> StepResult:
        assert self._task is not None
        assert not self.closed
        await asyncio.sleep(30.0 if self._task.environment == "slow" else 0)
        self._trouble(self._task, self._steps)
        self._steps += 1
        if wrong := _wrong(action):
            return StepResult(observation=self._seen(), reward=-0.125, info={"note": wrong})
        move = str(action.tool_call.arguments["to"]) if action.tool_call else action.text
        if move == "open":
            right = self._door == self._task.params["door"]
            return StepResult(observation=self._seen(), reward=float(right), terminated=True, success=right)
        if move == "right":
            self._door = min(LENGTH, self._door + 1)
        elif move == "left":
            self._door = max(0, self._door - 1)
        note = {} if move in MOVES else {"note": f"there is no {move}"}
        return StepResult(observation=self._seen(), reward=-0.125, info=note)

    async def close(self) -> None:
        self.closed += 1

    def _seen(self) -> Observation:
        assert self._task is not None
        return Observation(
            instruction=f"Open door {self._task.params['door']}.",
            text=f"You are at door {self._door}.",
            actions=MOVES,
            tools=(TOOL,) if self._tools else (),
        )


def _wrong(action: Action) -> str:
    """What is wrong with a tool call."""
    call = action.tool_call
    if call is None:
        return ""
    if call.name != TOOL.name:
        return f"there is no tool {call.name}"
    return "" if isinstance(call.arguments.get("to"), str) else f"{call.name} needs a text: to"


class Corridors:
    """The suite of it; `made` holds every environment."""

    name = "corridor"

    def __init__(self, trouble: Trouble | None = None) -> None:
        self._trouble = trouble
        self.made: list[Corridor] = []

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return tuple(corridor_task(number, split=split) for number in range(offset, offset + per_template))

    async def start(self) -> None:
        return None

    async def create(self) -> Corridor:
        self.made.append(Corridor(self._trouble))
        return self.made[-1]

    async def stop(self) -> None:
        return None


def corridor_task(number: int, *, split: Split = Split.LEARN, environment: str = "corridor") -> Task:
    return Task(
        id=f"corridor-{split}-{number}",
        suite="corridor",
        environment=environment,
        template_id="open-door",
        split=split,
        seed=number,
        params={"door": number % (LENGTH + 1)},
    )


def walk(number: int = 0, *, environment: str = "corridor", **fields: object) -> EpisodeRequest:
    """A request for one episode of the task of that number."""
    task = corridor_task(number, environment=environment)
    given = {"memory": MemoryMode.OFF, "seed": 7, "max_steps": 8, **fields}
    return EpisodeRequest.model_validate(
        {
            "trajectory_id": f"traj-{number}",
            "run_id": "run-1",
            "task": task,
            "phase": Phase.COLLECT,
            "release": RELEASE,
            **given,
        }
    )


def moving(*moves: str) -> list[ToolCall]:
    return [ToolCall(name="move", arguments={"to": move}, id=f"call-{index}") for index, move in enumerate(moves)]


def breaks(*numbers: int, at: int = 0, error: type[Exception] = EnvironmentFault) -> Trouble:
    """Trouble for tasks of those numbers at a step."""

    def trouble(task: Task, step: int) -> None:
        if task.seed in numbers and step == at:
            raise error(f"the floor gave way in {task.id}")

    return trouble
