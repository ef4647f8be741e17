"""One cell of the table of methods: a stream of tasks, played with the memory that a method makes of it on the way."""

import asyncio
import logging
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wisen.agent.judge import choose_judge
from wisen.agent.rollouts import LocalRollouts
from wisen.core.errors import ModelFault, SettingsError
from wisen.core.ids import content_id, derived_seed
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
    Split,
    Task,
    Trajectory,
    Verdict,
)
from wisen.core.store import Store
from wisen.environments import registry
from wisen.memory.bank import RECALLABLE, Bank
from wisen.memory.curation import entries, present_names, uses
from wisen.memory.distillers import COMPARING, make_distiller
from wisen.memory.index import ChromaIndex
from wisen.memory.items import union
from wisen.memory.parametric.ranker import proven_ranker
from wisen.memory.parametric.refit import RefitSettings, refit
from wisen.memory.recall import RecallSettings, SnapshotRecaller, same_task, same_template, tokens
from wisen.trainers.sprout.playing import GeneratedSuite

WAVE = 8  # tasks that are played with one version of the bank
ROUNDS = 6  # how often a stream comes back to each place
EVERY = 24  # outcomes between two retrieval heads: a stream is short beside the 200 of the product
CONTRASTED = 2  # further attempts at each task, drawn at random, for a method that compares attempts
NONE = "none"
JUDGE = choose_judge(environment_decides=True)

_FOUR = {"k": 4, "max_tokens": 1600}  # as Memento recalls
_ANY = {"ranker": "random", "candidates": 100_000, "floor": -1.0, "recording_floor": -1.0}


@dataclass(frozen=True)
class Method:
    """Who writes the items, and how they are recalled. practice: further attempts at each task of a wave, once it has
    been measured, under the same bank; they are not measured. randomised: practice holds items out at random, and what
    comes of it is for the retrieval head alone."""

    distiller: str
    recall: RecallSettings = field(default_factory=RecallSettings)
    practice: int = 0
    randomised: bool = False


RULED: Mapping[str, Method] = {
    "extractive": Method("extractive"),
    "workflows": Method("workflows"),
    "cases": Method("cases", RecallSettings.model_validate(_FOUR)),
    "cases-parametric": Method(
        "cases",
        RecallSettings.model_validate(_FOUR | {"ranker": "parametric", "arm_propensity": 1.0}),
        practice=1,
        randomised=True,
    ),
    "raw": Method("raw"),
    "random": Method("extractive", RecallSettings.model_validate(_ANY)),
}
WRITTEN: Mapping[str, Method] = {
    name: Method(name, practice=CONTRASTED if name in COMPARING else 0)
    for name in (
        "reasoningbank",
        "matts",
        "awm",
        "expel",
        "ace",
        "cheatsheet",
        "concepts",
        "subtasks",
        "conditions",
    )
}
METHODS: Mapping[str, Method] = RULED | WRITTEN

SUITES: Mapping[str, tuple[Callable[[int], Suite], int]] = {  # made for a seed; actions at most
    "generated": (GeneratedSuite, 12),
    "office": (lambda seed: registry.create("office", organisations=[seed]), 30),
    "household": (lambda seed: registry.create("household"), 30),
    "code-repair": (lambda seed: registry.create("code-repair"), 12),
    "miniwob": (lambda seed: registry.create("miniwob"), 12),
}


@dataclass(frozen=True)
class Cell:
    """All that decides what a cell holds, beside the code. agent: who acts, with a digest of its weights. writer: who
    writes items, empty for a method that needs nobody."""

    suite: str
    method: str
    seed: int
    shuffled: bool
    tasks: int
    agent: str
    writer: str = ""
    leakage: str = "task"

    @property
    def order(self) -> str:
        return "shuffled" if self.shuffled else "default"

    @property
    def file(self) -> str:
        return f"{self.suite}-{self.method}-{self.seed}-{self.order}-{content_id('cell', vars(self))[5:13]}.json"


