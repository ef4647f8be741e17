"""One cell of the table of methods: a stream of tasks, played with the memory that a method makes of it on the way."""

import asyncio
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.method_parts import METHODS, NONE, SUITES, Cell, stream
from wisen.agent.judge import choose_judge
from wisen.agent.rollouts import LocalRollouts
from wisen.core.errors import ModelFault
from wisen.core.ids import content_id
from wisen.core.protocols import Curator, Distiller, Embedder, Model, Ranker, Suite
from wisen.core.records import (
    Attempted,
    Episode,
    EpisodeEnd,
    EpisodeRequest,
    MemoryMode,
    Outcome,
    Phase,
    Recall,
    Release,
    Task,
    Trajectory,
    Verdict,
)
from wisen.core.store import Store
from wisen.memory.bank import RECALLABLE, Bank
from wisen.memory.curation import entries, present_names, uses
from wisen.memory.distillers import COMPARING, make_distiller
from wisen.memory.distillers.reasoningbank import ReasoningBank
from wisen.memory.index import ChromaIndex
from wisen.memory.items import union
from wisen.memory.parametric.ranker import proven_ranker
from wisen.memory.parametric.refit import RefitSettings, refit
from wisen.memory.recall import SnapshotRecaller, same_task, same_template, tokens

WAVE = 8  # tasks that are played with one version of the bank
EVERY = 24  # outcomes between two retrieval heads: a stream is short beside the 200 of the product
PRACTICE = 2  # further attempts at each task, without memory; every method learns from the same
EXPLORE = 0.5  # of their actions are drawn at random: what is never tried is never learned
FEW_TOKENS = 192  # of a reply that sprout writes; its context is 2,048, and it finds no end to what goes wrong
APART = frozenset({"reasoningbank"})  # reads one attempt at a time: one that cannot be read costs the others nothing
JUDGE = choose_judge(environment_decides=True)

Practised = dict[tuple[str, int, int, str], dict[str, list[Episode]]]  # of a suite, seed, length and agent, by task id


async def played(
    cell: Cell, agent: Model, writer: Model | None, embedder: Embedder, practised: Practised | None = None
) -> dict[str, Any]:
    """Play the stream of a cell, wave by wave; returns its figures, ready for JSON. practised: the practice of cells
    before it, which is played once for all of them."""
    practised = {} if practised is None else practised
    make, steps = SUITES[cell.suite]
    suite = make(cell.seed)
    await suite.start()
    started, spent = time.monotonic(), time.process_time()
    try:
        with tempfile.TemporaryDirectory() as folder, Store.open("sqlite://") as store, failures() as failed:
            one = _Stream(cell, suite, steps, agent, writer, embedder, store, Path(folder))
            try:
                tasks = stream(suite, cell.suite, cell.seed, cell.tasks, cell.shuffled)
                if cell.method != NONE:
                    key = (cell.suite, cell.seed, cell.tasks, cell.agent)
                    if key not in practised:
                        practised[key] = await one.practise(sorted(tasks, key=lambda task: task.id))
                    one.practised = practised[key]
                for start in range(0, len(tasks), WAVE):
                    await one.wave(tasks[start : start + WAVE])
            finally:
                await one.index.close()
            found = one.figures()
            found["failed"] += failed[0]
    finally:
        await suite.stop()
    found["seconds"], found["cpu"] = time.monotonic() - started, time.process_time() - spent
    return {"cell": vars(cell), **found}


