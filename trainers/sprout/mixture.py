"""Which lessons come when. Short names and one note come first: plateaus end sooner so."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from wisen.core.ids import derived_seed
from wisen.trainers.sprout.kinds import HELD_KINDS
from wisen.trainers.sprout.lessons import Ask, Mix, page_lesson, way_lesson
from wisen.trainers.sprout.pages import HELD_PAGES
from wisen.trainers.sprout.records import distil_lesson, judge_lesson
from wisen.trainers.sprout.words import Lexicon, Side

LESSONS: dict[str, Callable[..., list[Ask]]] = {
    "page": page_lesson,
    "way": way_lesson,
    "judge": judge_lesson,
    "distil": distil_lesson,
}


@dataclass(frozen=True)
class Stage:
    """`until`: tokens at which it ends. `shares`: of the lessons."""

    until: float
    shares: tuple[float, float, float, float]
    mix: Mix
    ease: float


STAGES = (
    Stage(1.0e6, (0.75, 0.25, 0.0, 0.0), Mix(notes=1, candidates=3, questions=4, wrong=0.0, outdated=0.0), 0.95),
    Stage(3.5e6, (0.45, 0.54, 0.01, 0.0), Mix(notes=1, candidates=4, questions=4, wrong=0.02, outdated=0.02), 0.8),
    Stage(6.0e6, (0.40, 0.52, 0.065, 0.015), Mix(notes=2, candidates=4, wrong=0.05), 0.65),
    Stage(float("inf"), (0.40, 0.50, 0.07, 0.03), Mix(), 0.5),
)


def stage_at(tokens: float) -> Stage:
    return next(stage for stage in STAGES if tokens < stage.until)


def lesson(draw: random.Random, lexicon: Lexicon, mix: Mix, shares: tuple[float, ...] = STAGES[-1].shares) -> list[Ask]:
    """A lesson of the training families."""
    name = draw.choices(tuple(LESSONS), shares)[0]
    return LESSONS[name](draw, lexicon, mix)


def training_lesson(seed: int, number: int, tokens: float) -> list[Ask]:
    """Lesson `number` of a run that has seen so many tokens."""
    stage = stage_at(tokens)
    draw = random.Random(derived_seed(seed, "lesson", number))
    ease = min(1.0, max(0.0, stage.ease + draw.uniform(-0.3, 0.3)))
    return lesson(draw, Lexicon(Side.TRAIN, ease), stage.mix, stage.shares)


def held_lesson(seed: int, number: int, name: str, mix: Mix) -> list[Ask]:
    """A lesson of families, words and phrases that no training lesson holds."""
    draw = random.Random(derived_seed(seed, "held-out", name, number))
    lexicon = Lexicon(Side.HELD, 0.5)
    if name == "page":
        return page_lesson(draw, lexicon, mix, tuple(HELD_PAGES))
    if name == "way":
        return way_lesson(draw, lexicon, mix, HELD_KINDS)
    return LESSONS[name](draw, lexicon, mix, tuple(HELD_PAGES), HELD_KINDS)
