"""Acting through MCP servers: each episode has a folder and sessions of its own, and is judged by its folder."""

import asyncio
import contextlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from wisen.core.errors import EnvironmentFault
from wisen.core.records import Action, Observation, StepResult, Task, ToolSpec
from wisen.environments.tool.calls import BadCall, Toolbox, shortened
from wisen.environments.tool.folders import EpisodeFolders
from wisen.environments.tool.mcp_scenario import Prepared, Scenario
from wisen.environments.tool.mcp_session import Session

FINISH = ToolSpec(
    name="finish",
    description="Say that the task is done. This ends it.",
    parameters={"type": "object", "properties": {}, "additionalProperties": False},
)


@dataclass
class _Episode:
    scenario: Scenario
    seed: int
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
        if self._closed:
            raise EnvironmentFault("the environment is closed", "make a new one with the suite's create()")
        await self._end()
        scenario = self._scenarios.get(str(task.params.get("scenario", "")))
        if scenario is None or scenario.version != task.version:
            raise EnvironmentFault(
                f"there is no task {task.id} of version {task.version!r} here", "make the panel anew"
            )
        room = self._folders.new()
        try:
            (room / "folder").mkdir()
            prepared = await asyncio.to_thread(scenario.prepare, room / "folder", task.seed)
            session = Session(
                scenario.servers(task.seed), room / "folder", room / "log", taken=frozenset((FINISH.name,))
            )
            await session.open()
        except BaseException:
            shutil.rmtree(room, ignore_errors=True)
            raise
        toolbox = Toolbox((*session.tools, FINISH))
        self._episode = _Episode(scenario, task.seed, room, session, prepared, toolbox)
        return _observe(self._episode)

    async def step(self, action: Action) -> StepResult:
        """Act. Raises `EnvironmentFault` when no episode is running, or a server has gone; then this episode is over,
        and the next can begin."""
        episode = self._episode
        if episode is None:
            raise EnvironmentFault("no episode is running", "reset the environment with a task first")
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

    async def close(self) -> None:
        self._closed = True
        await self._end()

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
            share = await asyncio.to_thread(episode.scenario.check, episode.folder, episode.prepared, episode.seed)
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
