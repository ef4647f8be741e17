"""Between our records and OpenAI's chat format, which LiteLLM takes for every provider."""

import json
from collections.abc import Sequence
from typing import Any

from wisen.core.errors import FaultKind, ModelFault, SettingsError, UnreadableReply
from wisen.core.records import JSON, Message, Role, ToolCall, ToolSpec

_SHOWN = 300  # characters of a reply that an error quotes
_LONGEST = 100_000  # characters of an answer that are taken; what is asked for is far less


def to_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages in OpenAI's form; a message's spans become one text. Raises `SettingsError` for a tool result that
    names no call."""
    return [_message(message) for message in messages]


def to_tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Tools in OpenAI's form; a tool without a schema takes no arguments."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters or {"type": "object", "properties": {}},
            },
        }
        for tool in tools
    ]


def to_response_format(schema: JSON) -> dict[str, Any]:
    """A JSON schema in OpenAI's form. Not as "strict": that takes only a part of JSON Schema."""
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}


def checked_text(model: str, text: str) -> str:
    """The text of a reply. Raises `ModelFault` for what is no text (half a character), and for one that is too long to
    be an answer: it would be in every later prompt of its episode."""
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise ModelFault(
            f"{model} answered with half a character",
            "nothing was executed",
            retryable=True,
            kind=FaultKind.UNREADABLE,
        ) from problem
    if len(text) > _LONGEST:
        raise ModelFault(
            f"{model} answered with {len(text):,} characters: {text[:_SHOWN]}…",
            f"at most {_LONGEST:,} are taken",
            kind=FaultKind.UNREADABLE,
        )
    return text


def from_tool_calls(model: str, raw_calls: Sequence[Any], *, cut: bool) -> tuple[ToolCall, ...]:
    """Tool calls of a reply. Raises `ModelFault` with the raw text where the arguments are not a JSON object; `cut`
    says that the reply ended at its token limit."""
    calls = []
    for raw in raw_calls:
        name = checked_text(model, raw.function.name or "")
        arguments = _arguments(model, name, raw.function.arguments or "", cut=cut)
        calls.append(ToolCall(name=name, arguments=arguments, id=checked_text(model, raw.id or "")))
    return tuple(calls)


def _message(message: Message) -> dict[str, Any]:
    form: dict[str, Any] = {"role": message.role.value, "content": message.text}
    if message.role is Role.TOOL:
        if not message.tool_call_id:
            raise SettingsError("a tool result names no tool call", "give the message its tool_call_id")
        form["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        form["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for call in message.tool_calls
        ]
        form["content"] = message.text or None  # several providers refuse an empty text beside tool calls
    return form


def _arguments(model: str, tool: str, raw: str, *, cut: bool) -> dict[str, Any]:
    checked_text(f"{model}, calling {tool},", raw)
    if not raw:
        return {}  # how many providers write a call without arguments
    try:
        arguments = json.loads(raw, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        json.dumps(arguments, ensure_ascii=False).encode()  # raises for half a character
    except ValueError as problem:
        said = f"{model} called {tool[:_SHOWN]} with malformed arguments: {problem}; it wrote: {raw[:_SHOWN]}"
        if cut:  # no matter of luck: the next reply will be cut as well
            hint = "the reply was cut at its token limit: raise max_tokens"
            raise ModelFault(said, hint, kind=FaultKind.TRUNCATED) from problem
        raise UnreadableReply(said, "nothing was executed", wrote=f"{tool}({raw})") from problem
    if not isinstance(arguments, dict):
        said = f"{model} called {tool} with arguments that are no JSON object; it wrote: {raw[:_SHOWN]}"
        raise UnreadableReply(said, "nothing was executed", wrote=f"{tool}({raw})")
    return arguments


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an argument is given twice")
    return found
