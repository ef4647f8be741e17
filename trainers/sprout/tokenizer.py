"""sprout's tokenizer: byte-level BPE inside words and blanks dropped, so that a name has the same tokens wherever it
stands (see `wisen.models.tokens`); digits stand alone, and a word ends at an underscore. Its vocabulary is read from
generated lessons, which hold the fixed prompts of judge and distillers too.
"""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wisen.core.ids import derived_seed
from wisen.models.tokens import CHAT_TEMPLATE, END, PAD, SPECIAL
from wisen.trainers.sprout import words
from wisen.trainers.sprout.lessons import Mix
from wisen.trainers.sprout.mixture import lesson
from wisen.trainers.sprout.words import Lexicon, Side

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

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
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(r"\n|\d|[^\W\d_]+|_|[^\w\s]"), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pieces, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=4,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(seed, lessons), trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, chat_template=CHAT_TEMPLATE
    )
