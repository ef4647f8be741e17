"""The suite `code-write`: write a function, in one file or two, from its description and examples. Files stay from one
action to the next; hidden tests decide."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from wisen.core.records import (
    Action,
    Acts,
    Observation,
    Snapshot,
    Split,
    StepResult,
    SuiteCard,
    Task,
    ToolCall,
    ToolSpec,
)
from wisen.environments.code import write_problem as problems
from wisen.environments.code.levels import checked_level
from wisen.environments.code.moves import Impossible
from wisen.environments.code.pack import packed, unpacked
from wisen.environments.code.problem import Case, chosen_functions, functions
from wisen.environments.code.sandbox import Box, Limits, Sandbox
from wisen.environments.code.trial import run_code, told, try_module
from wisen.environments.code.write_problem import WriteProblem
from wisen.environments.snapshots import kept, opened
from wisen.environments.tasks import checked_task, refuse_closed, running, seeds

SUITE = "code-write"
MOST_CHARACTERS = 20_000
_WRITE_LIMITS = Limits(wall_s=10.0, cpu_s=5, memory_mb=256, output_bytes=1_000)


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WriteFile(_Arguments):
    path: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,40}\.(py|txt|json)$", description="a name such as solution.py")
    text: str = Field(max_length=MOST_CHARACTERS)


class Run(_Arguments):
    code: str = Field(max_length=MOST_CHARACTERS)


class Nothing(_Arguments):
    pass


_TABLE: dict[str, tuple[type[_Arguments], str]] = {
    "write_file": (WriteFile, "Write a file, new or in place of the old one. It stays until the task ends."),
    "run": (Run, "Run Python beside your files (import solution) and show what is printed."),
    "run_examples": (Nothing, "Try the examples."),
    "submit": (Nothing, "Hand the files in. Hidden tests decide; this ends the task."),
}
TOOLS = tuple(
    ToolSpec(name=name, description=description, parameters=arguments.model_json_schema())
    for name, (arguments, description) in _TABLE.items()
)
_HOW = (
    "Use a tool; or a text: `write_file NAME` and the file on the lines below, `run` and code on the lines below, "
    "`run_examples`, or `submit`."
)
_TEXT = re.compile(r"write_file (\S{1,60})\n(.*)", re.DOTALL)


def understood(action: Action) -> tuple[str, _Arguments]:
    """The tool that is meant and its arguments. Raises `Impossible`."""
    if action.tool_call is not None:
        name, given = action.tool_call.name, dict(action.tool_call.arguments)
        if name not in _TABLE:
            raise Impossible(f"There is no tool {name[:100]!r}; there are {', '.join(_TABLE)}.")
    elif action.text.strip() in ("run_examples", "submit"):
        name, given = action.text.strip(), {}
    elif action.text.startswith("run\n"):
        name, given = "run", {"code": action.text.removeprefix("run\n")}
    elif found := _TEXT.fullmatch(action.text):
        name, given = "write_file", {"path": found[1], "text": found[2]}
    else:
        raise Impossible(_HOW)
    try:
        return name, _TABLE[name][0].model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise Impossible(f"{'.'.join(map(str, first['loc']))[:60] or name}: {first['msg']}."[:300]) from None


class CodeWriteSuite:
    """Options: `functions`, the names of those to build tasks on (all, if empty); `least`, the weakest sandbox level to
    accept (namespaces or landlock)."""

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Functions to write from a description and examples, in one file or two; hidden tests decide.",
        licence="Apache-2.0, our own",
        templates=len(functions()) * len(problems.FORMS),
        acts=(Acts.TOOLS, Acts.TEXT),
        reward="0 or 1",
        success="all hidden tests pass",
        max_steps=12,
        needs=("a model that writes", "bubblewrap, or Linux 6.2 and root"),
        snapshots=True,
    )

    def __init__(self, functions: Sequence[str] = (), least: str = "landlock") -> None:
        self._functions = chosen_functions(SUITE, functions)
        self._sandbox = Sandbox(least=checked_level(least))

    def card(self) -> SuiteCard:
        return self.about.model_copy(update={"templates": len(self._functions) * len(problems.FORMS)})

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        """`per_template` tasks on each function, in the form (`alone`, `given`, `two-files`) that the seed picks."""
        return tuple(
            Task(
                id=f"{SUITE}/{name}/{seed}",
                suite=SUITE,
                environment=SUITE,
                template_id=f"{SUITE}/{name}/{problems.form_of(name, seed)}",
                split=split,
                seed=seed,
                instruction="Write the function solve in solution.py, as described. Then submit.",
                params={"function": name},
                version=problems.version(),
            )
            for seed in seeds(SUITE, split, per_template, offset)
            for name in self._functions
        )

    async def start(self) -> None:
        """Raises `EnvironmentFault` where code cannot be run safely."""
        await asyncio.to_thread(self._sandbox.require)

    async def create(self) -> "CodeWriteEnvironment":
        await self.start()
        return CodeWriteEnvironment(self._sandbox)

    async def stop(self) -> None:
        """Nothing is shared: a box belongs to its episode."""

    def oracle(self) -> "CodeWriteOracle":
        return CodeWriteOracle()


@dataclass(frozen=True)
class Kept:
    """What an episode is beside its task."""

    files: Base64Bytes
    names: list[str]
    note: str


@dataclass
class _Episode:
    task: Task
    problem: WriteProblem
    box: Box
    names: list[str] = field(default_factory=list)
    note: str = ""  # what was said last


class CodeWriteEnvironment:
    """Actions: tool calls, or the same as texts. None is listed: what to write is the task."""

    finishing = frozenset({"submit"})

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._episode: _Episode | None = None
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Show what is asked for. Raises `EnvironmentFault` for a task of another suite or version."""
        self._refuse(task)
        problem = _problem_of(task)
        await self._end()
        self._episode = _Episode(task, problem, await asyncio.to_thread(Box))
        for name, text in problem.given.items():
            await self._write(self._episode, WriteFile(path=name, text=text))
        return _observe(self._episode)

    async def step(self, action: Action) -> StepResult:
        """Act. Raises `EnvironmentFault` when no episode is running, or the sandbox cannot be had."""
        episode = self._running()
        try:
            name, arguments = understood(action)
        except Impossible as why:
            episode.note = f"That action cannot be done. {why}"
            return StepResult(observation=_observe(episode), info={"refused": str(why)})
        if name == "submit":
            return await self._submit(episode)
        if isinstance(arguments, WriteFile):
            episode.note = await self._write(episode, arguments)
        elif isinstance(arguments, Run):
            episode.note = await run_code(self._sandbox, "", arguments.code, box=episode.box)
        else:
            episode.note = await self._examples(episode)
        return StepResult(observation=_observe(episode))

    async def snapshot(self) -> Snapshot:
        """With all files of the episode, 12 MB of them at most."""
        episode = self._running()
        files = await packed(self._sandbox, episode.box)
        return kept(episode.task, Kept(files, episode.names, episode.note))

    async def restore(self, snapshot: Snapshot) -> Observation:
        self._refuse(snapshot.task)
        was = opened(snapshot, Kept)
        box = await unpacked(self._sandbox, was.files)
        await self._end()
        self._episode = _Episode(snapshot.task, _problem_of(snapshot.task), box, was.names, was.note)
        return _observe(self._episode)

    async def close(self) -> None:
        self._closed = True
        await self._end()

    def _refuse(self, task: Task) -> None:
        refuse_closed(self._closed)
        checked_task(task, SUITE, problems.version())

    def _running(self) -> _Episode:
        return running(self._episode)

    async def _end(self) -> None:
        episode, self._episode = self._episode, None
        if episode is not None:
            await asyncio.to_thread(episode.box.remove)

    async def _write(self, episode: _Episode, file: WriteFile) -> str:
        """Written from inside: what is there by that name may be a link to anywhere."""
        text = file.text.encode(errors="replace").decode()
        program = f"open({file.path!r}, 'w', encoding='utf-8').write({text!r})"
        result = await self._sandbox.run(program, limits=_WRITE_LIMITS, box=episode.box)
        if result.exit_code:
            return f"{file.path} could not be written.\n{told(result)}"
        if file.path not in episode.names:
            episode.names.append(file.path)
        return f"{file.path} is written."

    async def _examples(self, episode: _Episode) -> str:
        cases = episode.problem.visible
        trial = await try_module(self._sandbox, episode.box, "solution", "solve", cases)
        if trial.problem:
            return f"solution.py cannot be run. {trial.problem}"
        wrong = [
            f"{_call(case)} gave {reply[:300]}, expected {case.expected}"
            for case, reply in zip(cases, trial.replies, strict=True)
            if reply != case.expected
        ]
        return "\n".join([f"{len(cases) - len(wrong)} of {len(cases)} examples are right (results as JSON).", *wrong])

    async def _submit(self, episode: _Episode) -> StepResult:
        problem = episode.problem
        asked = [
            ("solution", "solve", (*problem.visible, *problem.hidden)),
            (problem.base, problem.base, problem.base_hidden),
        ]
        success = True
        for module, name, cases in asked:
            if cases and success:
                trial = await try_module(self._sandbox, episode.box, module, name, cases)
                success = trial.replies == tuple(case.expected for case in cases)
        episode.note = f"Submitted. The hidden tests {'pass' if success else 'fail'}."
        await self._end()
        return StepResult(observation=_observe(episode), reward=float(success), terminated=True, success=success)


