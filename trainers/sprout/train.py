"""Trains sprout from generated episodes, for as long as it is given.

    python -m wisen.trainers.sprout.train --minutes 90 --out .sprout

Writes to the folder: `tokenizer/`, `state.pt` (from which another call goes on), `curve.jsonl`, and `weights/`, a
checkpoint in the transformers format with its card. The rate falls to nothing in the last part of the time
(`--settle`); `state.pt` is from before that, so that training can go on as if it had not been interrupted. Lessons are
numbered, and each derives from the seed and its number.
"""

import argparse
import json
import logging
import math
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wisen.core.records import Record
from wisen.models.quiet import quiet_transformers
from wisen.models.tokens import Codec
from wisen.trainers.sprout.card import write as write_card
from wisen.trainers.sprout.evaluate import Skill, evaluate
from wisen.trainers.sprout.mixture import training_lesson
from wisen.trainers.sprout.network import Shape, build, hidden_states
from wisen.trainers.sprout.optim import Optimisers, Rates
from wisen.trainers.sprout.packing import Batch, Shelf, batch_of, pack
from wisen.trainers.sprout.tokenizer import train_tokenizer

log = logging.getLogger("sprout")


class SproutSettings(Record):
    """batch_tokens: of a step. vocabulary_lessons: that the vocabulary is read from. spelling: weight of the loss of
    answers over the whole vocabulary, beside that of the choice among what is admitted; reading: of the rest of the
    text."""

    shape: Shape = Shape()
    rates: Rates = Rates()
    batch_tokens: int = 6144
    vocabulary_lessons: int = 3000
    spelling: float = 0.5
    reading: float = 0.2
    seed: int = 0
    threads: int = 1


@dataclass
class Progress:
    """How far a run is. seconds: of training, evaluation left out."""

    step: int = 0
    tokens: int = 0
    lesson: int = 0
    seconds: float = 0.0


def losses(model: Any, batch: Batch, settings: SproutSettings) -> tuple[Any, dict[str, float]]:
    """The loss of a batch, and its parts: `choice` per question, `spelling` and `reading` per token."""
    import torch
    from torch.nn.functional import cross_entropy

    hidden = hidden_states(model, batch.ids, batch.positions, batch.sees).reshape(-1, model.config.hidden_size)
    low = torch.bfloat16
    head = model.model.embed_tokens.weight.to(low)
    logits = (hidden[torch.cat([batch.points, batch.answers, batch.other])].to(low) @ head.t()).float()
    points, answers, other = logits.split([len(batch.points), len(batch.answers), len(batch.other)])
    choice = cross_entropy(points.masked_fill(batch.barred, -1e9), batch.point_tokens, reduction="sum")
    spelling, reading = cross_entropy(answers, batch.answer_tokens), cross_entropy(other, batch.other_tokens)
    loss = choice / batch.asks + settings.spelling * spelling + settings.reading * reading
    parts = {"choice": choice / batch.asks, "spelling": spelling, "reading": reading}
    return loss, {name: float(value.detach()) for name, value in parts.items()}


