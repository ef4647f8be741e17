"""The suite `harbor`: task folders in Harbor's format, a shell to work in, the folder's own tests to decide."""

import asyncio
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Acts, Observation, Split, StepResult, SuiteCard, Task, ToolCall, ToolSpec
from wisen.environments.code.harbor.folder import HarborTask, find_tasks, read_task
from wisen.environments.code.harbor.rooms import ENGINES, BubblewrapRoom, ContainerRoom, Room
from wisen.environments.code.sandbox import Sandbox
from wisen.environments.code.trial import told
from wisen.environments.plugs.listed import chosen, deal, sizes
from wisen.environments.tasks import refuse_closed

SUITE = "harbor"
EXAMPLES = Path(__file__).parent / "examples"
MOST_CHARACTERS = 20_000
_HOW = "Use a tool; or a text: `run` and a command on the lines below, or `submit`."
TOOLS = (
    ToolSpec(
        name="run",
        description="Run a command in bash. Files in the work folder stay; variables and processes do not.",
        parameters={
            "type": "object",
            "properties": {"command": {"type": "string", "maxLength": MOST_CHARACTERS}},
            "required": ["command"],
            "additionalProperties": False,
        },
    ),
    ToolSpec(
        name="submit",
        description="Say that the work is done. Tests decide; this ends the task.",
        parameters={"type": "object", "properties": {}, "additionalProperties": False},
    ),
)


class HarborSuite:
    """Options: `folder`, a task or a folder of tasks (three small examples, if empty); `engine`, bubblewrap, docker or
    podman; `split`, a panel that gets all tasks (dealt by a hash of their names, if empty); `command_s`, the longest
    that one command may take."""

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Task folders in Harbor's format: a shell to work in, tests that decide.",
        licence="the folder's; the examples are our own (Apache-2.0)",
        acts=(Acts.TOOLS, Acts.TEXT),
        reward="-1 to 1, as the tests write",
        success="a reward of 1",
        needs=("a model that writes", "bubblewrap, Docker or Podman"),
    )

    def __init__(self, folder: str = "", engine: str = "bubblewrap", split: str = "", command_s: float = 60.0) -> None:
        if engine not in ENGINES:
            raise SettingsError(f"{SUITE}: unknown engine {engine!r}", f"one of {', '.join(ENGINES)}")
        if split and split not in Split.__members__.values():
            raise SettingsError(f"{SUITE}: unknown split {split!r}", "learn, gate or report")
        self._found = {task.name: task for task in find_tasks(Path(folder) if folder else EXAMPLES)}
        panels = dict.fromkeys(self._found, Split(split)) if split else deal(dict.fromkeys(self._found, ""))
        self._engine, self._command_s, self._sandbox = engine, command_s, Sandbox(least="namespaces")
        self._tasks = tuple(
            Task(
                id=f"{SUITE}/{task.name}",
                suite=SUITE,
                environment=SUITE,
                template_id=f"{SUITE}/{task.name}",
                split=panels[task.name],
                seed=0,
                instruction=task.instruction,
                params={"name": task.name},
                version=task.digest,
            )
            for task in self._found.values()
        )

    def card(self) -> SuiteCard:
        return self.about.model_copy(
            update={
                "templates": len(self._tasks),
                "sizes": sizes(self._tasks),
                "needs": ("a model that writes", self._engine),
            }
        )

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        """Each folder is a template with one task."""
        return chosen(self._tasks, split, per_template, offset)

    async def start(self) -> None:
        """Raises `EnvironmentFault` where bubblewrap is asked for and cannot be had."""
        if self._engine == "bubblewrap":
            await asyncio.to_thread(self._sandbox.require)

    async def create(self) -> "HarborEnvironment":
        await self.start()
        return HarborEnvironment(self)

    async def stop(self) -> None:
        """Nothing is shared: a room belongs to its episode."""

    def oracle(self) -> "HarborOracle":
        return HarborOracle(self)

    def folder_of(self, task: Task) -> HarborTask:
        """Raises `EnvironmentFault` for a task of another suite, or whose folder has changed."""
        kept = self._found.get(str(task.params.get("name", ""))) if task.suite == SUITE else None
        if kept is None:
            raise EnvironmentFault(
                f"{task.id} is not among the tasks of {SUITE}", f"there are {', '.join(self._found)}"
            )
        found = read_task(Path(kept.folder))
        if found.digest != task.version:
            raise EnvironmentFault(f"the folder of {task.id} is not what it was", "make the panel anew")
        return found

    def room(self, task: HarborTask) -> Room:
        if self._engine == "bubblewrap":
            return BubblewrapRoom(task, self._sandbox)
        return ContainerRoom(task, self._engine)

    @property
    def command_s(self) -> float:
        return self._command_s


