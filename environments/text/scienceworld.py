"""The suite `scienceworld`: thirty experiments in a simulated laboratory, with sub-goal rewards. Needs Java."""

import logging
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import JSON, Action, Acts, Observation, Split, StepResult, SuiteCard, Task, ToolSpec
from wisen.environments.tasks import checked_task, refuse_closed
from wisen.environments.text.common import LONGEST_ACTION, chosen, command_of, extra_version, refusal
from wisen.environments.text.experiments import EXPERIMENTS
from wisen.environments.text.laboratory import Laboratory

SUITE = "scienceworld"
CODE = "1"  # of the tasks as made here
SHOWN = 40  # valid actions that one question is answered with
VERBS = (
    "look around, look at OBJ, look in OBJ, open OBJ, close OBJ, go OBJ, teleport OBJ, pick up OBJ, put down OBJ, "
    "move OBJ to OBJ, pour OBJ in OBJ, dunk OBJ in OBJ, mix OBJ, use OBJ on OBJ, activate OBJ, deactivate OBJ, "
    "connect OBJ to OBJ, disconnect OBJ, read OBJ, eat OBJ, flush OBJ, focus on OBJ, inventory, task, wait, wait1"
)
HELP = (
    f"Actions: {VERBS}. `actions WORD` lists valid actions that contain the word, without time passing. "
    "`focus on` the wrong thing ends the experiment."
)
TOOLS = (
    ToolSpec(
        name="act",
        description=f"Do something in the laboratory. One of: {VERBS}.",
        parameters={"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    ),
    ToolSpec(
        name="actions",
        description="List valid actions that contain a word, such as an object's name. No time passes.",
        parameters={"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
    ),
)
ARGUMENTS = {"act": "command", "actions": "word"}
log = logging.getLogger(__name__)


def _sizes(names: Iterable[str]) -> dict[Split, int]:
    return {split: sum(len(EXPERIMENTS[name].variations(split)) for name in names) for split in Split}


class ScienceWorldSuite:
    """Options: `experiments`, names of `EXPERIMENTS` (all, if empty). `offered`: how many valid actions an observation
    lists, for models that choose; 0 lists none, which is ten times as fast, and models that write ask for them by word.
    `simplifications` of the simulator ("easy" is all of them). `max_steps`: 0 gives each experiment its own limit.
    """

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Thirty experiments in a simulated laboratory, with the official splits.",
        licence="Apache-2.0 (ScienceWorld)",
        templates=len(EXPERIMENTS),
        sizes=_sizes(EXPERIMENTS),
        acts=(Acts.TEXT, Acts.TOOLS, Acts.CHOICE),
        reward="-100 to 100",
        success="a score of 100",
        max_steps=max(one.steps for one in EXPERIMENTS.values()),
        extra="science",
        needs=("Java",),
    )

    def __init__(
        self, experiments: Sequence[str] = (), offered: int = 0, simplifications: str = "easy", max_steps: int = 0
    ) -> None:
        self._names = chosen(SUITE, "experiments", experiments, tuple(EXPERIMENTS))
        if offered < 0 or max_steps < 0:
            raise SettingsError(f"{SUITE}: offered = {offered} and max_steps = {max_steps} cannot be negative")
        self._offered, self._simplifications, self._max_steps = offered, simplifications, max_steps
        self.version = f"{extra_version('scienceworld', 'scienceworld', 'science')}/{CODE}"

    def card(self) -> SuiteCard:
        longest = self._max_steps or max(EXPERIMENTS[name].steps for name in self._names)
        changed = {"templates": len(self._names), "sizes": _sizes(self._names), "max_steps": longest}
        return self.about.model_copy(update=changed)

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        """Variations of each experiment; its set may have fewer than asked for."""
        if per_template < 0 or offset < 0:
            raise SettingsError(f"{SUITE}: there are no tasks {offset} to {offset + per_template}")
        return tuple(
            self._task(name, EXPERIMENTS[name].variations(split)[number], split)
            for number in range(offset, offset + per_template)
            for name in self._names
            if number < len(EXPERIMENTS[name].variations(split))
        )

    async def start(self) -> None:
        """Raises `SettingsError` where there is no Java."""
        if shutil.which("java") is None:
            raise SettingsError("ScienceWorld needs Java, and there is none", "apt-get install default-jre-headless")

    async def create(self) -> "ScienceWorldEnvironment":
        await self.start()
        return ScienceWorldEnvironment(self.version)

    async def stop(self) -> None:
        """Nothing is shared: each environment has a Java machine of its own."""

    def oracle(self) -> "ScienceWorldOracle":
        return ScienceWorldOracle()

    def _task(self, name: str, variation: int, split: Split) -> Task:
        return Task(
            id=f"{SUITE}/{name}/{variation}",
            suite=SUITE,
            environment=SUITE,
            template_id=f"{SUITE}/{name}",
            split=split,
            seed=variation,
            params={
                "experiment": name,
                "variation": variation,
                "simplifications": self._simplifications,
                "offered": self._offered,
                "max_steps": self._max_steps or EXPERIMENTS[name].steps,
            },
            version=self.version,
        )


class ScienceWorldEnvironment:
    """Actions are texts, or calls of the tools `act` and `actions`. Each step's reward is what it added to the score,
    divided by 100; `info` has the score as it is. Success is a score of 100. Blocks while the simulator works."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._laboratory: Laboratory | None = Laboratory()
        self._task: Task | None = None  # of the running episode
        self._instruction = ""
        self._steps = self._score = 0
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        refuse_closed(self._closed)
        checked_task(task, SUITE, self._version)
        self._task = None
        try:
            laboratory = self._laboratory = self._laboratory or Laboratory()
            self._instruction = laboratory.load(task)
            self._task, self._steps, self._score = task, 0, 0
            return self._observed(laboratory, "")
        except EnvironmentFault:
            raise
        except Exception as error:
            raise self._broken(error) from error

    async def step(self, action: Action) -> StepResult:
        task, laboratory = self._task, self._laboratory
        if task is None or laboratory is None:
            raise EnvironmentFault("no episode is running", "reset the environment with a task first")
        try:
            return self._stepped(task, laboratory, action)
        except Exception as error:
            raise self._broken(error) from error

    async def close(self) -> None:
        self._closed = True
        self._put_away()

    def _stepped(self, task: Task, laboratory: Laboratory, action: Action) -> StepResult:
        self._steps += 1
        command = _command(action)
        if not command or len(command) > LONGEST_ACTION or not (command.isascii() and command.isprintable()):
            said = _told(action)
        elif asked := re.fullmatch(r"actions?(?: (.*))?", command, re.IGNORECASE):
            said = _listed(laboratory.valid(), asked[1] or "")
        else:
            said = laboratory.act(command)
        before, self._score = self._score, laboratory.score
        over = laboratory.completed or self._score < 0
        truncated = not over and self._steps >= task.params["max_steps"]
        observation = self._observed(laboratory, said, over=over or truncated)
        info: JSON = {"note": " ".join(said.split())[:600], "score": self._score, "max_score": 100}
        if over or truncated:
            self._task = None
        return StepResult(
            observation=observation,
            reward=(self._score - before) / 100,
            terminated=over,
            truncated=truncated,
            info=info,
            success=self._score >= 100 if over else False if truncated else None,
        )

    def _observed(self, laboratory: Laboratory, said: str, *, over: bool = False) -> Observation:
        offered = self._task.params["offered"] if self._task and not over else 0
        parts = [said, laboratory.around(), "" if offered else HELP]
        return Observation(
            instruction=self._instruction,
            text="\n\n".join(part for part in parts if part),
            actions=bounded(laboratory.valid(), self._instruction, offered) if offered else (),
            tools=TOOLS,
        )

    def _broken(self, error: Exception) -> EnvironmentFault:
        """The simulator's machine may be gone: the next reset starts another."""
        log.exception("ScienceWorld broke")
        self._put_away()
        return EnvironmentFault(f"ScienceWorld broke: {type(error).__name__}: {str(error)[:300]}")

    def _put_away(self) -> None:
        self._task = None
        laboratory, self._laboratory = self._laboratory, None
        if laboratory is not None:
            laboratory.close()


def bounded(valid: Sequence[str], goal: str, count: int) -> tuple[str, ...]:
    """`count` of the valid actions: those that share most words with the goal, short ones first; sorted. It says
    nothing of which are right, and with a small count the right one may be missing."""
    words = set(re.findall(r"[a-z]{3,}", goal.lower()))

    def rank(action: str) -> tuple[int, int, str]:
        said = action.split()
        return -len(words & set(said)), len(said), action

    return tuple(sorted(sorted(valid, key=rank)[:count]))


def _listed(valid: Sequence[str], word: str) -> str:
    found = [action for action in valid if word.lower() in action.lower()]
    shown = "\n".join(found[:SHOWN])
    more = f"\n... and {len(found) - SHOWN} more: ask by another word" if len(found) > SHOWN else ""
    about = f" with {word!r}" if word else ""
    return f"Valid actions{about}:\n{shown}{more}" if found else f"There is no valid action{about} now."


def _command(action: Action) -> str:
    call = action.tool_call
    if call is None:
        return command_of(action)
    value = call.arguments.get(ARGUMENTS.get(call.name, ""))
    if not isinstance(value, str):
        return ""
    spoken = command_of(Action(text=value))
    return f"actions {spoken}".strip() if call.name == "actions" else spoken


def _told(action: Action) -> str:
    """Why an action cannot even be tried."""
    call = action.tool_call
    if call is None:
        return refusal(action, ())
    if call.name not in ARGUMENTS:
        return f"There is no tool {call.name[:80]!r} here: use {' or '.join(ARGUMENTS)}, or answer with a text."
    return f"The tool {call.name} wants {ARGUMENTS[call.name]}: a text of 1 to {LONGEST_ACTION} plain characters."


class ScienceWorldOracle:
    """The simulator's own solution, up to where it says that the experiment is done. For tests only."""

    def __init__(self) -> None:
        self._laboratory: Laboratory | None = None

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        return [Action(text=command) for command in self._walk(task)]

    def secrets(self, task: Task) -> tuple[str, ...]:
        commands = self._walk(task)
        return ", ".join(commands), str(commands)

    def _walk(self, task: Task) -> list[str]:
        laboratory = self._laboratory = self._laboratory or Laboratory()
        laboratory.load(task, solve=True)
        commands = []
        for command in laboratory.solution():
            commands.append(command)
            laboratory.act(command)
            if laboratory.completed:
                break
        return commands
