"""The suite `code-repair`: a small function has one wrong place; find it, mend it, submit."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wisen.core.errors import EnvironmentFault
from wisen.core.records import Action, Observation, Split, StepResult, SuiteCard, Task, ToolCall
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
from wisen.environments.tasks import checked_task, seeds

SUITE = "code-repair"


class CodeRepairSuite:
    """Options: `functions`, the names of those to set tasks from (all, if empty); `least`, the weakest sandbox level to
    accept (namespaces or landlock)."""

    name = SUITE

    def __init__(self, functions: Sequence[str] = (), least: str = "landlock") -> None:
        self._functions = chosen_functions(SUITE, functions)
        self._sandbox = Sandbox(least=checked_level(least))

    def card(self) -> SuiteCard:
        return SuiteCard(
            summary="Small functions with one wrong place; hidden tests decide.",
            licence="Apache-2.0, our own",
            reward="1 if all hidden tests pass, else 0",
            needs=("bubblewrap, or Linux 6.2 and root",),
        )

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


@dataclass
class _Episode:
    task: Task
    problem: Problem
    lines: tuple[str, ...]

    @property
    def source(self) -> str:
        return "\n".join(self.lines) + "\n"


class CodeRepairEnvironment:
    """Actions: the texts that an observation lists (any text may follow `replace line N with:`), or tool calls."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._episode: _Episode | None = None
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Show the broken function. Raises `EnvironmentFault` for a task of another suite or version."""
        if self._closed:
            raise EnvironmentFault("the environment is closed", "make a new one with the suite's create()")
        checked_task(task, SUITE, problems.version())
        problem = _problem_of(task)
        self._episode = _Episode(task, problem, problem.broken)
        return _observe(self._episode, "")

    async def step(self, action: Action) -> StepResult:
        """Act. Raises `EnvironmentFault` when no episode is running, or the sandbox cannot be had."""
        episode = self._episode
        if episode is None:
            raise EnvironmentFault("no episode is running", "reset the environment with a task first")
        try:
            name, arguments = understood(action, episode.lines)
            if name == "submit":
                return await self._submit(episode)
            if isinstance(arguments, ReplaceLines):
                episode.lines = edited(episode.lines, arguments)
                note = "The source is changed."
            elif isinstance(arguments, RunPython):
                note = await run_code(self._sandbox, episode.source, arguments.code)
            elif name == "run_tests":
                note = await self._test_report(episode)
            else:
                episode.lines = episode.problem.broken
                note = "The source is as it was at the start."
        except Impossible as why:
            note = f"That action cannot be done. {why}"
            return StepResult(observation=_observe(episode, note), info={"refused": str(why)})
        return StepResult(observation=_observe(episode, note))

    async def close(self) -> None:
        self._closed = True
        self._episode = None

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
        observation = _observe(episode, f"Submitted. The hidden tests {'pass' if success else 'fail'}.")
        return StepResult(observation=observation, reward=float(success), terminated=True, success=success)


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


def _observe(episode: _Episode, note: str) -> Observation:
    problem = episode.problem
    description = "\n".join(f"  {line}" for line in problem.description.splitlines())
    source = "\n".join(f"{number:3} | {line}" for number, line in enumerate(episode.lines, start=1))
    text = (
        f"What {problem.name} should do:\n{description}\n\nThe source now:\n{source}\n\n"
        f"At the start this test failed:\n  {_verdict(problem, problem.visible[0], problem.symptom)}"
    )
    return Observation(
        instruction=episode.task.instruction,
        text=f"{text}\n\n{note}" if note else text,
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
