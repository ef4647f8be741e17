"""sprout's tokenizer: byte-level BPE inside words and blanks dropped, so that a name has the same tokens wherever it
stands (see `wisen.models.tokens`); digits stand alone, and a word ends at an underscore. Its vocabulary is read from
generated lessons, which hold the fixed prompts of judge and distillers too.
"""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wisen.core.ids import derived_seed
from wisen.models import tokens
from wisen.trainers.sprout import words
from wisen.trainers.sprout.lessons import Mix
from wisen.trainers.sprout.mixture import lesson
from wisen.trainers.sprout.words import Lexicon, Side

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

WORDS = r"\d|[^\W\d_]+|_"
EVERYDAY = (words.PEOPLE, words.THINGS, words.QUALITIES, words.NATURE, words.WORK, words.ACTS, words.FILLER)


def corpus(seed: int, lessons: int) -> Iterator[str]:
    """Texts that a vocabulary is read from: lessons of the training side, everyday words of both."""
    for number in range(lessons):
        draw = random.Random(derived_seed(seed, "vocabulary", number))
        for ask in lesson(draw, Lexicon(Side.TRAIN, 0.6), Mix()):
            for message in ask.messages:
                yield from (span.text for span in message.spans)
            yield ask.answer
    for pool in EVERYDAY:
        yield " ".join((*pool, *(word.capitalize() for word in pool)) * 6)
    yield " ".join(map(str, (*range(100), *range(100)))) * 3


def train_tokenizer(seed: int, vocab_size: int, lessons: int = 3000) -> "PreTrainedTokenizerFast":
    return tokens.train_tokenizer(corpus(seed, lessons), vocab_size, words=WORDS)
