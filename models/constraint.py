"""What a text may be: one of some options, or what a grammar derives. Grammars are llguidance's.

A choice is a tree of tokens, as in the local engine: its options are tokenised as the model is used to, and the text is
known to be the option, also where a tokenizer drops blanks. Logits outside a constraint are masked before sampling.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wisen.core.errors import ModelFault, SettingsError
from wisen.core.records import JSON, Record, ToolSpec
from wisen.models.trie import ROOT, TokenTree
from wisen.models.vocabulary import Vocabulary

Mask = NDArray[np.bool_]

# As models were trained to write it; free blanks would let a weak model write nothing else.
_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class OneOf(Record):
    """The text is one of these."""

    options: tuple[str, ...]


class JsonText(Record):
    """The text is a JSON value that the schema admits."""

    schema_: JSON


class CallText(Record):
    """The text is `{"name": ..., "arguments": ...}` for one of the tools, arguments by the tool's schema."""

    tools: tuple[ToolSpec, ...]


Shape = OneOf | JsonText | CallText


class Constraint(Protocol):
    """Follows one text, token by token. `done`: nothing may follow. `text`: what is certain of the text so far, where
    that is known better than from the tokens."""

    @property
    def done(self) -> bool: ...

    @property
    def text(self) -> str | None: ...

    def admitted(self, size: int) -> Mask:
        """[size] the tokens that may come next; never none before `done`."""
        ...

    def take(self, token: int) -> None: ...


def compile_shape(shape: Shape, tokenizer: Any, vocabulary: Vocabulary) -> Constraint:
    """Raises `SettingsError` for a schema that is wrong or has keywords that cannot be enforced, and for options that
    the tokenizer cannot tell apart."""
    match shape:
        case OneOf():
            return Choosing(shape.options, tokenizer, vocabulary)
        case JsonText():
            return _Grammar(f"start: {_json(shape.schema_)}\n", vocabulary)
        case CallText():
            return _Grammar(_calls(shape.tools), vocabulary)


class Choosing:
    """One of some options. `tree` holds them all, so that one pass scores them."""

    def __init__(self, options: Sequence[str], tokenizer: Any, vocabulary: Vocabulary) -> None:
        if not vocabulary.ends:
            raise SettingsError("this model has no token that ends a text, and cannot choose")
        rows = tokenizer(list(options), add_special_tokens=False, split_special_tokens=True)["input_ids"]
        try:
            self.tree = TokenTree.of([[*row, vocabulary.ends[0]] for row in rows])
        except ValueError as error:
            raise SettingsError(f"the model cannot tell these options apart: {error}") from error
        self._options = options
        self._left = tuple(range(len(options)))
        self._node = ROOT
        self._depth = 0

    @property
    def done(self) -> bool:
        return self._node not in self.tree.children

    @property
    def text(self) -> str:
        left = [self._options[index] for index in self._left]
        first, last = min(left), max(left)
        same = next((at for at, letter in enumerate(first) if last[at : at + 1] != letter), len(first))
        return first[:same]

    def admitted(self, size: int) -> Mask:
        mask = np.zeros(size, dtype=np.bool_)
        mask[[self.tree.tokens[node] for node in self.tree.children[self._node]]] = True
        return mask

    def take(self, token: int) -> None:
        self._node = next(node for node in self.tree.children[self._node] if self.tree.tokens[node] == token)
        self._left = tuple(index for index in self._left if self.tree.paths[index][self._depth] == self._node)
        self._depth += 1


class _Grammar:
    text = None

    def __init__(self, grammar: str, vocabulary: Vocabulary) -> None:
        from llguidance import LLMatcher

        self._matcher = LLMatcher(vocabulary.guide, grammar, log_level=0)
        if self._matcher.is_error():
            raise SettingsError(f"the schema cannot be enforced: {_first_line(self._matcher.get_error())}")

    @property
    def done(self) -> bool:
        return self._matcher.is_stopped()

    def admitted(self, size: int) -> Mask:
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        mask = np.unpackbits(bits, bitorder="little")[:size].astype(np.bool_)
        return np.pad(mask, (0, size - len(mask)))

    def take(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ModelFault(f"the grammar became too much: {_first_line(self._matcher.get_error())}")


def _calls(tools: Sequence[ToolSpec]) -> str:
    # One rule per tool, each schema with a root of its own: `#/$defs/...` in it stays right.
    lines = ["start: " + " | ".join(f"call{index}" for index in range(len(tools)))]
    for index, tool in enumerate(tools):
        head = f'{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "arguments": '
        schema = tool.parameters or {"type": "object", "properties": {}, "additionalProperties": False}
        lines.append(f'call{index}: {json.dumps(head, ensure_ascii=False)} arguments{index} "}}"')
        lines.append(f"arguments{index}: {_json(schema)}")
    return "\n".join(lines) + "\n"


def _json(schema: Mapping[str, Any]) -> str:
    return "%json " + json.dumps({**schema, "x-guidance": _STYLE})


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0]
