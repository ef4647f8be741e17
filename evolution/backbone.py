"""The first release, and the backbones that it may start from: sprout as it ships, or one built on the spot with a
vocabulary read from the environment's own pages."""

import os
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from wisen.core.ids import derived_seed
from wisen.core.records import (
    Checkpoint,
    MemoryMode,
    Phase,
    PhaseEnded,
    Release,
    ReleaseEventKind,
    Split,
    Trajectory,
)
from wisen.evolution.panels import FAR, limited
from wisen.evolution.workbench import RANDOM_POLICY, Bench
from wisen.models import sprout
from wisen.models.tiny import build_tiny
from wisen.trainers.checkpoints import describe
from wisen.trainers.sprout.replay import lesson_row
from wisen.trainers.trainer import Replay
from wisen.trainers.warmup import made_up_row, warm_up

READING_TASKS = 8


@dataclass(frozen=True)
class Backbone:
    """`title`: what a reader of a report knows it as before it was trained on anything here. `make`: puts it into the
    workspace and returns its checkpoint's name. `replay`: rows of what it learned at first."""

    title: str
    make: Callable[[Bench], Awaitable[str]]
    replay: Replay


async def first_release(bench: Bench) -> Release:
    """The release `r0`, with an empty bank: a remote model as it is, or the backbone before it was trained here.
    Promoted as it is: with nothing before it there is nothing to gate it against."""
    release = bench.store.release("r0")
    if release is None:
        release = bench.release("r0", bench.settings.model or await backbone(bench).make(bench), 0)
        what = bench.settings.model or backbone(bench).title
        bench.store.add_release(release, reason=f"the first release: {what}, and an empty bank")
    if bench.store.current_release() is None:
        bench.store.append_release_event(
            ReleaseEventKind.PROMOTED, release.id, reason="nothing came before it: there is nothing to compare it with"
        )
    return release


def backbone(bench: Bench) -> Backbone:
    return BACKBONES[bench.settings.backbone]


async def _shipped(bench: Bench) -> str:
    """sprout's folder, copied: a workspace holds all that its releases are made of."""
    folder = bench.workspace.weights / sprout.NAME
    if not folder.exists():
        scratch = folder.with_name(folder.name + ".part")
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(sprout.folder(), scratch)
        os.replace(scratch, folder)
    if bench.store.checkpoint(sprout.NAME) is None:
        bench.store.add_checkpoint(describe(folder))
    return sprout.NAME


async def _from_scratch(bench: Bench) -> str:
    """Random weights, warmed up on made-up pages unless that is switched off."""
    await _build(bench)
    return await _warmed_up(bench)


async def _build(bench: Bench) -> None:
    settings = bench.settings
    folder = bench.workspace.weights / "base"
    if bench.store.checkpoint("base") is not None:
        return
    random_policy = bench.release("random", RANDOM_POLICY, 0)
    tasks = bench.suite.tasks(Split.LEARN, READING_TASKS, offset=0 if limited(bench.suite) else FAR)
    requests = [bench.request(task, random_policy, Phase.COLLECT, MemoryMode.OFF, arm="reading") for task in tasks]
    await bench.play(requests, phase="read", title="reading pages for a vocabulary (random policy)")
    trajectories = bench.store.trajectories([request.trajectory_id for request in requests])
    texts = [text for trajectory in trajectories for text in _texts(trajectory)]
    build_tiny(folder, texts, settings.tiny, seed=derived_seed(settings.seed, "tiny"))
    bench.store.add_checkpoint(describe(folder))


async def _warmed_up(bench: Bench) -> str:
    settings = bench.settings
    if settings.warmup.pages == 0:
        return "base"
    if bench.store.checkpoint("warm") is None:
        started = time.monotonic()
        checkpoint = await bench.in_thread(lambda: _warm_up(bench))
        bench.store.add_checkpoint(checkpoint)
        tokens = checkpoint.recipe["tokens"]
        bench.emit(PhaseEnded(phase="warm-up", summary=f"{tokens:,} tokens", seconds=time.monotonic() - started))
    return "warm"


def _warm_up(bench: Bench) -> Checkpoint:
    weights = bench.workspace.weights
    if (weights / "warm").exists():  # written whole, but the store was not told: a kill came between
        return describe(weights / "warm")
    seed = derived_seed(bench.settings.seed, "warm-up")
    tick = bench.tick("warm-up", "warm-up on made-up pages: copying a name")
    return warm_up(weights / "base", weights / "warm", bench.settings.warmup, seed=seed, on_progress=tick)


def _texts(trajectory: Trajectory) -> list[str]:
    texts = [trajectory.instruction]
    for step in trajectory.steps:
        texts += [step.observation.text, *step.observation.actions]
    return texts


BACKBONES = {
    "sprout": Backbone("sprout as it ships", _shipped, lesson_row),
    "tiny": Backbone("untrained model (warm-up only)", _from_scratch, made_up_row),
}
