"""What a training run would take, before it is begun: rows, tokens, time and memory. One batch is tried out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wisen.core.errors import WisenError
from wisen.core.records import Trajectory
from wisen.models.memory import GIB, free_bytes
from wisen.trainers.dataset import Row
from wisen.trainers.loop import IMITATE, Loss, batch_loss, batches
from wisen.trainers.trainer import Tongue, Trainer, require_fit

REFERENCE_SHARE = 1 / 3  # of a step's time that a pass without gradient takes
SPARE = 0.9  # of the free memory that may be planned with


@dataclass(frozen=True)
class Estimate:
    """rows: that are trained on; units: pairs or other bundles of them. tokens: in all epochs, renamed and replayed
    rows among them; trained: those of one epoch that carry loss. seconds: measured on one batch, for all of them.
    needed, free: bytes; free is None where it cannot be known."""

    rows: int
    units: int
    trajectories: int
    epochs: int
    tokens: int
    trained: int
    steps: int
    longest: int
    seconds: float
    needed: int
    free: int | None


def estimate(trainer: Trainer, trajectories: Sequence[Trajectory], *, parent: Path, seed: int) -> Estimate:
    """Raises `WisenError` where there is nothing to train on, or where it would not fit."""
    tongue = Tongue.load(parent)
    rows = trainer.rows(trajectories, seed=seed, codec=tongue.codec)
    model = trainer.load(parent, seed=seed)
    require_fit(model, rows)
    epochs = trainer.epochs(rows, tongue.codec, seed=seed)
    budget = trainer.settings.loop.batch_tokens
    plan = [batch for number, epoch in enumerate(epochs) for batch in batches(epoch, budget, seed=seed + number)]
    tokens = sum(_padded(batch) for batch in plan)
    every = [each.numel() for each in model.parameters()]
    moving = sum(each.numel() for each in model.parameters() if each.requires_grad)
    standing = 4 * (sum(every) + 3 * moving)  # weights; a gradient and two moments of those that move
    free = free_bytes(trainer.settings.device)
    require_room(standing, free)
    trial = min(plan, key=lambda batch: abs(_padded(batch) - min(budget, tokens // len(plan))))
    seconds, kept = tried(model, trial, {**IMITATE, **trainer.algorithm.losses()}, tongue.pad_id)
    needed = standing + int(kept * max(map(_padded, plan)) / _padded(trial))
    require_room(needed, free)
    passes = tokens / _padded(trial) * seconds
    if trainer.algorithm.needs_reference:
        passes += REFERENCE_SHARE * seconds * sum(row.tokens for row in rows) / _padded(trial)
    return Estimate(
        rows=len(rows),
        units=len({(row.loss, row.unit) if row.unit else id(row) for row in rows}),
        trajectories=len({row.trajectory_id for row in rows}),
        epochs=len(epochs),
        tokens=sum(row.tokens for epoch in epochs for row in epoch),
        trained=sum(len(row.trained) for row in epochs[0]),
        steps=len(plan),
        longest=max(row.tokens for row in rows),
        seconds=passes,
        needed=needed,
        free=free,
    )


def require_room(needed: int, free: int | None) -> None:
    if free is not None and needed > SPARE * free:
        raise WisenError(
            f"training needs about {needed / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free",
            "lower train.loop.batch_tokens, set train.lora = 16 or train.checkpointing = true, or take a smaller model",
        )


def tried(model: Any, batch: Sequence[Row], losses: dict[str, Loss], pad_id: int) -> tuple[float, int]:
    """(seconds, bytes kept for the way back) of one batch, forth and back, the second time round."""
    import torch

    kept: dict[int, int] = {}

    def keep(tensor: Any) -> Any:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    own = {each.untyped_storage().data_ptr() for each in model.parameters()}
    for _ in range(2):
        kept.clear()
        began = time.monotonic()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = batch_loss(model, batch, losses, pad_id)
            held = sum(size for place, size in kept.items() if place not in own)
        loss.backward()
        seconds = time.monotonic() - began
    model.zero_grad(set_to_none=True)
    return seconds, held


def _padded(batch: Sequence[Row]) -> int:
    return max(row.tokens for row in batch) * len(batch)
