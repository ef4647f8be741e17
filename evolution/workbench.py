"""What a run works with: its workspace opened, its suite started, and one way to have episodes played.

The workbench is the only owner of store and index; what plays episodes returns records.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from wisen.agent.graph import Recaller
from wisen.agent.judge import choose_judge
from wisen.agent.moments import Moments
from wisen.agent.prompts import harness_version
from wisen.agent.rollouts import LocalRollouts
from wisen.core.errors import SettingsError
from wisen.core.ids import content_id
from wisen.core.protocols import Distiller, Judgement, Model, Ranker, Suite
from wisen.core.records import (
    Advanced,
    EpisodeEnd,
    EpisodeRequest,
    MemoryMode,
    Note,
    Outcome,
    Phase,
    PhaseEnded,
    PhaseStarted,
    ProgressEvent,
    Release,
    Task,
    Usage,
)
from wisen.core.workspace import Workspace
from wisen.environments import registry
from wisen.evolution import spending
from wisen.evolution.crediting import standings_of
from wisen.evolution.settings import BenchSettings, EvolveSettings, is_remote
from wisen.memory.bank import Bank, Snapshot
from wisen.memory.clusters import clusters_of
from wisen.memory.distillers import make_distiller
from wisen.memory.guard.review import Review
from wisen.memory.index import ChromaIndex
from wisen.memory.outbox import Outbox
from wisen.memory.rankers import WORTHLESS, Parts, make_ranker
from wisen.memory.recall import LeakageGuard, SnapshotRecaller, same_task, same_template
from wisen.memory.standing import check_value
from wisen.models.embedder import MiniLM
from wisen.models.uniform import UniformModel

T = TypeVar("T")
S = TypeVar("S", bound=BenchSettings)
RANDOM_POLICY = UniformModel.name
HEADS = "heads"  # of a workspace: what parametric retrieval has learned


class Stopped(Exception):
    """Work in a thread was asked to stop."""


class Workbench(Generic[S]):
    """Opened with `async with`; owns the workspace's lock meanwhile.

    `kind` and the settings name the run. What may differ between a run and its continuation stays out of its identity:
    how many cycles, how many workers, where a remote model is reached, when cycles run.
    """

    def __init__(self, kind: str, settings: S, workspace: Workspace, on_event: Callable[[ProgressEvent], None]) -> None:
        self.settings, self.workspace, self.emit = settings, workspace, on_event
        self.identity = settings.model_dump(
            mode="json",
            exclude={
                "cycles": True,
                "workers": True,
                "remote": {"api_base", "timeout", "retries"},
                "schedule": True,
            },
        )
        self.run_id = content_id(kind, self.identity)
        self.harness = harness_version(**settings.episode.limits)
        self.stopping = threading.Event()
        self._stack = AsyncExitStack()
        self._models: dict[str, Model] = {}
        self._opening = asyncio.Lock()
        self._started: set[int] = set()
        self._others: dict[str, Suite] = {}
        self._unmetered = Usage()

    async def __aenter__(self) -> Self:
        try:
            self._stack.enter_context(self.workspace.lock())
            self.store = self._stack.enter_context(self.workspace.open_store())
            self.suite: Suite = registry.create(self.settings.suite, **self.settings.suite_options)
            self._stack.push_async_callback(self.suite.stop)
            self.bank = Bank(self.store, hold=self.settings.guard.hold)
            self.embedder = MiniLM()
            self.review = Review(self.embedder, self.settings.guard) if self.settings.guard.consensus else None
            self.index = ChromaIndex.of(self.workspace, self.embedder)
            self.outbox = Outbox(self.store, self.index)
            self._ranker(None)  # one that is not there is refused here
            check_value(self.settings.recall.value)
            self.distiller = self._distiller()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for model in self._models.values():
            if line := spending.told(model):
                self.emit(Note(text=line))
            await model.close()
        await self._stack.aclose()

    def release(self, name: str, model: str, bank_version: int, parent: Release | None = None) -> Release:
        """A release record: its id derives from what it is made of, so that the same parts are the same release."""
        return Release(
            id=content_id("release", model, bank_version, self.harness),
            name=name,
            model=model,
            bank_version=bank_version,
            harness=self.harness,
            parent_id=parent.id if parent else None,
        )

    @property
    def took(self) -> Usage:
        """What models took since this was opened: all that metered ones say, and what episodes tell of the others."""
        return spending.of_all(self._models.values()) + self._unmetered

    def model(self, name: str) -> Model:
        """The model of that name, opened once: the random policy, a checkpoint of this workspace, or a remote one."""
        if name not in self._models:
            self._models[name] = self._open(name)
        return self._models[name]

    def _open(self, name: str) -> Model:
        if name == RANDOM_POLICY:
            return UniformModel()
        if self.store.checkpoint(name) is not None:
            from wisen.models.local import LocalModel

            return LocalModel.load(
                self.workspace.weights / name, name=name, dtype="float32", threads=self.settings.threads
            )
        if is_remote(name):
            from wisen.models.remote import LiteLLMModel

            return LiteLLMModel(name, **self.settings.remote.model_dump())
        known = ", ".join([RANDOM_POLICY, *(checkpoint.name for checkpoint in self.store.checkpoints())])
        raise SettingsError(f"there is no model {name!r}", f"one of {known}, or PROVIDER/NAME for a remote one")

    def _distiller(self) -> Distiller:
        return make_distiller("extractive")

    def request(
        self,
        task: Task,
        release: Release,
        phase: Phase,
        memory: MemoryMode,
        *,
        attempt: int = 0,
        arm: str = "",
        temperature: float = 0.0,
        explore: float = 0.0,
        distil: bool = False,
        screenshots: bool = False,
    ) -> EpisodeRequest:
        """An episode to play. Its id derives from all that determines it, so that what was played is never repeated."""
        what = (release.id, task.id, task.version, phase, memory, temperature, explore)
        again = (attempt,) if attempt else ()  # the first attempt has the id that an only one has
        return EpisodeRequest(
            trajectory_id=content_id("traj", self.run_id, *what, *again),
            run_id=self.run_id,
            task=task,
            phase=phase,
            release=release,
            attempt=attempt,
            arm=arm,
            memory=memory,
            temperature=temperature,
            explore=explore,
            seed=self.settings.seed,
            distil=distil,
            screenshots=screenshots,
            **self.settings.episode.model_dump(),
        )

    async def play(
        self, requests: Sequence[EpisodeRequest], *, phase: str, title: str, suite: Suite | None = None
    ) -> dict[str, Outcome]:
        """Play what the store does not hold yet; returns the outcomes of all, in the order of the requests.

        All requests share one release, whose bank version is what they recall from, and one suite, the run's own or
        another.
        """
        ids = [request.trajectory_id for request in requests]
        present = self.store.present(ids)
        todo = [request for request in requests if request.trajectory_id not in present]
        if todo:
            started = time.monotonic()
            self.emit(PhaseStarted(phase=phase, title=title, total=len(requests)))
            before = self.store.outcomes(present).values()
            solved, done = sum(outcome.success for outcome in before), len(present)
            proven = any(outcome.end is not EpisodeEnd.FAILED for outcome in before)
            rollouts = await self._rollouts(todo[0].release, todo[0].memory, suite, proven=proven)
            # Closed here and now: if the store refuses an episode, no worker plays on while the suite stops.
            async with aclosing(rollouts.run(todo)) as episodes:
                async for episode in episodes:
                    self.store.add_episode(episode)
                    self._unmetered += spending.unmetered(episode.trajectory, self._models)
                    done += 1
                    solved += any(verdict.success for verdict in episode.verdicts)
                    self.emit(Advanced(phase=phase, done=done, note=f"{100 * solved / done:.0f} % solved"))
            summary = f"{solved} of {done} solved ({100 * solved / done:.0f} %)"
            self.emit(PhaseEnded(phase=phase, summary=summary, seconds=time.monotonic() - started))
        outcomes = self.store.outcomes(ids)
        return {key: outcomes[key] for key in ids}

    async def running_suite(self, suite: Suite | None = None) -> Suite:
        """The suite, or another one, started once."""
        suite = self.suite if suite is None else suite
        async with self._opening:  # an application may play several at once
            if id(suite) not in self._started:
                await suite.start()
                self._started.add(id(suite))
        return suite

    def other_suite(self, name: str, options: Mapping[str, Any]) -> Suite:
        """A suite beside the run's own, made once and stopped with it."""
        key = content_id("suite", name, dict(options))
        if key not in self._others:
            self._others[key] = registry.create(name, **options)
            self._stack.push_async_callback(self._others[key].stop)
        return self._others[key]

    async def _rollouts(
        self, release: Release, memory: MemoryMode, suite: Suite | None, *, proven: bool
    ) -> LocalRollouts:
        suite = await self.running_suite(suite)
        if is_remote(release.model):
            from wisen.models.remote import load_litellm

            await asyncio.to_thread(load_litellm)  # seconds, as for the embedder below
        recaller: Recaller | None = None
        if memory is not MemoryMode.OFF:
            snapshot = self.bank.snapshot(release.bank_version)
            await self.outbox.deliver()
            await self.index.ensure(snapshot.items.values())  # under the titles that they have in this version
            await self.embedder.embed(["ready"])  # loads it here: within an episode that would count against its time
            recaller = await self._recaller(snapshot, memory)
        return LocalRollouts(
            suite,
            self.model(release.model),
            self._judge(),
            workers=self.settings.workers,
            recaller=recaller,
            moments=Moments.of(self.settings.recall),
            distiller=self.distiller,
            artifacts=self.workspace.artifacts,
            proven=proven,
        )

    async def _recaller(self, snapshot: Snapshot, memory: MemoryMode) -> Recaller:
        """Recall over a bank version, as the settings have it; in evaluation with the leakage guard that they name."""
        settings = self.settings.recall
        near = settings.near_duplicates
        recaller = SnapshotRecaller(
            snapshot,
            self.index,
            settings,
            None if near is None else await clusters_of(snapshot, self.embedder, near),
            ranker=self._ranker(snapshot.version),
            leaks=self._leaks() if memory is MemoryMode.FROZEN else same_task,
            standings=None if settings.ranker in WORTHLESS else standings_of(self.store, snapshot, settings.value),
            sift=None if self.review is None else self.review.held_back,
        )
        if settings.by_words:
            await asyncio.to_thread(recaller.shelf.lexical.load)  # as the embedder above
        return recaller

    def _ranker(self, bank_version: int | None) -> Ranker:
        parts = Parts(embedder=self.embedder, folder=self.workspace.root / HEADS, bank_version=bank_version)
        return make_ranker(self.settings.recall.ranker, self.settings.recall.ranker_options, parts)

    def _leaks(self) -> LeakageGuard:
        return same_template(self.store.templates().get) if self.settings.recall.leakage == "template" else same_task

    def _judge(self) -> Judgement:
        if not self.settings.judge:
            return choose_judge(environment_decides=True)
        return choose_judge(self.model(self.settings.judge))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work beside the event loop; when this is cancelled, `tick` tells the work to stop."""
        try:
            return await asyncio.to_thread(work)
        except asyncio.CancelledError:
            self.stopping.set()
            raise

    def tick(self, phase: str, title: str) -> Callable[[int, int, float], None]:
        """A progress callback for training, counted in tokens, that also stops it. Emits at most every half second."""
        last = 0.0

        def report(done: int, total: int, loss: float) -> None:
            nonlocal last
            if self.stopping.is_set():
                raise Stopped
            now = time.monotonic()
            if last == 0.0:
                self.emit(PhaseStarted(phase=phase, title=title, total=total, unit="tokens"))
            if done == total or now - last > 0.5:
                last = now
                self.emit(Advanced(phase=phase, done=done, note=f"loss {loss:.3f}"))

        return report


class Bench(Workbench[EvolveSettings]):
    """The workbench of `wisen evolve`."""

    def _distiller(self) -> Distiller:
        return make_distiller(self.settings.distiller, self.writer())

    def writer(self) -> Model | None:
        """What memory items are written with; None where there is no language model."""
        name = self.settings.writer or self.settings.model
        return self.model(name) if name else None
