"""Between our records and OpenAI's chat format, which LiteLLM takes for every provider."""

import json
from collections.abc import Sequence
from typing import Any

from wisen.core.errors import ModelFault, SettingsError
from wisen.core.records import Message, Role, ToolCall, ToolSpec

_SHOWN = 300  # characters of a reply that an error quotes


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


def from_tool_calls(model: str, raw_calls: Sequence[Any], *, cut: bool) -> tuple[ToolCall, ...]:
    """Tool calls of a reply. Raises `ModelFault` with the raw text where the arguments are not a JSON object; `cut`
    says that the reply ended at its token limit."""
    return tuple(
        ToolCall(
            name=raw.function.name or "",
            arguments=_arguments(model, raw.function.name or "", raw.function.arguments or "", cut=cut),
            id=raw.id or "",
        )
        for raw in raw_calls
    )


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
    if not raw:
        return {}  # how many providers write a call without arguments
    try:
        arguments = json.loads(raw, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except ValueError as problem:
        hint = "the reply was cut at its token limit: raise max_tokens" if cut else "nothing was executed"
        raise ModelFault(
            f"{model} called {tool} with malformed arguments: {problem}; it wrote: {raw[:_SHOWN]}",
            hint,
            retryable=not cut,
        ) from problem
    if not isinstance(arguments, dict):
        raise ModelFault(
            f"{model} called {tool} with arguments that are no JSON object; it wrote: {raw[:_SHOWN]}",
            "nothing was executed",
            retryable=True,
        )
    return arguments


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an argument is given twice")
    return found
