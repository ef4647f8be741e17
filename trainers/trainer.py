"""Training: trajectories and the weights of a parent in, a new checkpoint out, by whatever algorithm."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wisen.core.errors import SettingsError, WisenError
from wisen.core.ids import derived_seed
from wisen.core.records import Checkpoint, Trajectory
from wisen.models.quiet import quiet_transformers
from wisen.models.tokens import SPECIAL, Codec
from wisen.trainers.algorithms import make_algorithm
from wisen.trainers.algorithms.base import NothingToTrain
from wisen.trainers.checkpoints import save_checkpoint
from wisen.trainers.data import Dataset
from wisen.trainers.dataset import Row, capped
from wisen.trainers.loop import IMITATE, Progress, scored, train
from wisen.trainers.lora import merged_back, with_lora
from wisen.trainers.renaming import labels_of, renamed
from wisen.trainers.settings import TrainSettings
from wisen.trainers.warmup import made_up_row

Replay = Callable[[Codec, random.Random], Row]  # a row of what the weights learned before


@dataclass(frozen=True)
class Tongue:
    """How a backbone spells. codec: None where it has no tags for spans."""

    codec: Codec | None
    pad_id: int

    @classmethod
    def load(cls, folder: Path) -> "Tongue":
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        if all(tag in tokenizer.get_vocab() for tag in SPECIAL):
            codec = Codec(tokenizer)
            return cls(codec, codec.pad_id)
        return cls(None, next((at for at in (tokenizer.pad_token_id, tokenizer.eos_token_id) if at is not None), 0))


class Trainer:
    """Implements `wisen.core.protocols.Trainer`. Raises `SettingsError` for an algorithm that there is not."""

    def __init__(
        self, settings: TrainSettings, on_progress: Progress | None = None, *, replay: Replay = made_up_row
    ) -> None:
        self.algorithm = make_algorithm(settings.algorithm, settings.options)
        self.settings = settings
        self._refuse_ignored()
        self._on_progress = on_progress
        self._replay = replay

    @property
    def name(self) -> str:
        return self.settings.algorithm

    def train(self, trajectories: Sequence[Trajectory], *, parent: Path, out: Path, seed: int) -> Checkpoint:
        """A new checkpoint at `out` from the weights in `parent`. Raises `NothingToTrain`, and `WisenError` for what
        does not fit the model."""
        tongue = Tongue.load(parent)
        rows = self.rows(trajectories, seed=seed, codec=tongue.codec)
        model = self.load(parent, seed=seed)
        require_fit(model, rows)
        if self.algorithm.needs_reference:
            rows = self.algorithm.select(scored(model, rows, self.settings.loop.batch_tokens, pad_id=tongue.pad_id))
        loop = self.settings.loop
        result = train(
            model,
            self.epochs(self.required(rows), tongue.codec, seed=seed),
            loop.model_copy(update={"learning_rate": loop.learning_rate * self.algorithm.rate}),
            pad_id=tongue.pad_id,
            seed=seed,
            losses={**IMITATE, **self.algorithm.losses()},
            on_progress=self._on_progress,
        )
        recipe = {
            "algorithm": self.name,
            "settings": self.settings.model_dump(),
            "seed": seed,
            "rows": len(rows),
            "trajectories": len({row.trajectory_id for row in rows}),
            "steps": result.steps,
            "tokens": result.tokens,
            "first_loss": round(result.first_loss, 4),
            "last_loss": round(result.last_loss, 4),
        }
        if self.settings.lora:
            model = merged_back(model)
        return save_checkpoint(model.cpu(), parent, out, parent=parent.name, recipe=recipe)

    def load(self, parent: Path, *, seed: int) -> Any:
        """The parent's model as it is to be trained."""
        import torch
        from transformers import AutoModelForCausalLM

        quiet_transformers()
        torch.set_num_threads(self.settings.threads)
        torch.manual_seed(seed)
        model: Any = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.float32)
        model = model.to(self.settings.device)
        if self.settings.checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        return with_lora(model, self.settings.lora) if self.settings.lora else model

    def rows(self, trajectories: Sequence[Trajectory], *, seed: int, codec: Codec | None = None) -> list[Row]:
        """What is trained on, families balanced. Raises `NothingToTrain` where that is nothing."""
        dataset = Dataset.of(trajectories, self.settings.data, codec=codec, seed=seed)
        self.algorithm.check(dataset)
        return self.required(balanced_units(self.algorithm.rows(dataset), self.settings.cap, seed=seed))

    def _refuse_ignored(self) -> None:
        """Raises `SettingsError` for what was asked for and would change nothing."""
        asked, usual = self.settings, TrainSettings()
        if not self.algorithm.imitates and asked.rename not in (0, usual.rename):
            raise SettingsError(
                f"train.rename is {asked.rename:g}, and {self.name} takes no renamed rows", "leave it out, or take rft"
            )

    def required(self, rows: list[Row]) -> list[Row]:
        if not rows:
            raise NothingToTrain(f"there is nothing to train on: {self.algorithm.lacking}")
        return rows

    def epochs(self, rows: Sequence[Row], codec: Codec | None, *, seed: int) -> list[list[Row]]:
        """Each epoch holds every row as it was sampled, beside it a renamed one, and fresh rows of the replay."""
        pool = tuple(sorted({label for row in rows if row.request for label in labels_of(row.request)}))
        most = min(self.settings.most_epochs, self.algorithm.epochs)
        epochs: list[list[Row]] = []
        trained = 0
        while not epochs or (trained < self.settings.tokens and len(epochs) < most):
            epochs.append(self._epoch(rows, pool, codec, seed=derived_seed(seed, "epoch", len(epochs))))
            trained += sum(row.tokens for row in epochs[-1])
        return epochs

    def _epoch(self, rows: Sequence[Row], pool: Sequence[str], codec: Codec | None, *, seed: int) -> list[Row]:
        epoch = list(rows)
        renames = self.settings.rename > 0 and self.algorithm.imitates
        if codec is None and (renames or self.settings.replay > 0):
            raise SettingsError(
                "renamed and replayed rows are written in wisen's own tags, which this backbone has not",
                "train.rename = 0 and train.replay = 0",
            )
        if codec is None:
            return epoch
        if renames:
            extra = (renamed(row, codec, pool, share=self.settings.rename, seed=seed) for row in rows)
            epoch += [row for row in extra if row is not None]
        for number in range(round(self.settings.replay * len(rows))):
            epoch.append(self._replay(codec, random.Random(derived_seed(seed, "replay", number))))
        return epoch


def balanced_units(rows: Sequence[Row], cap: int, *, seed: int) -> list[Row]:
    """At most `cap` rows of each template; rows of one unit count as one, and stay together."""
    units: dict[object, list[Row]] = {}
    for number, row in enumerate(rows):
        units.setdefault((row.loss, row.unit) if row.unit else number, []).append(row)
    firsts = {id(unit[0]): unit for unit in units.values()}
    kept = capped([unit[0] for unit in units.values()], cap, lambda row: row.template_id, seed=seed)
    return [row for first in kept for row in firsts[id(first)]]


def require_fit(model: Any, rows: Sequence[Row]) -> None:
    """Raises `WisenError` where a row is longer than the model's context."""
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    longest = max(row.tokens for row in rows)
    if most and longest > most:
        raise WisenError(
            f"a row has {longest} tokens, and the model has places for {most}", "data.view = steps, or a filter"
        )
