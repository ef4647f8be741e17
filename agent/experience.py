"""Memory for an application that has a graph of its own: what it did teaches, and its next job is told.

async with Experience(Path("desk"), name="desk", distiller=model, judge=model) as experience:
    graph.add_node("recall", experience.recall_node(task="question"))
    graph.add_node("learn", experience.learn_node(done="messages"))
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from wisen.agent.curating import Curation
from wisen.agent.foreign import Conduct, conduct
from wisen.agent.judge import EnvironmentJudge, choose_judge
from wisen.agent.keeper import Keeper
from wisen.agent.nodes import Node, Where, learn_node, recall_node
from wisen.agent.prompts import MEMORY_NOTE, advice, positive_first
from wisen.core.errors import SettingsError
from wisen.core.ids import content_id, derived_seed
from wisen.core.protocols import Curator, Distiller, Embedder, Judgement, Model
from wisen.core.records import (
    Episode,
    EpisodeEnd,
    EpisodeRequest,
    MemoryItem,
    MemoryMode,
    Moment,
    Observation,
    Phase,
    Recall,
    Record,
    Release,
    Split,
    Standing,
    Task,
    Trajectory,
    Trust,
    Verdict,
)
from wisen.core.store import Store
from wisen.core.workspace import DEFAULT_ROOT, Workspace
from wisen.memory.bank import Snapshot
from wisen.memory.credit import restarts
from wisen.memory.distillers import PROVEN, make_distiller
from wisen.memory.distillers.reasoningbank import ReasoningBank
from wisen.memory.guard.consensus import ConsensusSettings
from wisen.memory.guard.review import Review
from wisen.memory.index import ChromaIndex
from wisen.memory.outbox import Outbox
from wisen.memory.rankers import WORTHLESS
from wisen.memory.recall import Recalled, RecallSettings, Shelf, recall
from wisen.memory.standing import standings
from wisen.models.embedder import MiniLM

if TYPE_CHECKING:
    from wisen.agent.base_store import BankStore


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
    worth can be told; `OFF` is the control. consensus: hold back what no other item corroborates, where there is advice
    that others do (`wisen.memory.guard.consensus`); None: no.

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
        consensus: ConsensusSettings | None = None,
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
        if self._settings.when is not Moment.START or self._settings.leakage != "task":
            raise SettingsError(
                "an application asks its memory itself, and has no evaluation", "leave recall.when and leakage out"
            )
        self._embedder = embedder or MiniLM()
        self._sift = None if consensus is None else Review(self._embedder, consensus).held_back
        self._indexed = -1  # the bank version that the index is known to hold
        self.keeper = Keeper(self._workspace, run_id=self.run_id, name=name)
        self._curation: Curation | None = None
        if isinstance(self._distiller, Curator):
            self._curation = Curation(self._distiller, self.keeper, self.run_id)
        self._index = ChromaIndex.of(self._workspace, self._embedder)
        self._outbox: Outbox | None = None  # there once there is a store
        self._shelf = Shelf(Snapshot())
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            self._stack.enter_context(self._workspace.lock())
            self._stack.push_async_callback(self._index.close)
            await self.keeper.open()
            self._stack.push_async_callback(self.keeper.close)
            await self.keeper.snapshot(self._pinned)  # a version that never was is refused here
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
        task = self.task(text, job_id)
        trajectory_id = self.new_trajectory(task)
        found = await self.found(task, trajectory_id, await self.bank())
        return Job(task=task, trajectory_id=trajectory_id, recall=found.recall, advice=_told(found.items))

    async def bank(self) -> Snapshot:
        """The bank to recall from: of the pinned version, or the newest."""
        return await self.keeper.snapshot(self._pinned)

    async def found(
        self, task: Task, trajectory_id: str, among: Snapshot, settings: RecallSettings | None = None
    ) -> Recalled:
        """What recall says to a task, and its record. `among`: the bank, or a part of it. What is held out depends on
        the trajectory and the item alone: a second look within one attempt draws the same."""
        if among.version != self._indexed:
            bank = await self.keeper.snapshot(among.version)
            if self._outbox is None:
                self._outbox = Outbox(await self.keeper.ask(lambda store: store), self._index)
            await self._outbox.deliver()
            await self._index.ensure(bank.items.values())
            self._indexed = among.version
        request = EpisodeRequest(
            trajectory_id=trajectory_id,
            run_id=self.run_id,
            task=task,
            phase=Phase.COLLECT,
            release=self._release(among.version),
            memory=self._memory,
            seed=derived_seed(trajectory_id),  # each attempt draws anew what is held out
        )
        observation = Observation(instruction=task.instruction, text="")
        settings = settings or self._settings
        standings = None if settings.ranker in WORTHLESS else await self._standings(among, settings.value)
        if self._shelf.snapshot is not among:
            self._shelf = Shelf(among)
        return await recall(
            request,
            observation,
            self._shelf,
            self._index,
            settings=settings,
            standings=standings,
            sift=self._sift,
        )

    async def _standings(self, among: Snapshot, value: str) -> dict[str, Standing]:
        """What its jobs so far say of each item's worth, for rankers that ask."""

        def fold(store: Store) -> dict[str, Standing]:
            return standings(
                store.recalls(run_id=self.run_id),
                tuple(store.outcomes(store.trajectory_ids(self.run_id)).values()),
                among.items,
                value=value,
                before=among.version,
                begun=restarts(store.events(among.version)),
            )

        return await self.keeper.ask(fold)

    def store(self, *, trust: Trust = Trust.MODEL, settings: RecallSettings | None = None) -> "BankStore":
        """This memory as a LangGraph store, for `graph.compile(store=…)`. To be called while it is open."""
        from wisen.agent.base_store import BankStore

        return BankStore(self, trust=trust, settings=settings)

    async def learn(self, job: Job, done: Sequence[Any], *, outcome: bool | None = None) -> Lesson:
        """End a job: judge it, distil it together with earlier attempts at it, keep it, and offer what it teaches.

        done: LangChain messages, or pairs of action and observation (see `wisen.agent.foreign`). outcome: whether it
        succeeded, where the application knows; else the judge says. Where judge or distiller fail nothing is stored,
        and the same call can be made again; what was stored is not stored twice. A distiller that rewrites what it
        wrote (a `Curator`) reads what is stored: what it could not read it reads with the next job, or the same call.
        """
        episode = await self.keeper.kept(job.trajectory_id)
        if episode is None:
            episode = await self._taught(job, conduct(done, job.task.instruction, job.trajectory_id), outcome)
        if self._curation is not None:
            await self._curation.announce(job.trajectory_id)
        episode, version = await self.keeper.keep(episode)
        items = tuple(item.id for item in episode.proposals)
        if self._curation is not None:
            items, version = await self._curation.learned(job.trajectory_id)
        return Lesson(trajectory_id=job.trajectory_id, verdict=episode.verdicts[-1], items=items, bank_version=version)

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
        earlier = await self.keeper.attempts(job.task)
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

    def new_trajectory(self, task: Task) -> str:
        """An id for another attempt at a task."""
        return content_id("traj", self.run_id, task.id, uuid4().hex)

    def task(self, text: str, job_id: str = "") -> Task:
        """A job of this application as a task. Raises `SettingsError` for an empty text."""
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
    if isinstance(given, Model):
        return ReasoningBank(given)
    if given.name in PROVEN:
        raise SettingsError(
            f"what {given.name!r} writes is tried in an environment first, and an application has none to try it in",
            "take another distiller, or use it with `wisen evolve`",
        )
    return given


def _told(items: Sequence[MemoryItem]) -> str:
    return "\n\n".join([MEMORY_NOTE, *(advice(item) for item in positive_first(items))]) if items else ""