def stream(suite: Suite, name: str, seed: int, count: int, shuffled: bool) -> list[Task]:
    """`count` tasks at as few places of the suite as hold them, drawn by the seed, `ROUNDS` at each. A place is a
    template, or where a generated errand is done. Default order: round by round, in each round every place once. Both
    orders hold the same tasks. Raises `SettingsError` where the suite has fewer."""
    found = suite.tasks(Split.LEARN, ROUNDS, offset=1000 * seed)
    rounds: dict[tuple[str, str], list[Task]] = {}
    for task in found:
        rounds.setdefault((task.template_id, str(task.params.get("place", ""))), []).append(task)
    places = sorted(rounds)
    random.Random(derived_seed("places", name, seed)).shuffle(places)
    chosen: list[tuple[str, str]] = []
    while places and sum(len(rounds[place]) for place in chosen) < count:
        chosen.append(places.pop(0))
    tasks = [rounds[place][number] for number in range(ROUNDS) for place in chosen if number < len(rounds[place])]
    if len(tasks) < count:
        raise SettingsError(f"{name} has {len(tasks)} tasks for a stream, not {count}", f"ask for --tasks {len(tasks)}")
    tasks = tasks[:count]
    if shuffled:
        random.Random(derived_seed("order", name, seed)).shuffle(tasks)
    return tasks


async def played(cell: Cell, agent: Model, writer: Model | None, embedder: Embedder) -> dict[str, Any]:
    """Play the stream of a cell, wave by wave; returns its figures, ready for JSON."""
    make, steps = SUITES[cell.suite]
    suite = make(cell.seed)
    await suite.start()
    started, spent = time.monotonic(), time.process_time()
    try:
        with tempfile.TemporaryDirectory() as folder, Store.open("sqlite://") as store, failures() as failed:
            one = _Stream(cell, suite, steps, agent, writer, embedder, store, Path(folder))
            try:
                tasks = stream(suite, cell.suite, cell.seed, cell.tasks, cell.shuffled)
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
        self._distiller = make_distiller(self._method.distiller, writer) if self._method else None
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
        practised = await self._practise(self._method, tasks, recaller, version)
        await self._learn(self._distiller, episodes if self._method.randomised else [*episodes, *practised])
        if self._method.randomised:
            await self._fit(practised)

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

    async def _practise(
        self, method: Method, tasks: Sequence[Task], recaller: SnapshotRecaller | None, version: int
    ) -> list[Episode]:
        mode, temperature = (MemoryMode.RANDOMISED, 0.0) if method.randomised else (MemoryMode.FROZEN, 1.0)
        requests = [
            self._request(task, mode, version, attempt=attempt, temperature=temperature)
            for task in tasks
            for attempt in range(1, method.practice + 1)
        ]
        return await self._play(requests, recaller)

    async def _play(self, requests: Sequence[EpisodeRequest], recaller: SnapshotRecaller | None) -> list[Episode]:
        rollouts = LocalRollouts(self._suite, self._agent, JUDGE, workers=WAVE, recaller=recaller)
        found = {episode.trajectory.id: episode async for episode in rollouts.run(requests)}
        return [found[request.trajectory_id] for request in requests]

    def _request(
        self, task: Task, mode: MemoryMode, version: int, *, attempt: int = 0, temperature: float = 0.0
    ) -> EpisodeRequest:
        agent = self._agent.name
        release = Release(id=agent, name=agent, model=agent, bank_version=version, harness="benchmark")
        return EpisodeRequest(
            trajectory_id=content_id("traj", agent, self.cell.method, self.cell.seed, task.id, mode, attempt),
            run_id="methods",
            task=task,
            phase=Phase.COLLECT,
            release=release,
            memory=mode,
            seed=self.cell.seed,
            attempt=attempt,
            temperature=temperature,
            max_steps=self._steps,
            max_seconds=3600.0,  # a busy machine must not decide what is solved
        )

    async def _learn(self, distiller: Distiller, episodes: Sequence[Episode]) -> None:
        """What the wave teaches, offered to the bank. A model that breaks costs its items, not the cell."""
        groups: dict[str, list[tuple[Trajectory, Verdict]]] = {}
        for episode in episodes:
            if episode.trajectory.end is not EpisodeEnd.FAILED:
                groups.setdefault(episode.trajectory.task.id, []).append((episode.trajectory, episode.verdicts[-1]))
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