class HarborEnvironment:
    """Actions: tool calls, or the same as texts. None is listed."""

    finishing = frozenset({"submit"})

    def __init__(self, suite: HarborSuite) -> None:
        self._suite = suite
        self._task: HarborTask | None = None
        self._room: Room | None = None
        self._ends = 0.0
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Make the room. Raises `EnvironmentFault`, also for a task that needs a container where there is none."""
        refuse_closed(self._closed)
        await self._leave()
        found = self._suite.folder_of(task)
        room = self._suite.room(found)
        try:
            await room.open()
        except BaseException:
            await room.close()
            raise
        self._task, self._room, self._ends = found, room, time.monotonic() + found.agent_s
        return _observe(found, "")

    async def step(self, action: Action) -> StepResult:
        """Act. Raises `EnvironmentFault` when no episode is running. When the task's time is up the tests decide, as
        after submit, and the step is truncated."""
        if self._room is None or self._task is None:
            raise EnvironmentFault("no episode is running", "reset the environment with a task first")
        left = self._ends - time.monotonic()
        if left <= 0:
            return await self._decide(self._task, self._room, truncated=True)
        command = _understood(action)
        if command is None:
            note = f"That action cannot be done. {_HOW} A command has 1 to {MOST_CHARACTERS} characters."
            return StepResult(observation=_observe(self._task, note), info={"refused": note})
        if command == "":
            return await self._decide(self._task, self._room, truncated=False)
        result = await self._room.run(command, min(self._suite.command_s, left))
        return StepResult(observation=_observe(self._task, told(result)), info={"exit_code": result.exit_code})

    async def close(self) -> None:
        self._closed = True
        await self._leave()

    async def _decide(self, task: HarborTask, room: Room, *, truncated: bool) -> StepResult:
        text, tests = await room.verify()
        rewards = read_rewards(text)
        reward = rewards.get("reward", sum(rewards.values()) / len(rewards)) if rewards else 0.0
        await self._leave()
        why = "The time is up." if truncated else "Submitted."
        seen = _observe(task, f"{why} The tests give {reward:g}.")
        return StepResult(
            observation=seen,
            reward=max(-1.0, min(1.0, reward)),
            terminated=not truncated,
            truncated=truncated,
            success=bool(rewards) and reward >= 1.0,
            info={
                "rewards": rewards,
                "exit_code": tests.exit_code,
                **({} if rewards else {"problem": "no reward file"}),
            },
        )

    async def _leave(self) -> None:
        room, self._room, self._task = self._room, None, None
        if room is not None:
            await room.close()


class HarborOracle:
    """Runs the folder's own solution, one script. For tests only."""

    def __init__(self, suite: HarborSuite) -> None:
        self._suite = suite

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        """Raises `EnvironmentFault` for a folder without solution/solve.sh."""
        path = self._suite.folder_of(task).path("solution", "solve.sh")
        if not path.is_file():
            raise EnvironmentFault(f"{task.id} has no solution/solve.sh")
        return (
            Action(tool_call=ToolCall(name="run", arguments={"command": path.read_text()})),
            Action(tool_call=ToolCall(name="submit")),
        )

    def secrets(self, task: Task) -> tuple[str, ...]:
        folder = self._suite.folder_of(task)
        paths = [folder.path("tests", "test.sh"), folder.path("solution", "solve.sh")]
        lines = [line.strip() for path in paths if path.is_file() for line in path.read_text().splitlines()]
        return tuple(line for line in lines if len(line) > 20)


def read_rewards(text: str) -> dict[str, float]:
    """Rewards by name: of reward.json's object, or the one number of reward.txt as `reward`. Empty where there is
    nothing to be read: no number, not finite."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    named = found if isinstance(found, dict) else {"reward": found}
    numbers = {
        str(name)[:60]: float(value)
        for name, value in list(named.items())[:50]
        if isinstance(value, int | float) and abs(value) < 1e9 and math.isfinite(value)
    }
    return numbers if len(numbers) == len(named) else {}


def _understood(action: Action) -> str | None:
    """The command; "" to submit; None for what is neither."""
    if (call := action.tool_call) is not None:
        if call.name == "submit" and not call.arguments:
            return ""
        command = call.arguments.get("command")
        good = call.name == "run" and set(call.arguments) == {"command"} and isinstance(command, str)
        return _command(str(command)) if good else None
    if action.text.strip() == "submit":
        return ""
    return _command(action.text.removeprefix("run\n")) if action.text.startswith("run\n") else None


def _command(text: str) -> str | None:
    return text if text.strip() and len(text) <= MOST_CHARACTERS else None


def _observe(task: HarborTask, note: str) -> Observation:
    text = f"You are in {task.dockerfile.workdir}.\n{_HOW}"
    return Observation(instruction=task.instruction, text=f"{text}\n\n{note}" if note else text, tools=TOOLS)
