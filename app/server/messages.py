"""The messages of a chat request, in OpenAI's form, and as our records."""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from wisen.core.records import Message, Role, Span, SpanKind, ToolCall

_KINDS = {
    Role.SYSTEM: SpanKind.SYSTEM,
    Role.USER: SpanKind.TASK,
    Role.ASSISTANT: SpanKind.HISTORY,
    Role.TOOL: SpanKind.TOOL_RESULT,
}


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TextPart(Body):
    type: Literal["text"]
    text: str


Text = str | Annotated[list[TextPart], Field(min_length=1)]


class FunctionText(Body):
    name: str
    arguments: str


class CalledTool(Body):
    id: str
    type: Literal["function"] = "function"
    function: FunctionText
    index: int | None = None  # some clients send back what they streamed


class SystemMessage(Body):
    role: Literal["system", "developer"]
    content: Text


class UserMessage(Body):
    role: Literal["user"]
    content: Text


class AssistantMessage(Body):
    role: Literal["assistant"]
    content: Text | None = None
    tool_calls: list[CalledTool] | None = None
    refusal: None = None
    audio: None = None
    function_call: None = None
    annotations: list[Any] | None = None  # as OpenAI's client sends back what it received


class ToolMessage(Body):
    role: Literal["tool"]
    content: Text
    tool_call_id: str = Field(min_length=1)
    name: str | None = None  # of the tool: the call tells it too


AnyMessage = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


def to_record(message: AnyMessage) -> Message:
    """Raises `ValueError` for a call whose arguments are no JSON object."""
    role = Role.SYSTEM if message.role == "developer" else Role(message.role)
    text = _joined(message.content)
    calls = tuple(_call(call) for call in getattr(message, "tool_calls", None) or ())
    return Message(
        role=role,
        spans=(Span(kind=_KINDS[role], text=text),) if text or not calls else (),
        tool_calls=calls,
        tool_call_id=getattr(message, "tool_call_id", ""),
    )


def _joined(content: Text | None) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content or ())


def _call(call: CalledTool) -> ToolCall:
    try:
        arguments = json.loads(call.function.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments of call {call.id} are no JSON object")
    return ToolCall(name=call.function.name, arguments=arguments, id=call.id)
