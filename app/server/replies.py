"""What a client gets: OpenAI's response bodies, whole or in chunks, made from tokens as they come."""

import json
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from wisen.models.decoding import Generated, Scored
from wisen.models.toolcalls import Delta


def dump(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def event(body: Any) -> str:
    """One server-sent event."""
    return f"data: {dump(body)}\n\n"


DONE = "data: [DONE]\n\n"


class Envelope:
    """What all bodies of one reply share."""

    def __init__(self, prefix: str, kind: str, model: str) -> None:
        self._fields = {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": model,
        }

    def of(self, choices: Sequence[Any], **more: Any) -> dict[str, Any]:
        return {**self._fields, "choices": list(choices), **more}


def usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def chat_delta(delta: Delta) -> dict[str, Any]:
    """A chunk's `delta`."""
    if delta.index is None:
        return {"content": delta.text}
    call: dict[str, Any] = {"index": delta.index}
    if delta.name:
        call |= {"id": delta.id, "type": "function"}
    call["function"] = {**({"name": delta.name} if delta.name else {}), "arguments": delta.arguments}
    return {"tool_calls": [call]}


def chat_message(deltas: Iterable[Delta]) -> dict[str, Any]:
    """A whole message: its deltas put together. `content` is null beside calls that came without text."""
    text = ""
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas:
        if delta.index is None:
            text += delta.text
            continue
        call = calls.setdefault(delta.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] += delta.id
        call["function"]["name"] += delta.name
        call["function"]["arguments"] += delta.arguments
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def chat_logprobs(tokens: Sequence[Generated]) -> dict[str, Any]:
    """One entry per sampled token, also for the one that ended the text: together they are the reply's probability."""
    return {
        "content": [{**_scored(each.token), "top_logprobs": [_scored(other) for other in each.top]} for each in tokens],
        "refusal": None,
    }


def text_logprobs(tokens: Sequence[Generated], offset: int) -> dict[str, Any]:
    """The older form, of /v1/completions. `offset`: characters of the text before these tokens."""
    places = []
    for each in tokens:
        places.append(offset)
        offset += len(each.text)
    return {
        "tokens": [_shown(each.token) for each in tokens],
        "token_logprobs": [each.token.logprob for each in tokens],
        "top_logprobs": [{_shown(other): other.logprob for other in each.top} for each in tokens],
        "text_offset": places,
    }


def error_body(message: str, *, kind: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _scored(token: Scored) -> dict[str, Any]:
    return {"token": _shown(token), "logprob": token.logprob, "bytes": list(token.piece)}


def _shown(token: Scored) -> str:
    return token.piece.decode("utf-8", errors="replace")
