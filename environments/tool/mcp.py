"""Acting through MCP servers: each episode has a folder and sessions of its own, and is judged by its folder."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Base64Bytes

from wisen.core.errors import EnvironmentFault
from wisen.core.records import Action, Observation, Snapshot, StepResult, Task, ToolSpec
from wisen.environments.snapshots import kept, opened
from wisen.environments.tasks import refuse_closed, running
from wisen.environments.tool.calls import BadCall, Toolbox, shortened
from wisen.environments.tool.folders import EpisodeFolders, packed, unpack
from wisen.environments.tool.mcp_scenario import Prepared, Scenario, scratch_prepared
from wisen.environments.tool.mcp_session import Session

FINISH = ToolSpec(
    name="finish",
    description="Say that the task is done. This ends it.",
    parameters={"type": "object", "properties": {}, "additionalProperties": False},
)


@dataclass(frozen=True)
class Kept:
    """What an episode is beside its task. answers: newest first."""

    folder: Base64Bytes
    answers: tuple[str, ...]
    steps: int


@dataclass
class _Episode:
    task: Task
    scenario: Scenario
    room: Path  # the folder that the tools work on, and the servers' log beside it
    session: Session
    prepared: Prepared
    toolbox: Toolbox
    answers: list[str] = field(default_factory=list)
    steps: int = 0

    @property
    def folder(self) -> Path:
        return self.room / "folder"


class McpEnvironment:
    """Plays tasks of any of the scenarios, by `task.params["scenario"]`. Actions are tool calls or their text form;
    `finish` ends the episode. No admissible actions are listed: arguments of foreign tools are free text."""

    def __init__(self, scenarios: dict[str, Scenario], folders: EpisodeFolders | None = None) -> None:
        self._scenarios = scenarios
        self._folders = folders or EpisodeFolders()
        self._episode: _Episode | None = None
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Copy the fixture and start the servers. Raises `EnvironmentFault` for an unknown task, or where a server
        does not start."""
        scenario = self._scenario_of(task)
        await self._end()
        self._episode = await self._begun(task, lambda folder: scenario.prepare(folder, task.seed))
        return _observe(self._episode)

    async def step(self, action: Action) -> StepResult:
        """Act. Raises `EnvironmentFault` when no episode is running, or a server has gone; then this episode is over,
        and the next can begin."""
        episode = self._running()
        try:
            call = episode.toolbox.understood(action)
            if call.name == FINISH.name:
                return await self._finish(episode)
            reply = await episode.session.call(call.name, call.arguments)
        except BadCall as why:
            return await self._go_on(episode, str(why), {"refused": str(why)})
        except EnvironmentFault:
            await self._end()
            raise
        return await self._go_on(episode, reply.text, {"refused": reply.text[:500]} if reply.error else {})

    async def snapshot(self) -> Snapshot:
        """With a copy of the folder, 16 MB at most. Raises `EnvironmentFault` also where a server may know what does
        not lie there."""
        episode = self._running()
        servers = episode.scenario.servers(episode.task.seed)
        if knowing := [server.name for server in servers if not server.stateless]:
            raise EnvironmentFault(
                f"an episode with the server {knowing[0]} cannot be kept: it may know what is not in the folder",
                "say stateless = true of it where it does not",
            )
        folder = await asyncio.to_thread(packed, episode.folder)
        return kept(episode.task, Kept(folder, tuple(episode.answers), episode.steps))

    async def restore(self, snapshot: Snapshot) -> Observation:
        """Servers are started anew."""
        scenario, task, was = self._scenario_of(snapshot.task), snapshot.task, opened(snapshot, Kept)

        def refill(folder: Path) -> Prepared:
            unpack(was.folder, folder)
            return scratch_prepared(scenario, task.seed)

        await self._end()
        self._episode = await self._begun(task, refill)
        self._episode.answers, self._episode.steps = list(was.answers), was.steps
        return _observe(self._episode)

    async def close(self) -> None:
        self._closed = True
        await self._end()

    def _scenario_of(self, task: Task) -> Scenario:
        refuse_closed(self._closed)
        scenario = self._scenarios.get(str(task.params.get("scenario", "")))
        if scenario is None or scenario.version != task.version:
            raise EnvironmentFault(
                f"there is no task {task.id} of version {task.version!r} here", "make the panel anew"
            )
        return scenario

    def _running(self) -> _Episode:
        return running(self._episode)

    async def _begun(self, task: Task, fill: Callable[[Path], Prepared]) -> _Episode:
        """An episode in a fresh room whose folder `fill` fills; its servers are up."""
        scenario, room = self._scenario_of(task), self._folders.new()
        try:
            (room / "folder").mkdir()
            prepared = await asyncio.to_thread(fill, room / "folder")
            session = Session(
                scenario.servers(task.seed), room / "folder", room / "log", taken=frozenset((FINISH.name,))
            )
            await session.open()
        except BaseException:
            shutil.rmtree(room, ignore_errors=True)
            raise
        return _Episode(task, scenario, room, session, prepared, Toolbox((*session.tools, FINISH)))

    async def _go_on(self, episode: _Episode, text: str, info: dict[str, str]) -> StepResult:
        episode.steps += 1
        episode.answers = [text, *[one for one in episode.answers if one != text]][:4]
        over = episode.steps >= episode.scenario.max_steps
        observation = _observe(episode)
        if over:
            await self._end()
        return StepResult(
            observation=observation,
            truncated=over,
            success=False if over else None,
            info={"note": shortened(" ".join(text.split()), 160), **info},
        )

    async def _finish(self, episode: _Episode) -> StepResult:
        """The servers end first: what they still had to write lies in the folder when it is looked at."""
        observation = _observe(episode)
        await episode.session.close()
        try:
            share = await asyncio.to_thread(episode.scenario.check, episode.folder, episode.prepared, episode.task.seed)
        finally:
            await self._end()
        done = share >= 1.0
        text = "Done. All is as it should be." if done else "Done, but not as it should be."
        return StepResult(
            observation=observation.model_copy(update={"text": f"{text}\n{observation.text}"}),
            reward=float(done),
            terminated=True,
            success=done,
            info={"note": text, "progress": share},
        )

    async def _end(self) -> None:
        episode, self._episode = self._episode, None
        if episode is not None:
            try:
                await episode.session.close()
            finally:
                with contextlib.suppress(OSError):
                    shutil.rmtree(episode.room)


def _observe(episode: _Episode) -> Observation:
    newest, *earlier = episode.answers or ("Nothing was done yet.",)
    before = ["Before:", *(shortened(one, 1000) for one in earlier)] if earlier else []
    return Observation(
        instruction=episode.prepared.instruction,
        text="\n".join([newest, *before, *episode.session.instructions]),
        tools=episode.toolbox.specs,
    )
