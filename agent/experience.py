"""Memory for an application that has a graph of its own: what it did teaches, and its next job is told.

async with Experience(Path("desk"), name="desk", distiller=model, judge=model) as experience:
    graph.add_node("recall", experience.recall_node(task="question"))
    graph.add_node("learn", experience.learn_node(done="messages"))
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from wisen.agent.foreign import Conduct, conduct
from wisen.agent.judge import EnvironmentJudge, choose_judge
from wisen.agent.keeper import Keeper
from wisen.agent.nodes import Node, Where, learn_node, recall_node
from wisen.agent.prompts import MEMORY_NOTE, advice
from wisen.core.errors import SettingsError
from wisen.core.ids import content_id, derived_seed
from wisen.core.protocols import Distiller, Embedder, Judgement, Model
from wisen.core.records import (
    Episode,
    EpisodeEnd,
    EpisodeRequest,
    MemoryItem,
    MemoryMode,
    Observation,
    Phase,
    Recall,
    Record,
    Release,
    Split,
    Task,
    Trajectory,
    Verdict,
)
from wisen.core.workspace import DEFAULT_ROOT, Workspace
from wisen.memory.distillers import make_distiller
from wisen.memory.distillers.reasoningbank import ReasoningBank
from wisen.memory.index import ChromaIndex
from wisen.memory.recall import RecallSettings, recall
from wisen.models.embedder import MiniLM


class Job(Record):
    """One job of the application, begun by a recall. It goes through the foreign state as JSON, so that any
    checkpointer keeps it, and what began in one process can be learned from in another."""

    task: Task
    trajectory_id: str
    recall: Recall
    advice: str = ""  # for the prompt; empty where memory has nothing to say


class Lesson(Record):
    """What came of a job: how it went, which items it proposed to the bank, and the bank's newest version then."""

    trajectory_id: str
    verdict: Verdict
    items: tuple[str, ...]
    bank_version: int


