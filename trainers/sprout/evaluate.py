"""How well the weights do on fresh lessons: of the training's families, and of what training never holds.

`python -m wisen.trainers.sprout.evaluate FOLDER --lessons 100`
"""

import argparse
import json
import logging
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wisen.core.ids import derived_seed
from wisen.core.records import Record
from wisen.models.tokens import Codec
from wisen.trainers.sprout.lessons import Ask, Mix
from wisen.trainers.sprout.mixture import LESSONS, held_lesson
from wisen.trainers.sprout.network import hidden_states
from wisen.trainers.sprout.packing import ROWS, Pack, batch_of, pack
from wisen.trainers.sprout.words import Lexicon, Side

log = logging.getLogger(__name__)


class Skill(Record):
    """right: share of questions answered right by the most probable option (or text). chance: of a uniform choice."""

    right: float
    chance: float
    questions: int


def evaluate(model: Any, codec: Codec, *, lessons: int, seed: int, mix: Mix | None = None) -> dict[str, Skill]:
    """Skills by name, those on held-out families, words and phrases under `held-out: ...`."""
    mix = mix or Mix()
    found = {}
    for held in (False, True):
        for name in LESSONS:
            count = lessons if name in ("page", "way") else lessons // 4
            asks = [_lesson(seed, number, name, mix, held) for number in range(count)]
            for skill, one in measured(model, codec, asks).items():
                found[("held-out: " if held else "") + skill] = one
    return found


def _lesson(seed: int, number: int, name: str, mix: Mix, held: bool) -> list[Ask]:
    if held:
        return held_lesson(seed, number, name, mix)
    draw = random.Random(derived_seed(seed, "fresh", name, number))
    return LESSONS[name](draw, Lexicon(Side.TRAIN, 0.5), mix)


def measured(model: Any, codec: Codec, lessons: Sequence[Sequence[Ask]]) -> dict[str, Skill]:
    """Every right answer is a branch of its own; a question is answered right if every choice along one is."""
    import torch

    asks = [ask for lesson in lessons for ask in lesson]
    right = [False] * len(asks)
    packs: list[tuple[int, Pack]] = []
    for index, ask in enumerate(asks):
        for answer in ask.fair or (ask.answer,):
            packs.append((index, pack(codec, [replace(ask, answer=answer)])))
    with torch.inference_mode():
        for length in ROWS:
            below = max((one for one in ROWS if one < length), default=0)
            fitting = [one for one in packs if below < len(one[1].ids) <= length]
            for begin in range(0, len(fitting), 16):
                some = fitting[begin : begin + 16]
                for (index, _), good in zip(some, _hits(model, codec, some, length), strict=True):
                    right[index] = right[index] or good
    groups: dict[str, list[int]] = defaultdict(list)
    for index, ask in enumerate(asks):
        groups[ask.skill].append(index)
    return {
        skill: Skill(
            right=round(sum(right[index] for index in group) / len(group), 3),
            chance=round(sum(_chance(asks[index]) for index in group) / len(group), 3),
            questions=len(group),
        )
        for skill, group in sorted(groups.items())
    }


def _chance(ask: Ask) -> float:
    if ask.rivals:
        return 0.5
    return len(ask.fair or (0,)) / len(ask.options) if ask.options else 0.0


def _hits(model: Any, codec: Codec, some: Sequence[tuple[int, Pack]], length: int) -> list[bool]:
    batch = batch_of(length, [[one] for _, one in some], codec.pad_id, model.config.vocab_size)
    hidden = hidden_states(model, batch.ids, batch.positions, batch.sees).reshape(-1, model.config.hidden_size)
    head = model.model.embed_tokens.weight
    hits = [True] * len(some)
    free = [not one.points for _, one in some]  # a text to be written: every token counts
    for places, tokens, barred, only in (
        (batch.points, batch.point_tokens, batch.barred, False),
        (batch.answers, batch.answer_tokens, None, True),
    ):
        if not len(places):
            continue
        logits = hidden[places] @ head.t()
        if barred is not None:
            logits = logits.masked_fill(barred, -1e9)
        told: set[int] = set()
        for place, good in zip(places.tolist(), (logits.argmax(-1) == tokens).tolist(), strict=True):
            row = place // length
            if only and not free[row]:
                continue
            if some[row][1].verdict and row in told:
                continue  # of a verdict only its sense counts, not how it goes on
            told.add(row)
            hits[row] = hits[row] and good
    return hits


def table(skills: dict[str, Skill]) -> str:
    lines = ["| skill | right | chance | questions |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {100 * one.right:.0f} % | {100 * one.chance:.0f} % | {one.questions} |"
        for name, one in skills.items()
    ]
    return "\n".join(lines)


def main(write: Callable[[str], Any] = sys.stdout.write) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from wisen.models.quiet import quiet_transformers

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lessons", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    quiet_transformers()
    model = AutoModelForCausalLM.from_pretrained(told.folder, dtype=torch.float32).eval()
    skills = evaluate(model, Codec.load(told.folder), lessons=told.lessons, seed=told.seed)
    text = json.dumps({name: one.model_dump() for name, one in skills.items()}) if told.json else table(skills)
    write(text + "\n")


if __name__ == "__main__":
    main()
