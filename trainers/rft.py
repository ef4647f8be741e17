"""Rejection-sampling fine-tuning: the loss on the policy's own successful decisions (Yuan et al. 2023,
arXiv 2308.01825; STaR, Zelikman et al. 2022, arXiv 2203.14465)."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from wisen.core.errors import WisenError
from wisen.core.ids import derived_seed
from wisen.core.records import Checkpoint, Record, Trajectory
from wisen.models.quiet import quiet_transformers
from wisen.models.tokens import Codec
from wisen.trainers.checkpoints import save_checkpoint
from wisen.trainers.dataset import Row, balanced, deduplicated, step_rows
from wisen.trainers.loop import LoopSettings, Progress, train
from wisen.trainers.renaming import labels_of, renamed
from wisen.trainers.warmup import made_up_row

Replay = Callable[[Codec, random.Random], Row]  # a row of what the weights learned before


class RFTSettings(Record):
    """tokens: about how many are trained on, in whole epochs: at least one, at most `most_epochs`. cap: rows of one
    template at most. rename: share of labels renamed in the extra row that each row brings to each epoch (0: no extra
    rows). replay: rows of what the backbone learned at first (sprout's lessons, or the pages of the warm-up) per row
    and epoch, against forgetting it."""

    tokens: int = 120_000
    most_epochs: int = 10
    cap: int = 160
    rename: float = 0.5
    replay: float = 1.0
    threads: int = 2
    loop: LoopSettings = LoopSettings(learning_rate=1e-3, batch_tokens=1536)


class RFT:
    """Implements `wisen.core.protocols.Algorithm`."""

    name = "rft"

    def __init__(
        self, settings: RFTSettings, on_progress: Progress | None = None, *, replay: Replay = made_up_row
    ) -> None:
        self._settings = settings
        self._on_progress = on_progress
        self._replay = replay

    def train(self, trajectories: Sequence[Trajectory], *, parent: Path, out: Path, seed: int) -> Checkpoint:
        """A new checkpoint at `out` from the weights in `parent`. Raises `WisenError` when nothing succeeded."""
        import torch
        from transformers import AutoModelForCausalLM

        quiet_transformers()
        rows = self.rows(trajectories, seed=seed)
        if not rows:
            raise WisenError("there is nothing to train on: no collected episode succeeded")
        codec = Codec.load(parent)
        torch.set_num_threads(self._settings.threads)
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32)
        result = train(
            model,
            self.epochs(rows, codec, seed=seed),
            self._settings.loop,
            pad_id=codec.pad_id,
            seed=seed,
            on_progress=self._on_progress,
        )
        recipe = {
            "algorithm": self.name,
            "settings": self._settings.model_dump(),
            "seed": seed,
            "rows": len(rows),
            "trajectories": len({row.trajectory_id for row in rows}),
            "steps": result.steps,
            "tokens": result.tokens,
            "first_loss": round(result.first_loss, 4),
            "last_loss": round(result.last_loss, 4),
        }
        return save_checkpoint(model, parent, out, parent=parent.name, recipe=recipe)

    def rows(self, trajectories: Sequence[Trajectory], *, seed: int) -> list[Row]:
        """What is trained on: successful decisions, each once, families balanced."""
        return balanced(deduplicated(step_rows(trajectories)), self._settings.cap, seed=seed)

    def epochs(self, rows: Sequence[Row], codec: Codec, *, seed: int) -> list[list[Row]]:
        """Each epoch holds every row as it was sampled, beside it a renamed one, and fresh rows of the replay."""
        pool = tuple(sorted({label for row in rows if row.request for label in labels_of(row.request)}))
        epochs: list[list[Row]] = []
        trained = 0
        while not epochs or (trained < self._settings.tokens and len(epochs) < self._settings.most_epochs):
            epochs.append(self._epoch(rows, pool, codec, seed=derived_seed(seed, "epoch", len(epochs))))
            trained += sum(row.tokens for row in epochs[-1])
        return epochs

    def _epoch(self, rows: Sequence[Row], pool: Sequence[str], codec: Codec, *, seed: int) -> list[Row]:
        epoch = list(rows)
        if self._settings.rename > 0:
            extra = (renamed(row, codec, pool, share=self._settings.rename, seed=seed) for row in rows)
            epoch += [row for row in extra if row is not None]
        for number in range(round(self._settings.replay * len(rows))):
            epoch.append(self._replay(codec, random.Random(derived_seed(seed, "replay", number))))
        return epoch