class Experience:
    """Owns a workspace while it is open: lock, store, bank, index. Jobs may be under way many at a time, on one loop.

    root: the workspace. name: what the application is called; its items apply to it alone. distiller: writes the items,
    by default the extractive one; a `Model` in its place writes as `ReasoningBank`. judge: says how a job went where
    the application does not; a `Model` in its place is a `ModelJudge`. bank_version: recall from that version whatever
    is learned meanwhile; None is always the newest. memory: `RANDOMISED` holds items out at random, so that each one's
    worth can be told; `OFF` is the control.

    Opening raises `StoreError` at once where another process owns the workspace, and `BankError` for a version that
    never was.
    """

    def __init__(
        self,
        root: Path = DEFAULT_ROOT,
        *,
        name: str = "application",
        distiller: Distiller | Model | None = None,
        judge: Judgement | Model | None = None,
        bank_version: int | None = None,
        memory: MemoryMode = MemoryMode.FROZEN,
        settings: RecallSettings | None = None,
        embedder: Embedder | None = None,
    ) -> None:
        if not name.strip():
            raise SettingsError("the application has no name", "give a name: its memory is kept under it")
        self.name = name
        self.run_id = content_id("app", name)
        self._workspace = Workspace(root)
        self._distiller = _distiller(distiller)
        self._judge = choose_judge(judge) if isinstance(judge, Model) else judge
        self._pinned, self._memory = bank_version, memory
        # Jobs are often told in a few words, beside which even their own recording is long, and so less near.
        self._settings = settings or RecallSettings(k=3, recording_floor=0.2)
        self._embedder = embedder or MiniLM()
        self._indexed = -1  # the bank version that the index is known to hold
        self._keeper = Keeper(self._workspace, run_id=self.run_id, name=name)
        self._index = ChromaIndex.of(self._workspace, self._embedder)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            self._stack.enter_context(self._workspace.lock())
            self._stack.push_async_callback(self._index.close)
            await self._keeper.open()
            self._stack.push_async_callback(self._keeper.close)
            await self._keeper.snapshot(self._pinned)  # a version that never was is refused here
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def recall(self, text: str, *, job_id: str = "") -> Job:
        """Begin a job: what does memory say to this task?

        job_id: names the job in the application, and attempts at one job share it. Without it, jobs of equal text are
        one. An item is never shown on the job that it stems from.
        """
        task = self._task(text, job_id)
        snapshot = await self._keeper.snapshot(self._pinned)
        if snapshot.version != self._indexed:
            await self._index.ensure(snapshot.items.values())
            self._indexed = snapshot.version
        trajectory_id = content_id("traj", self.run_id, task.id, uuid4().hex)
        request = EpisodeRequest(
            trajectory_id=trajectory_id,
            run_id=self.run_id,
            task=task,
            phase=Phase.COLLECT,
            release=self._release(snapshot.version),
            memory=self._memory,
            seed=derived_seed(trajectory_id),  # each attempt draws anew what is held out
        )
        observation = Observation(instruction=text, text="")
        found = await recall(request, observation, snapshot, self._index, settings=self._settings)
        return Job(task=task, trajectory_id=trajectory_id, recall=found.recall, advice=_told(found.items))

    async def learn(self, job: Job, done: Sequence[Any], *, outcome: bool | None = None) -> Lesson:
        """End a job: judge it, distil it together with earlier attempts at it, keep it, and offer what it teaches.

        done: LangChain messages, or pairs of action and observation (see `wisen.agent.foreign`). outcome: whether it
        succeeded, where the application knows; else the judge says. Where judge or distiller fail nothing is stored,
        and the same call can be made again; what was stored is not stored twice.
        """
        episode = await self._keeper.kept(job.trajectory_id)
        if episode is None:
            episode = await self._taught(job, conduct(done, job.task.instruction, job.trajectory_id), outcome)
        episode, version = await self._keeper.keep(episode)
        return Lesson(
            trajectory_id=job.trajectory_id,
            verdict=episode.verdicts[-1],
            items=tuple(item.id for item in episode.proposals),
            bank_version=version,
        )

    def recall_node(
        self, task: Where, *, job_id: Where | None = None, advice: str = "advice", job: str = "job"
    ) -> Node:
        """A node that recalls. It reads the task's text (and the job's id) from the state, and writes the advice (a
        text, empty where there is none) and the job (a dict for the learn node) under those keys."""
        return recall_node(self, task=task, job_id=job_id, advice=advice, job=job)

    def learn_node(
        self, done: Where = "messages", *, outcome: Where | None = None, job: str = "job", lesson: str = ""
    ) -> Node:
        """A node that judges and distils. It reads what was done, the outcome where one is named (None leaves it to the
        judge), and the job. The lesson goes to the state, as a dict, under the key `lesson`, if one is given."""
        if outcome is None and self._judge is None:
            raise SettingsError("nothing says how a job went", "name its outcome in the state, or give a judge")
        return learn_node(self, done=done, outcome=outcome, job=job, lesson=lesson)

    async def _taught(self, job: Job, done: Conduct, outcome: bool | None) -> Episode:
        earlier = await self._keeper.attempts(job.task)
        trajectory = self._closed(job, done, outcome, attempt=len(earlier))
        verdict = await self._verdict(trajectory)
        # ReasoningBank reads attempts one by one, and has read the earlier ones; others may compare.
        attempts = [] if isinstance(self._distiller, ReasoningBank) else earlier
        items = await self._distiller.distil([*attempts, (trajectory, verdict)])
        return Episode(trajectory=trajectory, verdicts=(verdict,), recall=job.recall, proposals=tuple(items))

    async def _verdict(self, trajectory: Trajectory) -> Verdict:
        if trajectory.success is not None:
            return await EnvironmentJudge().judge(trajectory)
        if self._judge is None:
            raise SettingsError("nothing says how this job went", "give its outcome, or a judge")
        return await self._judge.judge(trajectory)

    def _task(self, text: str, job_id: str) -> Task:
        if not text.strip():
            raise SettingsError("the task has no text", "say what is to be done")
        return Task(
            id=f"{self.name}/{job_id}" if job_id else content_id("job", self.run_id, text),
            suite=self.name,
            environment=self.name,
            template_id=self.name,
            split=Split.LEARN,
            seed=0,
            instruction=text,
        )

    def _release(self, version: int) -> Release:
        """A label: which bank the application was told from. It stands in no list of releases, and nothing gated it."""
        return Release(
            id=content_id("release", self.run_id, version),
            name=f"{self.name}@{version}",
            model=self.name,
            bank_version=version,
            harness=self.name,
        )

    def _closed(self, job: Job, done: Conduct, outcome: bool | None, *, attempt: int) -> Trajectory:
        return Trajectory(
            id=job.trajectory_id,
            run_id=self.run_id,
            task=job.task,
            phase=Phase.COLLECT,
            release_id=job.recall.release_id,
            attempt=attempt,
            arm="",
            instruction=job.task.instruction,
            steps=done.steps,
            end=EpisodeEnd.TERMINATED,
            reward=float(outcome or False),
            success=outcome,
            final=done.final,
        )


def _distiller(given: Distiller | Model | None) -> Distiller:
    if given is None:
        return make_distiller("extractive")
    return ReasoningBank(given) if isinstance(given, Model) else given


def _told(items: Sequence[MemoryItem]) -> str:
    return "\n\n".join([MEMORY_NOTE, *(advice(item) for item in items)]) if items else ""
