"""The suite `code-repair`: a small function has one wrong place; find it, mend it, submit."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from wisen.core.records import Action, Acts, Observation, Snapshot, Split, StepResult, SuiteCard, Task, ToolCall
from wisen.environments.code import problem as problems
from wisen.environments.code.levels import checked_level
from wisen.environments.code.moves import (
    TOOLS,
    Impossible,
    ReplaceLines,
    RunPython,
    edited,
    listed,
    replacement,
    understood,
)
from wisen.environments.code.mutate import DID_NOT_END
from wisen.environments.code.problem import Case, Problem, chosen_functions
from wisen.environments.code.sandbox import Sandbox
from wisen.environments.code.trial import run_code, try_source
from wisen.environments.snapshots import kept, opened
from wisen.environments.tasks import checked_task, refuse_closed, running, seeds

SUITE = "code-repair"


class CodeRepairSuite:
    """Options: `functions`, the names of those to set tasks from (all, if empty); `least`, the weakest sandbox level to
    accept (namespaces or landlock)."""

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Small functions with one wrong place; hidden tests decide.",
        licence="Apache-2.0, our own",
        templates=93,  # functions, by the kinds of their mutations; a test counts them
        acts=(Acts.CHOICE, Acts.TEXT, Acts.TOOLS),
        reward="0 or 1",
        success="all hidden tests pass",
        needs=("bubblewrap, or Linux 6.2 and root",),
        snapshots=True,
    )

    def __init__(self, functions: Sequence[str] = (), least: str = "landlock") -> None:
        self._functions = chosen_functions(SUITE, functions)
        self._sandbox = Sandbox(least=checked_level(least))

    def card(self) -> SuiteCard:
        whole = self._functions == problems.functions()
        return self.about if whole else self.about.model_copy(update={"templates": None})

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        """`per_template` tasks of each function. Their template is the function with the kind of mutation that the
        seed picks, so a function's tasks are spread over several templates."""
        return tuple(
            Task(
                id=f"{SUITE}/{name}/{seed}",
                suite=SUITE,
                environment=SUITE,
                template_id=f"{SUITE}/{name}/{problems.kind_of(name, seed)}",
                split=split,
                seed=seed,
                instruction=f"One line of the function {name} is wrong. Repair it, then submit.",
                params={"function": name},
                version=problems.version(),
            )
            for seed in seeds(SUITE, split, per_template, offset)
            for name in self._functions
        )

    async def start(self) -> None:
        """Raises `EnvironmentFault` where code cannot be run safely."""
        await asyncio.to_thread(self._sandbox.require)

    async def create(self) -> "CodeRepairEnvironment":
        await self.start()
        return CodeRepairEnvironment(self._sandbox)

    async def stop(self) -> None:
        """Nothing is shared: no process outlives its step."""

    def oracle(self) -> "CodeRepairOracle":
        return CodeRepairOracle()


@dataclass(frozen=True)
class Kept:
    """What an episode is beside its task."""

    lines: tuple[str, ...]
    note: str


@dataclass
class _Episode:
    task: Task
    problem: Problem
    lines: tuple[str, ...]
    note: str = ""  # what was said last

    @property
    def source(self) -> str:
        return "\n".join(self.lines) + "\n"