class CodeWriteOracle:
    """Knows a solution. For tests only."""

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        files = _problem_of(task).files
        writes = [ToolCall(name="write_file", arguments={"path": name, "text": text}) for name, text in files.items()]
        return tuple(Action(tool_call=call) for call in (*writes, ToolCall(name="submit")))

    def secrets(self, task: Task) -> tuple[str, ...]:
        """Texts that no observation may hold: the hidden tests, as calls and as data, and the solution."""
        problem = _problem_of(task)
        data = [case.arguments for case in problem.hidden if len(case.arguments) > 8]
        return (*map(_call, problem.hidden), *data, problem.files["solution.py"])


def _problem_of(task: Task) -> WriteProblem:
    return problems.make_problem(str(task.params.get("function", "")), task.seed)


def _call(case: Case) -> str:
    return f"solve({case.arguments[1:-1]})"


def _observe(episode: _Episode) -> Observation:
    problem = episode.problem
    examples = "\n".join(f"  {_call(case)} gives {case.expected}" for case in problem.visible)
    given = "".join(f"\n\n{name}:\n{text}" for name, text in problem.given.items())
    text = (
        f"{problem.description}\n\nExamples (arguments and results as JSON):\n{examples}{given}\n\n"
        f"Files written: {', '.join(episode.names) or 'none'}.\n{_HOW}"
    )
    note = f"\n\n{episode.note}" if episode.note else ""
    return Observation(instruction=episode.task.instruction, text=f"{text}{note}", tools=TOOLS)