class _Stream:
    """The state of a cell while it is played: the bank, and what was seen so far."""

    def __init__(
        self,
        cell: Cell,
        suite: Suite,
        steps: int,
        agent: Model,
        writer: Model | None,
        embedder: Embedder,
        store: Store,
        folder: Path,
    ) -> None:
        self.cell, self._suite, self._steps, self._agent = cell, suite, steps, agent
        self._method = None if cell.method == NONE else METHODS[cell.method]
        self._distiller = _distiller(self._method.distiller, writer) if self._method else None
        self.practised: dict[str, list[Episode]] = {}
        self._store, self._bank = store, Bank(store)
        self._embedder, self._heads = embedder, folder / "heads"
        self.index = ChromaIndex(embedder, path=folder / "index")
        self._rows: list[dict[str, Any]] = []
        self._ranked: Counter[str] = Counter()
        self._recalls: list[Recall] = []
        self._tried: tuple[list[Recall], list[Outcome]] = ([], [])
        self._templates: dict[str, str] = {}
        self._read = self._failed = 0

    async def wave(self, tasks: Sequence[Task]) -> None:
        """Measure with the bank as it stands; then let the method learn from it."""
        self._templates |= {task.id: task.template_id for task in tasks}
        version = self._bank.version
        recaller = await self._recaller()
        mode = MemoryMode.FROZEN if recaller else MemoryMode.OFF
        episodes = await self._play([self._request(task, mode, version) for task in tasks], recaller)
        self._rows += [self._row(episode) for episode in episodes]
        self._recalls += [recall for episode in episodes for recall in _recalls(episode)]
        self._ranked.update(recall.ranker for episode in episodes for recall in _recalls(episode))
        if self._method is None or self._distiller is None:
            return
        more = [episode for task in tasks for episode in self.practised.get(task.id, ())]
        await self._learn(self._distiller, [*episodes, *more])
        if self._method.randomised:
            requests = [self._request(task, MemoryMode.RANDOMISED, version) for task in tasks]
            await self._fit(await self._play(requests, recaller))

    async def practise(self, tasks: Sequence[Task]) -> dict[str, list[Episode]]:
        """Further attempts, by task id."""
        found: dict[str, list[Episode]] = {}
        requests = [
            self._request(task, MemoryMode.OFF, 0, attempt + 1) for task in tasks for attempt in range(PRACTICE)
        ]
        for episode in await self._play(requests, None):
            found.setdefault(episode.trajectory.task.id, []).append(episode)
        return found

    async def _recaller(self) -> SnapshotRecaller | None:
        if self._method is None:
            return None
        snapshot = self._bank.snapshot()
        await self.index.ensure(snapshot.items.values())
        ranker: Ranker | None = None
        if self._method.recall.ranker == "parametric":
            ranker = proven_ranker(self._heads, self._embedder, snapshot.version)
        leaks = same_task if self.cell.leakage == "task" else same_template(self._templates.get)
        return SnapshotRecaller(snapshot, self.index, self._method.recall, ranker=ranker, leaks=leaks)

    async def _play(self, requests: Sequence[EpisodeRequest], recaller: SnapshotRecaller | None) -> list[Episode]:
        rollouts = LocalRollouts(self._suite, self._agent, JUDGE, workers=WAVE, recaller=recaller)
        found = {episode.trajectory.id: episode async for episode in rollouts.run(requests)}
        return [found[request.trajectory_id] for request in requests]

    def _request(self, task: Task, mode: MemoryMode, version: int, attempt: int = 0) -> EpisodeRequest:
        """attempt: 0 is what is measured, or held out at random; the others are practice."""
        agent, method = self._agent.name, self.cell.method if attempt == 0 else "practice"
        release = Release(id=agent, name=agent, model=agent, bank_version=version, harness="benchmark")
        return EpisodeRequest(
            trajectory_id=content_id("traj", agent, method, self.cell.seed, task.id, mode, attempt),
            run_id="methods",
            task=task,
            phase=Phase.COLLECT,
            release=release,
            memory=mode,
            seed=self.cell.seed,
            attempt=attempt,
            temperature=1.0 if attempt else 0.0,
            explore=EXPLORE if attempt else 0.0,
            max_steps=self._steps,
            max_seconds=3600.0,  # a busy machine must not decide what is solved
        )

    async def _learn(self, distiller: Distiller, episodes: Sequence[Episode]) -> None:
        """What the wave teaches, offered to the bank. A model that breaks costs its items, not the cell."""
        groups: dict[str, list[tuple[Trajectory, Verdict]]] = {}
        for episode in episodes:
            if (attempt := episode.trajectory).end is not EpisodeEnd.FAILED:
                key = attempt.id if distiller.name in APART else attempt.task.id
                groups.setdefault(key, []).append((attempt, episode.verdicts[-1]))
        if isinstance(distiller, Curator):
            await self._curate(distiller, episodes)
            return
        self._read += len(groups) if distiller.name in COMPARING else sum(map(len, groups.values()))
        tasks = (distiller.distil(group) for group in groups.values())
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(found, ModelFault):
                self._failed += 1
            elif isinstance(found, BaseException):
                raise found
            else:
                self._bank.propose(found, actor=distiller.name)

    async def _curate(self, curator: Curator, episodes: Sequence[Episode]) -> None:
        attempts = [
            Attempted(
                trajectory=episode.trajectory,
                verdict=episode.verdicts[-1],
                shown=union(*(recall.shown for recall in _recalls(episode))),
            )
            for episode in episodes
            if episode.trajectory.end is not EpisodeEnd.FAILED
        ]
        for batch in curator.batches(attempts):
            now = self._bank.snapshot()
            events = self._store.events(up_to=now.version)
            told = [one.model_copy(update={"shown": present_names(one.shown, events)}) for one in batch]
            listed = entries(curator.name, batch[0].trajectory.task.suite, now, events, uses(self._recalls))
            self._read += 1
            try:
                revision = await curator.curate(listed, told)
            except ModelFault:
                self._failed += 1
                continue
            self._failed += bool(revision.failed)
            self._bank.revise(revision, actor=curator.name)

    async def _fit(self, practised: Sequence[Episode]) -> None:
        """The next retrieval head, where there are outcomes enough for one. The bank's version is the one after the
        wave, which the next wave recalls from."""
        recalls, outcomes = self._tried
        looks = len(outcomes) // EVERY
        recalls += [recall for episode in practised for recall in _recalls(episode)]
        outcomes += [_outcome(episode) for episode in practised]
        if len(outcomes) // EVERY > looks:
            await refit(
                recalls,
                outcomes,
                self._bank.snapshot().items,
                self._embedder,
                self._heads,
                bank_version=self._bank.version,
                seed=self.cell.seed,
                settings=RefitSettings(every=EVERY),
            )

    def _row(self, episode: Episode) -> dict[str, Any]:
        items, trajectory = self._bank.snapshot().items, episode.trajectory
        shown = [key for recall in _recalls(episode) for key in recall.shown]
        return {
            "task": trajectory.task.id,
            "success": bool(episode.verdicts[-1].success),
            "steps": len(trajectory.steps),
            "end": trajectory.end.value,
            "shown": shown,
            "tokens": sum(tokens(items[key].text) for key in shown),
        }

    def figures(self) -> dict[str, Any]:
        statuses = self._bank.snapshot().statuses
        return {
            "rows": self._rows,
            "bank": sum(status in RECALLABLE for status in statuses.values()),
            "quarantined": len(statuses) - sum(status in RECALLABLE for status in statuses.values()),
            "read": self._read,
            "failed": self._failed,
            "ranked_by": dict(self._ranked),
        }


