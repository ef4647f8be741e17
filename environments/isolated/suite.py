"""Any suite with each of its environments in a process of its own."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.protocols import Described, Suite
from wisen.core.records import Action, Observation, Snapshot, Split, StepResult, SuiteCard, Task
from wisen.environments.isolated.child import Child, Line, setup_of
from wisen.environments.isolated.wire import Call, Request, Setup


class ProcessEnvironment:
    """Implements `Environment` by one in another process. When that process dies or hangs, the episode ends with an
    `EnvironmentFault`; the next `reset` starts another process."""

    def __init__(
        self, setup: Setup, child: Child | None = None, *, python: str, start_seconds: float, step_seconds: float
    ) -> None:
        self._setup, self._python = setup, python
        self._start_seconds, self._step_seconds = start_seconds, step_seconds
        self._child = child
        self.closed = False

    @property
    def pid(self) -> int | None:
        """Of its process; None while it has none."""
        return self._child.pid if self._child is not None and not self._child.broken else None

    async def start(self) -> None:
        """Start its process, if it has none. Raises what the suite there raises, or `EnvironmentFault`."""
        if self.closed:
            raise EnvironmentFault("the environment is closed", "make a new one with the suite's create()")
        if self.pid is None:
            self._child = await Child.start(self._setup, self._python, self._start_seconds)

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        return await self._begin(Request(call=Call.RESET, task=task, screenshots=screenshots))

    async def step(self, action: Action) -> StepResult:
        if self._child is None or self.closed:
            raise EnvironmentFault("no episode is running", "reset the environment with a task first")
        reply = await self._child.ask(Request(call=Call.STEP, action=action), self._step_seconds)
        if reply.result is None:
            raise EnvironmentFault("the environment's process answered a step with no result")
        return reply.result

    async def close(self) -> None:
        self.closed = True
        if self._child is not None:
            await self._child.close()

    async def _begin(self, request: Request) -> Observation:
        await self.start()
        assert self._child is not None
        reply = await self._child.ask(request, self._start_seconds)
        if reply.observation is None:
            raise EnvironmentFault(f"the environment's process answered a {request.call} with no observation")
        return reply.observation


class KeepingEnvironment(ProcessEnvironment):
    """One whose environment keeps and restores episodes; also in a process that was started since."""

    async def snapshot(self) -> Snapshot:
        if self._child is None or self.closed:
            raise EnvironmentFault("no episode is running", "reset the environment with a task first")
        reply = await self._child.ask(Request(call=Call.SNAPSHOT), self._start_seconds)
        if reply.snapshot is None:
            raise EnvironmentFault("the environment's process answered with no snapshot")
        return reply.snapshot

    async def restore(self, snapshot: Snapshot) -> Observation:
        return await self._begin(Request(call=Call.RESTORE, snapshot=snapshot))


class IsolatedSuite:
    """Implements `Suite` by another. `inner` is that suite, here, and is asked for tasks alone; `target`
    (`module:attribute`) and `options` make it in each process. `python` may be the interpreter of another virtual
    environment that has wisen too. `start_seconds` bounds the start of a process, and a reset; `step_seconds` a step.
    """

    def __init__(
        self,
        inner: Suite,
        target: str,
        options: Mapping[str, Any] | None = None,
        *,
        python: str = sys.executable,
        start_seconds: float = 120.0,
        step_seconds: float = 60.0,
    ) -> None:
        try:
            plain = json.loads(json.dumps(dict(options or {})))
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{inner.name}: an option cannot be told to another process: {error}") from error
        self._inner, self._python = inner, python
        self._setup = setup_of(target, plain, python)
        self._start_seconds, self._step_seconds = start_seconds, step_seconds
        self._environments: list[ProcessEnvironment] = []
        self._asked: ProcessOracle | None = None

    @property
    def name(self) -> str:
        return self._inner.name

    def __getattr__(self, name: str) -> Any:
        # Only a suite with an oracle has one, for those who ask with hasattr.
        if name == "oracle" and hasattr(self._inner, "oracle"):
            return self._oracle
        raise AttributeError(f"{type(self).__name__} has no {name}")

    def card(self) -> SuiteCard:
        if isinstance(self._inner, Described):
            return self._inner.card()
        return SuiteCard(summary=f"The suite {self.name}, each environment in a process of its own.")

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return self._inner.tasks(split, per_template, offset=offset)

    async def start(self) -> None:
        """Nothing is shared."""

    async def create(self) -> ProcessEnvironment:
        """Raises what the suite raises where it starts."""
        child = await Child.start(self._setup, self._python, self._start_seconds)
        kind = KeepingEnvironment if child.snapshots else ProcessEnvironment
        environment = kind(
            self._setup,
            child,
            python=self._python,
            start_seconds=self._start_seconds,
            step_seconds=self._step_seconds,
        )
        self._environments = [one for one in self._environments if not one.closed]
        self._environments.append(environment)
        return environment

    async def stop(self) -> None:
        environments, self._environments = self._environments, []
        await asyncio.gather(*(environment.close() for environment in environments))
        asked, self._asked = self._asked, None
        if asked is not None:
            await asyncio.to_thread(asked.close)

    def _oracle(self) -> "ProcessOracle":
        if self._asked is None:
            kind = KeepingOracle if hasattr(self._inner.oracle(), "secrets") else ProcessOracle  # type: ignore[attr-defined]
            self._asked = kind(self._setup.model_copy(update={"oracle": True}), self._python, self._start_seconds)
        return self._asked


class ProcessOracle:
    """The oracle of a suite, in a process of its own until the suite stops. For tests only."""

    def __init__(self, setup: Setup, python: str, seconds: float) -> None:
        self._line = Line(setup, python, seconds)

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        return list(self._line.ask(Request(call=Call.SOLUTION, task=task, observation=observation)).actions)

    def close(self) -> None:
        self._line.close()


class KeepingOracle(ProcessOracle):
    """One that can say what no observation may hold."""

    def secrets(self, task: Task) -> tuple[str, ...]:
        return self._line.ask(Request(call=Call.SECRETS, task=task)).texts
