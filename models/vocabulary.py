"""What each token of a tokenizer stands for, as bytes, and how bytes become text while they arrive.

A token may be a part of a character: only bytes can be joined. They are read by llguidance, whose masks are made over
the same bytes, so that what a grammar admitted is what the caller sees.
"""

import codecs
from collections.abc import Collection, Sequence
from typing import Any

from wisen.core.errors import SettingsError


class Vocabulary:
    """A fast tokenizer's tokens. Raises `SettingsError` for a tokenizer whose tokens cannot be read as bytes."""

    def __init__(self, tokenizer: Any, ends: Collection[int]) -> None:
        mend_decoder(tokenizer)
        self.size = len(tokenizer)
        self.ends = tuple(sorted(ends))
        self._added = {index: token.content.encode() for index, token in tokenizer.added_tokens_decoder.items()}
        self._hidden = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
        self.guide = _guide(tokenizer, self.ends)

    def piece(self, token: int) -> bytes:
        """What a token stands for; nothing for the unused rows that some models have beyond their vocabulary."""
        if token >= self.size:
            return b""
        added = self._added.get(token)
        return self.guide.decode_bytes([token]) if added is None else added

    def shown(self, token: int) -> bytes:
        """As `piece`, but special tokens, such as the end of a turn, are no part of a text."""
        return b"" if token in self._hidden or token in self.ends else self.piece(token)


def mend_decoder(tokenizer: Any) -> None:
    """Give a byte-level tokenizer that was saved without its decoder the one that it needs. Ids stay as they are."""
    from tokenizers import decoders

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None and backend.decoder is None and "ByteLevel" in repr(backend.pre_tokenizer):
        backend.decoder = decoders.ByteLevel()


def _guide(tokenizer: Any, ends: Sequence[int]) -> Any:
    from llguidance import LLTokenizer
    from tokenizers import Tokenizer, pre_tokenizers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise SettingsError("its tokenizer has no fast form", "save it again with a tokenizer.json")
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_padding()
    copy.no_truncation()
    if not copy.encode(" ", add_special_tokens=False).ids:
        # A tokenizer that drops blanks has no ids for the blanks that a grammar may ask for; its bytes have.
        copy.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    try:
        return LLTokenizer(copy.to_str(), eos_token=list(ends) or None)
    except Exception as error:  # a foreign library: it raises ValueError and, from Rust, others
        raise SettingsError(
            f"its tokenizer cannot be read: {error}", "byte-level and byte-fallback ones can"
        ) from error


class TextStream:
    """Pieces of bytes in, text out: whole characters only, and nothing from a stop string on.

    What may be the beginning of a stop string is held back until it is decided. `stopped` says that one was met.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.stopped = False

    def push(self, piece: bytes) -> str:
        return self.push_text(self._decoder.decode(piece))

    def push_text(self, text: str) -> str:
        if self.stopped:
            return ""
        text = self._held + text
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = max((held_back(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back, at the end. Half a character becomes the replacement character."""
        rest = self.push_text(self._decoder.decode(b"", final=True))
        held, self._held = self._held, ""
        return rest + held


def held_back(text: str, mark: str) -> int:
    """How many characters at the end of `text` may be the beginning of `mark`."""
    return next((size for size in range(min(len(mark) - 1, len(text)), 0, -1) if text.endswith(mark[:size])), 0)
