"""Prompts and options as token ids for a small backbone.

A span becomes its tag and the tokens of its text, so that every span's token range is known and a memory span can be
left out by type. Words, punctuation marks and line ends are separate pieces and blanks are dropped: a name has the same
tokens wherever it stands, which is what makes copying it learnable for a small model. The text of an option is never
decoded from its ids (a choice is an index), so nothing is lost by that.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wisen.core.records import Message, SpanKind
from wisen.models.trie import TokenTree

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, ACT, END = "<pad>", "<act>", "<end>"
TAGS = {kind: f"<{kind.value}>" for kind in SpanKind}
SPECIAL = (PAD, ACT, END, *TAGS.values())
_BLANK = "Ġ"  # how byte-level tokenizers spell it
# For whoever talks to such a backbone in messages: a message becomes the span that is nearest to its role.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ {'system': '<system>', 'assistant': '<history>', 'tool': '<tool_result>'}"
    ".get(message.role, '<task>') }}{{ message.content }}{% endfor %}{% if add_generation_prompt %}<act>{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocab_size: int, words: str = r"\w+") -> "PreTrainedTokenizerFast":
    """Byte-level BPE over words, on the environments' own text. The same texts give the same vocabulary. `words`: what
    is a word, as a regular expression."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    pieces = pre_tokenizers.Split(Regex(rf"\n|{words}|[^\w\s]"), behavior="removed", invert=True)
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
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, chat_template=CHAT_TEMPLATE
    )


class Codec:
    """Turns messages and options into ids with a tokenizer. Text that looks like a tag is text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.pad_id, self.act_id, self.end_id = tokenizer.convert_tokens_to_ids([PAD, ACT, END])
        self._tags = {kind: tokenizer.convert_tokens_to_ids(tag) for kind, tag in TAGS.items()}
        self._cache: dict[str, tuple[int, ...]] = {}

    @classmethod
    def load(cls, folder: Path) -> "Codec":
        from transformers import PreTrainedTokenizerFast

        return cls(PreTrainedTokenizerFast.from_pretrained(folder))

    def text(self, text: str) -> tuple[int, ...]:
        """The ids of a text. Short texts recur (options, history lines), so they are kept."""
        known = self._cache.get(text)
        if known is None:
            known = tuple(self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
            if len(self._cache) > 50_000:
                self._cache.clear()
            self._cache[text] = known
        return known

    def prompt(self, messages: Sequence[Message]) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        """(ids, one [start, end) range per span). The prompt ends with the tag that asks for an act."""
        ids: list[int] = []
        ranges = []
        for message in messages:
            for span in message.spans:
                start = len(ids)
                ids += self.span(span.kind, span.text)
                ranges.append((start, len(ids)))
        ids.append(self.act_id)
        return tuple(ids), tuple(ranges)

    def written(self, text: str) -> tuple[int, ...]:
        """The ids of a text that the model is to write, closed. Its single blanks are tokens of their own, so that
        joining the bytes of what was written gives the text."""
        blank = self._tokenizer.convert_tokens_to_ids(_BLANK)
        ids: list[int] = []
        for number, part in enumerate(text.split(" ")):
            ids += ([blank] if number else []) + list(self.text(part))
        return (*ids, self.end_id)

    def span(self, kind: SpanKind, text: str) -> tuple[int, ...]:
        return (self._tags[kind], *self.text(text))

    def option(self, text: str) -> tuple[int, ...]:
        """An option's ids, closed, so that no option is the beginning of another."""
        return (*self.text(text), self.end_id)

    def answer(self, options: Sequence[str], index: int) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
        """(ids of an option, the tokens admitted at each): what constrained decoding samples when it takes it."""
        tree = TokenTree.of([self.option(option) for option in options])
        path = tree.paths[index]
        return tuple(tree.tokens[node] for node in path), tree.allowed(path)
