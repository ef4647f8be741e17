"""Asking a model for a record: its reply is JSON of one shape, or it is an error. Nothing is guessed."""

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from wisen.core.errors import ModelFault
from wisen.core.protocols import Model
from wisen.core.records import Message, ModelRequest, Role, Span, SpanKind

_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)
_SHOWN = 500  # characters of a reply that an error quotes

Shape = TypeVar("Shape", bound=BaseModel)


class MalformedReply(ModelFault):
    """The model answered twice, and both times not in the form that was asked for."""


def parse(shape: type[Shape], text: str) -> Shape:
    """`text` as `shape`. A code fence around the whole is taken off; anything else beside the JSON, an unknown field,
    a field given twice or a value of another type raises `ValueError` with what is wrong."""
    text = text.strip()
    if fence := _FENCE.match(text):
        text = fence.group(1)
    value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    try:
        return shape.model_validate(value, strict=True, extra="forbid")
    except ValidationError as problem:
        wrong = (f"{'.'.join(map(str, part['loc'])) or 'reply'}: {part['msg']}" for part in problem.errors())
        raise ValueError("; ".join(wrong)) from problem


async def ask(model: Model, request: ModelRequest, shape: type[Shape]) -> Shape:
    """The model's reply to `request` as `shape`. A malformed one is shown to it once, with the error. Raises
    `MalformedReply` with the raw text if the second is malformed too, and what `model.call` raises."""
    reply = await model.call(request)
    try:
        return parse(shape, reply.text)
    except ValueError as problem:
        again = _again(request, reply.text, str(problem))
    reply = await model.call(again)
    try:
        return parse(shape, reply.text)
    except ValueError as problem:
        raise MalformedReply(
            f"{model.name} gave a malformed {request.purpose.value} reply twice: {problem}; "
            f"it wrote: {reply.text[:_SHOWN]}",
            "use a model that can write JSON, or raise its token limit",
        ) from problem


def _again(request: ModelRequest, text: str, problem: str) -> ModelRequest:
    note = f"Your reply could not be read: {problem}. Give the whole answer again, as the JSON object and nothing else."
    said = Message(role=Role.ASSISTANT, spans=(Span(kind=SpanKind.HISTORY, text=text or "(nothing)"),))
    asked = Message(role=Role.USER, spans=(Span(kind=SpanKind.SYSTEM, text=note),))
    return request.model_copy(update={"messages": (*request.messages, said, asked)})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is given twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
