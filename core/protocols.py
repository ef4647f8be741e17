"""The seams. Each has a conformance suite in tests/conformance that any implementation must pass."""

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from wisen.core.records import (
    Action,
    Attempted,
    Candidate,
    Checkpoint,
    Entry,
    Episode,
    EpisodeRequest,
    Found,
    MemoryItem,
    ModelReply,
    ModelRequest,
    Observation,
    Revision,
    Snapshot,
    Spent,
    Split,
    StepResult,
    SuiteCard,
    Task,
    Trajectory,
    Verdict,
)


class Capability(StrEnum):
    CHOICE = "choice"  # constrained choice among given options
    CHAT = "chat"  # free text
    TOOLS = "tools"  # tool calls
    TOKENS = "tokens"  # sampled token ids and logprobs: what training needs
    SCHEMA = "schema"  # text that a JSON schema admits


@runtime_checkable
class Model(Protocol):
    """Generates text. Concurrent calls are welcome; a local engine batches them."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    async def call(self, request: ModelRequest) -> ModelReply:
        """Answer one request. Raises `SettingsError` for a field it cannot honour, `ModelFault` when it fails."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Metered(Protocol):
    """Optional, of a model whose calls cost money or waiting."""

    @property
    def spent(self) -> Spent:
        """By this object, since it was made."""
        ...


@runtime_checkable
class Embedder(Protocol):
    @property
    def id(self) -> str:
        """Names the vector space: an index made under one id is never read under another."""
        ...

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, d] unit vectors. A text's vector does not depend on the texts beside it."""
        ...


@runtime_checkable
class Environment(Protocol):
    """One place to act in, used by one episode at a time and then again by the next."""

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Start the task. Screenshots, where the environment has any and a folder is given, go there.
        Raises `EnvironmentFault`."""
        ...

    async def step(self, action: Action) -> StepResult:
        """Act. An action that cannot be done is a step with a note in its observation, not an error."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Snapshots(Protocol):
    """Optional, of an environment: an episode can be kept as it is and gone on with from there, as often as wanted, in
    any environment of the same suite, also in another process. The same actions then have the same results."""

    async def snapshot(self) -> Snapshot:
        """The running episode; it goes on undisturbed. Raises `EnvironmentFault` where none runs, or it cannot be
        kept."""
        ...

    async def restore(self, snapshot: Snapshot) -> Observation:
        """Go on from there; returns what was seen last. An episode that was running here is over. Raises
        `EnvironmentFault` for a snapshot of another suite or version."""
        ...


@runtime_checkable
class Finishing(Protocol):
    """Optional, of an environment: the agent itself says when it is done."""

    @property
    def finishing(self) -> frozenset[str]:
        """The verbs and tools by which it says so. Each ends the episode."""
        ...


@runtime_checkable
class Suite(Protocol):
    """A family of tasks with the environments that run them. `start` brings up what its environments share (a
    browser, a page server); `create` makes one environment per concurrent episode."""

    @property
    def name(self) -> str: ...

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        """`per_template` tasks of each template of the suite, seeds counted from `offset` in the split's own range. A
        template whose tasks are limited gives those that it has from `offset` on: fewer, or none."""
        ...

    async def start(self) -> None: ...

    async def create(self) -> Environment: ...

    async def stop(self) -> None: ...


@runtime_checkable
class Described(Protocol):
    """Optional, of a suite: what there is to know before choosing it. Starts nothing. What is known before its options
    are, also where its packages are missing, is the attribute `about` of its class."""

    def card(self) -> SuiteCard: ...


@runtime_checkable
class Oracle(Protocol):
    """Solves tasks from what no agent may see. For tests only."""

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        """What to do from here: all of the way, or as far as this observation shows it; who has done that and is not
        at the end asks again, with what is seen then. Nothing where it knows no way."""
        ...


class Judgement(Protocol):
    """Says how an attempt went."""

    async def judge(self, trajectory: Trajectory) -> Verdict: ...


@runtime_checkable
class Distiller(Protocol):
    """Makes memory items from attempts at one task, with their verdicts. All it returns carries its evidence."""

    @property
    def name(self) -> str: ...

    async def distil(self, attempts: Sequence[tuple[Trajectory, Verdict]]) -> tuple[MemoryItem, ...]: ...


@runtime_checkable
class Curator(Protocol):
    """Optional, of a distiller: it rewrites what it wrote before. Then its `distil` makes nothing, and what was
    collected comes to `curate` instead, batch by batch."""

    @property
    def name(self) -> str: ...

    def batches(self, attempts: Sequence[Attempted]) -> tuple[tuple[Attempted, ...], ...]:
        """What it reads at one go, in the order in which it reads. Equal attempts give equal batches: a run that was
        stopped goes on at the batch where it stood."""
        ...

    async def curate(self, entries: Sequence[Entry], attempts: Sequence[Attempted]) -> Revision:
        """What becomes of its items after one batch. `entries` are all that it ever made for this suite, in the order
        in which they came, also those that rest. Changes nothing itself."""
        ...


class Ranker(Protocol):
    """Orders items that may be recalled."""

    @property
    def name(self) -> str: ...

    async def rank(
        self, found: Sequence[Found], *, query: str, seed: int, explore: bool = False
    ) -> tuple[Candidate, ...]:
        """Every item once, best first, whatever their order; of equal scores the lesser id first. Draws derive from the
        seed and the items' ids. explore: False where nothing may be tried out, in gates and reports."""
        ...


class Rollouts(Protocol):
    """Runs episodes, many at a time, and yields each as it ends (in any order). Writes nothing."""

    def run(self, requests: Sequence[EpisodeRequest]) -> AsyncIterator[Episode]: ...


class Trainer(Protocol):
    """Turns trajectories into a new checkpoint of the local backbone."""

    @property
    def name(self) -> str: ...

    def train(self, trajectories: Sequence[Trajectory], *, parent: Path, out: Path, seed: int) -> Checkpoint: ...
