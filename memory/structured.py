"""Asking a model for a record: its reply is JSON of one shape, or it is an error. Nothing is guessed."""

import json
import logging
import re
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from wisen.core.errors import ModelFault, SettingsError
from wisen.core.protocols import Capability, Model
from wisen.core.records import JSON, Message, ModelRequest, Role, Span, SpanKind

log = logging.getLogger(__name__)

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


def schema_of(shape: type[BaseModel]) -> JSON:
    """The JSON schema of what `parse` takes: no field but those that are known."""
    closed: JSON = _closed(shape.model_json_schema())
    return closed


async def ask(
    model: Model, request: ModelRequest, shape: type[Shape], *, check: Callable[[Shape], None] | None = None
) -> Shape:
    """The model's reply to `request` as `shape`. A malformed one is shown to it once, with the error. Raises
    `MalformedReply` with the raw text if the second is malformed too, and what `model.call` raises. `check`: what else
    makes a reply malformed, raised by it as `ValueError`. A model that can be held to a JSON schema is."""
    if Capability.SCHEMA in model.capabilities:
        request = request.model_copy(update={"reply_schema": schema_of(shape)})

    def read(text: str) -> Shape:
        found = parse(shape, text)
        if check is not None:
            check(found)
        return found

    reply = await model.call(request)
    try:
        return read(reply.text)
    except ValueError as problem:
        again = _again(request, reply.text, str(problem))
    reply = await model.call(again)
    try:
        return read(reply.text)
    except ValueError as problem:
        raise MalformedReply(
            f"{model.name} gave a malformed {request.purpose.value} reply twice: {problem}; "
            f"it wrote: {reply.text[:_SHOWN]}",
            "use a model that can write JSON, or raise its token limit",
        ) from problem


async def written(
    model: Model,
    request: ModelRequest,
    shape: type[Shape],
    *,
    by: str,
    about: str,
    check: Callable[[Shape], None] | None = None,
) -> Shape | None:
    """As `ask`, for a distiller (`by`) that reads the record of `about`: two malformed replies are a failed
    distillation, a warning in the log and None."""
    try:
        return await ask(model, request, shape, check=check)
    except MalformedReply as problem:
        log.warning("%s could not distil %s: %s", by, about, problem)
        return None


def needs_chat(model: Model, what: str) -> Model:
    """The model, if it writes free text. Raises `SettingsError` for one that cannot: it cannot `what`."""
    if Capability.CHAT not in model.capabilities:
        raise SettingsError(
            f"{model.name} cannot {what}: it writes no free text", "give a chat model, or take the extractive distiller"
        )
    return model


def _again(request: ModelRequest, text: str, problem: str) -> ModelRequest:
    note = f"Your reply could not be read: {problem}. Give the whole answer again, as the JSON object and nothing else."
    said = Message(role=Role.ASSISTANT, spans=(Span(kind=SpanKind.HISTORY, text=text or "(nothing)"),))
    asked = Message(role=Role.USER, spans=(Span(kind=SpanKind.SYSTEM, text=note),))
    return request.model_copy(update={"messages": (*request.messages, said, asked)})


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _closed(value) for key, value in schema.items()}
    return inner | {"additionalProperties": False} if "properties" in inner and inner.get("type") == "object" else inner


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is given twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
