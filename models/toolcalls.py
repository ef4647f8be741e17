"""Tool calls as text: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, the form that Hermes, Qwen and others
are trained on (NousResearch, Hermes Function Calling).

A reply's text is read while it arrives and becomes `Delta`s. What only looks like a call stays text.
"""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from wisen.core.records import Message, Role, Span, SpanKind, ToolCall, ToolSpec
from wisen.models.vocabulary import held_back

OPEN, CLOSE = "<tool_call>", "</tool_call>"
OPENING = OPEN + "\n"  # what a prompt ends with where a call is required
_HEAD = re.compile(r'\{"name": ("(?:[^"\\]|\\.)*"), "arguments": ')


@dataclass(frozen=True)
class Delta:
    """A piece of a reply: text, or a piece of the `index`th call; `id` and `name` come with the first piece of it."""

    text: str = ""
    index: int | None = None
    id: str = ""
    name: str = ""
    arguments: str = ""


def gathered(deltas: Sequence[Delta]) -> tuple[str, tuple[ToolCall, ...]]:
    """(text, calls) of a whole reply."""
    calls = tuple(
        ToolCall(name=each.name, arguments=json.loads(each.arguments), id=each.id)
        for each in deltas
        if each.index is not None
    )
    return "".join(each.text for each in deltas if each.index is None), calls


class PlainReply:
    """A reply that is text and nothing else."""

    full = False

    def push(self, text: str) -> list[Delta]:
        return [Delta(text=text)] if text else []

    def flush(self) -> list[Delta]:
        return []


class FreeReply:
    """A reply that may hold calls. A call is told whole, when it is closed; blanks around calls are dropped.

    names: the tools on offer; a call of another one stays text. single: after one call the reply is `full`.
    """

    def __init__(self, names: Collection[str], name_call: Callable[[int], str], *, single: bool = False) -> None:
        self._names, self._name_call, self._single = frozenset(names), name_call, single
        self._held = ""
        self._calls = 0
        self._blank = ""  # blanks that are text only if text follows
        self._begun = False
        self.full = False

    def push(self, text: str) -> list[Delta]:
        self._held += text
        deltas: list[Delta] = []
        while not self.full:
            before, opened, inside = self._held.partition(OPEN)
            if not opened:
                keep = held_back(before, OPEN)
                self._held = before[len(before) - keep :]
                return deltas + self._text(before[: len(before) - keep])
            body, closed, after = inside.partition(CLOSE)
            if not closed:
                self._held = opened + inside
                return deltas + self._text(before)
            deltas += self._text(before) + self._call(body, opened + body + closed)
            self._held = after
        return deltas

    def flush(self) -> list[Delta]:
        """The end: a call that is whole but was not closed counts."""
        held, self._held = self._held, ""
        if self.full or not held:
            return []
        return self._call(held.removeprefix(OPEN), held) if held.startswith(OPEN) else self._text(held)

    def _text(self, text: str) -> list[Delta]:
        text = self._blank + text
        kept = text.rstrip()
        self._blank = text[len(kept) :] if kept or not self._calls else ""
        if not kept:
            return []
        if self._calls and not self._begun:
            kept = kept.lstrip()
        self._begun = True
        return [Delta(text=kept)]

    def _call(self, body: str, raw: str) -> list[Delta]:
        call = _parsed(body)
        if call is None or call.name not in self._names:
            return self._text(raw)
        index = self._calls
        self._calls += 1
        self._blank = ""
        self.full = self._single
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        return [Delta(index=index, id=self._name_call(index), name=call.name, arguments=arguments)]


class RequiredReply:
    """A reply that a grammar made a call: its arguments are told piece by piece."""

    full = False

    def __init__(self, name_call: Callable[[int], str]) -> None:
        self._id = name_call(0)
        self._held = ""
        self._named = False

    def push(self, text: str) -> list[Delta]:
        self._held += text
        head = None if self._named else _HEAD.match(self._held)
        if head is not None:
            self._named = True
            self._held = self._held[head.end() :]
            return [Delta(index=0, id=self._id, name=json.loads(head[1])), *self.push("")]
        if not self._named or len(self._held) < 2:
            return []
        told, self._held = self._held[:-1], self._held[-1]  # the last brace closes the call, not its arguments
        return [Delta(index=0, arguments=told)]

    def flush(self) -> list[Delta]:
        """The end: a call that was cut shows what there is of it."""
        held, self._held = self._held, ""
        if not self._named:
            return [Delta(text=held)] if held else []
        return [Delta(index=0, arguments=held)] if held and held != "}" else []


def _parsed(body: str) -> ToolCall | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    name, arguments = value.get("name"), value.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return ToolCall(name=name, arguments=arguments)


def spelt_out(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> tuple[Message, ...]:
    """The same conversation for a chat template that knows nothing of tools: they are described in the system message,
    calls become text, and results become messages of the user."""
    result = [_spelt(message) for message in messages]
    if not tools:
        return tuple(result)
    note = _text(SpanKind.SYSTEM, _instructions(tools))
    if result and result[0].role is Role.SYSTEM:
        return (result[0].model_copy(update={"spans": (*result[0].spans, note)}), *result[1:])
    return (Message(role=Role.SYSTEM, spans=(note,)), *result)


def _spelt(message: Message) -> Message:
    if message.role is Role.TOOL:
        text = f"<tool_response>\n{message.text}\n</tool_response>"
        return Message(role=Role.USER, spans=(_text(SpanKind.TOOL_RESULT, text),))
    if not message.tool_calls:
        return message
    calls = tuple(_text(SpanKind.HISTORY, _written(call)) for call in message.tool_calls)
    return Message(role=message.role, spans=(*message.spans, *calls))


def _written(call: ToolCall) -> str:
    body = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
    return f"{OPEN}\n{body}\n{CLOSE}"


def _instructions(tools: Sequence[ToolSpec]) -> str:
    listed = "\n".join(json.dumps(tool.model_dump(mode="json"), ensure_ascii=False) for tool in tools)
    example = '{"name": "...", "arguments": {...}}'
    return f"You can call these tools:\n{listed}\nTo call one, write:\n{OPEN}\n{example}\n{CLOSE}"


def _text(kind: SpanKind, text: str) -> Span:
    return Span(kind=kind, text=text)
