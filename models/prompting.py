"""Requests as token ids: in spans for backbones that were made for them, by the chat template for all others."""

from collections.abc import Sequence
from typing import Any

from wisen.core.records import Message, ToolSpec
from wisen.models.chat import ChatFormat
from wisen.models.spanning import Ranges
from wisen.models.tokens import SPECIAL, Codec


class Prompting:
    """How one tokenizer wants to be asked. spans: whether it has a tag for every kind of span."""

    def __init__(self, tokenizer: Any, ends: Sequence[int]) -> None:
        known = tokenizer.get_vocab()
        self.spans = all(tag in known for tag in SPECIAL)
        self.chat = ChatFormat(tokenizer)
        self._codec = Codec(tokenizer) if self.spans else None
        self._tokenizer, self._ends = tokenizer, ends

    def encode(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> tuple[tuple[int, ...], Ranges]:
        """(ids, one [start, end) range per span; none where they cannot be known)."""
        if self._codec is not None and not tools:
            return self._codec.prompt(messages)
        ids = self.chat.encode(messages, tools)
        return ids, self.chat.ranges(messages, tools, ids)

    def option(self, text: str) -> tuple[int, ...]:
        """An option's ids, closed, so that no option is the beginning of another."""
        if self._codec is not None:
            return self._codec.option(text)
        ids = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return (*ids, *self._ends[:1])