class CodeRepairEnvironment:
    """Actions: the texts that an observation lists (any text may follow `replace line N with:`), or tool calls."""

    finishing = frozenset({"submit"})

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._episode: _Episode | None = None
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Show the broken function. Raises `EnvironmentFault` for a task of another suite or version."""
        self._refuse(task)
        problem = _problem_of(task)
        self._episode = _Episode(task, problem, problem.broken)
        return _observe(self._episode)

    async def step(self, action: Action) -> StepResult:
        """Act. Raises `EnvironmentFault` when no episode is running, or the sandbox cannot be had."""
        episode = self._running()
        try:
            name, arguments = understood(action, episode.lines)
            if name == "submit":
                return await self._submit(episode)
            if isinstance(arguments, ReplaceLines):
                episode.lines = edited(episode.lines, arguments)
                episode.note = "The source is changed."
            elif isinstance(arguments, RunPython):
                episode.note = await run_code(self._sandbox, episode.source, arguments.code)
            elif name == "run_tests":
                episode.note = await self._test_report(episode)
            else:
                episode.lines = episode.problem.broken
                episode.note = "The source is as it was at the start."
        except Impossible as why:
            episode.note = f"That action cannot be done. {why}"
            return StepResult(observation=_observe(episode), info={"refused": str(why)})
        return StepResult(observation=_observe(episode))

    async def snapshot(self) -> Snapshot:
        episode = self._running()
        return kept(episode.task, Kept(episode.lines, episode.note))

    async def restore(self, snapshot: Snapshot) -> Observation:
        self._refuse(snapshot.task)
        was = opened(snapshot, Kept)
        self._episode = _Episode(snapshot.task, _problem_of(snapshot.task), was.lines, was.note)
        return _observe(self._episode)

    async def close(self) -> None:
        self._closed = True
        self._episode = None

    def _refuse(self, task: Task) -> None:
        refuse_closed(self._closed)
        checked_task(task, SUITE, problems.version())

    def _running(self) -> _Episode:
        return running(self._episode)

    async def _test_report(self, episode: _Episode) -> str:
        problem = episode.problem
        trial = await try_source(self._sandbox, episode.source, problem.name, problem.visible)
        if trial.problem:
            return f"The source cannot be run. {trial.problem}"
        pairs = list(zip(problem.visible, trial.replies, strict=True))
        wrong = [_verdict(problem, case, reply) for case, reply in pairs if reply != case.expected]
        return "\n".join([f"{len(pairs) - len(wrong)} of {len(pairs)} visible tests pass.", *wrong])

    async def _submit(self, episode: _Episode) -> StepResult:
        problem = episode.problem
        cases = (*problem.visible, *problem.hidden)
        trial = await try_source(self._sandbox, episode.source, problem.name, cases)
        success = trial.replies == tuple(case.expected for case in cases)
        self._episode = None
        episode.note = f"Submitted. The hidden tests {'pass' if success else 'fail'}."
        return StepResult(observation=_observe(episode), reward=float(success), terminated=True, success=success)


class CodeRepairOracle:
    """Knows the repair. For tests only."""

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        repair = _problem_of(task).repair
        return (
            Action(text=replacement(repair)),
            Action(tool_call=ToolCall(name="submit")),
        )

    def secrets(self, task: Task) -> tuple[str, ...]:
        """Texts that no observation may hold: the hidden tests, as calls and as data."""
        problem = _problem_of(task)
        return tuple(text for case in problem.hidden for text in (problem.call(case), case.arguments))


def _problem_of(task: Task) -> Problem:
    return problems.make_problem(str(task.params.get("function", "")), task.seed)


def _observe(episode: _Episode) -> Observation:
    problem = episode.problem
    description = "\n".join(f"  {line}" for line in problem.description.splitlines())
    source = "\n".join(f"{number:3} | {line}" for number, line in enumerate(episode.lines, start=1))
    text = (
        f"What {problem.name} should do:\n{description}\n\nThe source now:\n{source}\n\n"
        f"At the start this test failed:\n  {_verdict(problem, problem.visible[0], problem.symptom)}"
    )
    return Observation(
        instruction=episode.task.instruction,
        text=f"{text}\n\n{episode.note}" if episode.note else text,
        actions=listed(problem, episode.lines),
        tools=TOOLS,
    )


def _verdict(problem: Problem, case: Case, reply: str) -> str:
    """One failing test in words."""
    said = reply if reply == DID_NOT_END or reply.startswith("raised ") else f"returned {_python(reply)}"
    return f"{problem.call(case)} {said}, expected {_python(case.expected)}"


def _python(reply: str) -> str:
    """JSON as Python writes it; a hostile reply that is not JSON is shown cut short."""
    try:
        return repr(json.loads(reply))[:500]
    except (ValueError, RecursionError):
        return reply[:200]