class Run:
    """A run in its folder: begun, or gone on with."""

    def __init__(self, out: Path, settings: SproutSettings) -> None:
        import torch

        quiet_transformers()
        torch.set_num_threads(settings.threads)
        torch.manual_seed(settings.seed)
        self.out, self.settings, self.progress = out, settings, Progress()
        out.mkdir(parents=True, exist_ok=True)
        if not (out / "tokenizer").exists():
            log.info("reading a vocabulary")
            train_tokenizer(settings.seed, settings.shape.vocab_size, settings.vocabulary_lessons).save_pretrained(
                out / "tokenizer.part", save_jinja_files=False
            )
            os.replace(out / "tokenizer.part", out / "tokenizer")
        from transformers import PreTrainedTokenizerFast

        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(out / "tokenizer")
        self.codec = Codec(self.tokenizer)
        self.model = build(settings.shape, self.tokenizer, seed=settings.seed)
        self.optimisers = Optimisers(self.model, settings.rates)
        if (out / "state.pt").exists():
            state = torch.load(out / "state.pt", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimisers.load(state["optimisers"])
            self.progress = Progress(**state["progress"])
            self._forget_later_points()
            log.info("going on from step %d, %.2f M tokens", self.progress.step, self.progress.tokens / 1e6)
        self.shelf = Shelf(settings.batch_tokens)
        self.skills: dict[str, Skill] = {}

    def _forget_later_points(self) -> None:
        """The curve of a fall that this run does not go on from is not its own."""
        file = self.out / "curve.jsonl"
        if file.exists():
            points = file.read_text().splitlines(keepends=True)
            kept = [point for point in points if json.loads(point)["tokens"] <= self.progress.tokens]
            file.write_text("".join(kept))

    def batch(self) -> Batch:
        """The next one, from as many lessons as it takes."""
        done = self.progress
        while True:
            asks = training_lesson(self.settings.seed, done.lesson, done.tokens)
            done.lesson += 1
            if filled := self.shelf.put(pack(self.codec, asks)):
                return batch_of(*filled, self.codec.pad_id, self.model.config.vocab_size)

    def train(self, minutes: float, *, settle: float, report: float, lessons: int = 60) -> None:
        """minutes: of this call. settle: the share of them in which the rate falls. report: minutes between
        evaluations, of so many lessons."""
        import torch

        begun, last = time.monotonic(), time.monotonic()
        total, falls, saved = 60 * minutes, 60 * minutes * (1 - settle), False
        running: dict[str, float] = {}
        while (now := time.monotonic() - begun) < total:
            if now >= falls and not saved:
                self.save_state()
                saved = True
            share = 1.0 if now < falls else max(0.02, (total - now) / (total - falls))
            started = time.monotonic()
            batch = self.batch()
            loss, parts = losses(self.model, batch, self.settings)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.rates.clip)
            self.optimisers.step(self.progress.step, share)
            self.progress.step += 1
            self.progress.tokens += batch.tokens
            self.progress.seconds += time.monotonic() - started
            if not all(math.isfinite(value) for value in parts.values()):
                raise FloatingPointError(f"the loss is not a number at step {self.progress.step}")
            running = {name: 0.95 * running.get(name, value) + 0.05 * value for name, value in parts.items()}
            if self.progress.step % 20 == 0:
                rate = self.progress.tokens / max(1e-9, self.progress.seconds)
                told = ", ".join(f"{name} {value:.3f}" for name, value in running.items())
                log.info(
                    "step %d, %.2f M tokens, %.0f/s: %s", self.progress.step, self.progress.tokens / 1e6, rate, told
                )
            if time.monotonic() - last > 60 * report:
                self.report(running, lessons)
                if not saved:
                    self.save_state()
                last = time.monotonic()
        self.report(running, lessons)
        self.save_weights()

    def report(self, running: dict[str, float], lessons: int) -> None:
        self.skills = evaluate(self.model, self.codec, lessons=lessons, seed=self.settings.seed + 1)
        point = {
            "step": self.progress.step,
            "tokens": self.progress.tokens,
            "seconds": round(self.progress.seconds),
            "loss": {name: round(value, 4) for name, value in running.items()},
            "skills": {name: one.right for name, one in self.skills.items()},
        }
        with (self.out / "curve.jsonl").open("a") as file:
            file.write(json.dumps(point) + "\n")
        log.info("; ".join(f"{name} {one.right:.2f} ({one.chance:.2f})" for name, one in self.skills.items()))

    def save_state(self) -> None:
        import torch

        state = {
            "model": self.model.state_dict(),
            "optimisers": self.optimisers.state(),
            "progress": vars(self.progress),
        }
        torch.save(state, self.out / "state.part")
        os.replace(self.out / "state.part", self.out / "state.pt")

    def save_weights(self) -> None:
        """The folder `weights`, whole or not at all."""
        scratch, folder = self.out / "weights.part", self.out / "weights"
        shutil.rmtree(scratch, ignore_errors=True)
        self.model.save_pretrained(scratch)
        for path in (self.out / "tokenizer").iterdir():
            shutil.copyfile(path, scratch / path.name)
        curve = [json.loads(line) for line in (self.out / "curve.jsonl").read_text().splitlines()]
        recipe = {
            "algorithm": "generated episodes, from random weights",
            "settings": self.settings.model_dump(),
            "parameters": int(self.model.num_parameters()),
            "steps": self.progress.step,
            "tokens": self.progress.tokens,
            "lessons": self.progress.lesson,
            "seconds": round(self.progress.seconds),
            "skills": {name: one.model_dump() for name, one in self.skills.items()},
            "curve": curve,
            "data": "none but what wisen.trainers.sprout generates from the seed",
            "licence": "Apache-2.0",
        }
        write_card(scratch, recipe)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(scratch, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settle", type=float, default=0.2, help="the share of the time in which the rate falls")
    parser.add_argument("--report", type=float, default=5.0, help="minutes between evaluations")
    told = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    run = Run(told.out, SproutSettings(seed=told.seed, threads=told.threads))
    run.train(told.minutes, settle=told.settle, report=told.report)


if __name__ == "__main__":
    main()
