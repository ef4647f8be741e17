"""The agent as a step of another application: it plays one task and says what it did."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from wisen.agent.nodes import Node, Where, read
from wisen.core.errors import SettingsError
from wisen.core.records import JSON, MemoryMode, Phase, Release, Split, Task, Trajectory
from wisen.core.settings import load
from wisen.core.workspace import DEFAULT_ROOT, Workspace
from wisen.evolution.play import named_release
from wisen.evolution.settings import RunSettings
from wisen.evolution.workbench import Workbench


class Agent:
    """Plays tasks of a suite with a release of a workspace: its weights and its bank. Owns the workspace while it is
    open. Episodes may run many at a time, each in an environment of its own.

    root: the workspace. model: empty for the workspace's present release, or a release's name, or `uniform` (the random
    policy), or PROVIDER/NAME for a remote model over the present release's bank. suite: where to act. Further settings
    are those of `wisen run`, such as `memory=False`, `temperature=0.5` or `suite_options={...}`.

    What it plays is stored, and teaches nothing. Opening raises `StoreError` at once where another process owns the
    workspace, and `SettingsError` where there is no such release, model or suite.
    """

    def __init__(self, root: Path = DEFAULT_ROOT, *, model: str = "", suite: str = "miniwob", **settings: Any) -> None:
        self._settings = load(RunSettings, overrides={"model": model, "suite": suite, **settings})
        self._bench = Workbench("agent", self._settings, Workspace(root), lambda event: None)
        self._stack = AsyncExitStack()
        self._attempts: dict[str, int] = {}
        self._release: Release | None = None

    async def __aenter__(self) -> Self:
        bench = await self._stack.enter_async_context(self._bench)
        try:
            self._release = named_release(bench)
            await asyncio.to_thread(bench.model, self._release.model)  # weights take a while to load
            bench.store.start_run(bench.run_id, bench.identity, title=f"{self._release.name} in an application")
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release = None
        await self._stack.aclose()

    @property
    def release(self) -> Release:
        """What plays. Raises `SettingsError` where the agent is not open."""
        return self._open()

    def tasks(self, per_template: int = 1, *, split: Split = Split.REPORT, offset: int = 0) -> tuple[Task, ...]:
        """Tasks of the suite, `per_template` of each template."""
        self._open()
        return self._bench.suite.tasks(split, per_template, offset=offset)

    async def play(self, task: Task) -> Trajectory:
        """One attempt at the task, each call another. An environment or a remote model that breaks, and an attempt that
        takes too long, is a trajectory that ended as failed, with the error; a setting that cannot be honoured raises
        `SettingsError`."""
        release, bench = self.release, self._bench
        memory = self._settings.memory and release.bank_version > 0
        request = bench.request(
            task,
            release,
            Phase.REPORT,
            MemoryMode.FROZEN if memory else MemoryMode.OFF,
            arm=release.name,
            temperature=self._settings.temperature,
            screenshots=self._settings.screenshots,
        )
        attempt = self._attempt(task)
        request = request.model_copy(update={"attempt": attempt, "trajectory_id": f"{request.trajectory_id}-{attempt}"})
        await bench.play([request], phase="play", title=task.id)
        trajectory = bench.store.trajectory(request.trajectory_id)
        assert trajectory is not None
        return trajectory

    def node(self, task: Where = "task", *, trajectory: str = "trajectory") -> Node:
        """A node that plays. It reads the task (a `Task`, or its JSON) from the state, and writes the trajectory under
        that key as a dict, so that any checkpointer keeps it."""

        async def play_with_wisen(state: Any) -> JSON:
            played = await self.play(_task(read(state, task, "the task")))
            return {trajectory: played.model_dump(mode="json")}

        return play_with_wisen

    def _open(self) -> Release:
        if self._release is None:
            raise SettingsError("this agent is not open", "run the graph inside `async with Agent(…)`")
        return self._release

    def _attempt(self, task: Task) -> int:
        """Numbers from 0, and on from what the store holds of this agent."""
        if task.id not in self._attempts:
            self._attempts[task.id] = len(self._bench.store.trajectories(run_id=self._bench.run_id, task_id=task.id))
        number = self._attempts[task.id]
        self._attempts[task.id] += 1
        return number


def _task(value: Any) -> Task:
    if isinstance(value, Task):
        return value
    try:
        return Task.model_validate(value if isinstance(value, Mapping) else None)
    except ValidationError as error:
        raise SettingsError(
            f"the task in the state is no task but a {type(value).__name__}", "see Agent.tasks"
        ) from error