def _recalls(episode: Episode) -> tuple[Recall, ...]:
    return (*((episode.recall,) if episode.recall else ()), *episode.later_recalls)


def _outcome(episode: Episode) -> Outcome:
    trajectory = episode.trajectory
    return Outcome(
        trajectory_id=trajectory.id,
        task_id=trajectory.task.id,
        template_id=trajectory.task.template_id,
        success=bool(episode.verdicts[-1].success),
        reward=float(bool(episode.verdicts[-1].success)),
        steps=len(trajectory.steps),
        end=trajectory.end,
        seconds=episode.seconds,
        arm="practice",
    )


def _distiller(name: str, writer: Model | None) -> Distiller | Curator:
    """sprout writes greedily, as it was trained to."""
    if name == "reasoningbank" and writer is not None and writer.name == "sprout":
        return ReasoningBank(writer, temperature=0.0, max_tokens=FEW_TOKENS)
    return make_distiller(name, writer)


@contextmanager
def failures() -> Iterator[list[int]]:
    """Counts, in the list's one place, the distillations that came to nothing because no reply could be read: they are
    warnings in the log, and a small writer has many, so they are counted and not printed."""
    log, count = logging.getLogger("wisen.memory.structured"), [0]

    class Counting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            count[0] += 1

    handler, passed_on = Counting(logging.WARNING), log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield count
    finally:
        log.propagate = passed_on
        log.removeHandler(handler)
