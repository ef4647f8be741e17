"""sprout's own lessons as training rows: shown again while its weights learn something else, lest they forget them."""

import random

from wisen.models.tokens import Codec
from wisen.trainers.dataset import Row, continuation
from wisen.trainers.sprout.lessons import Ask, page_lesson, way_lesson
from wisen.trainers.sprout.mixture import STAGES
from wisen.trainers.sprout.words import Lexicon, Side


def lesson_row(codec: Codec, draw: random.Random) -> Row:
    """One decision of a lesson on acting, with or without notes."""
    stage = STAGES[-1]
    lexicon = Lexicon(Side.TRAIN, stage.ease + draw.uniform(-0.3, 0.3))
    while True:
        lesson = page_lesson if draw.random() < 0.5 else way_lesson
        row = _row(codec, draw.choice(lesson(draw, lexicon, stage.mix)))
        if row is not None:
            return row


def _row(codec: Codec, ask: Ask) -> Row | None:
    prompt, _ = codec.prompt(ask.messages)
    try:
        answer, admitted = codec.answer(ask.options, ask.options.index(ask.answer))
    except ValueError:  # two options that are different as text are the same as tokens
        return None
    return Row(*continuation(prompt, answer, admitted), template_id="lesson")
