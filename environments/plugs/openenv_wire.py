"""OpenEnv's messages (openenv 0.10.0), written and read without the package.

A session is a WebSocket. The client sends `{"type": "reset" | "step" | "state" | "close", "data": {...}}`, and each
message but `close` has one reply: `observation`, `state` or `error`. `done`, `reward` and `metadata` lie beside the
observation; there is no place for truncation, success, cost and violation, so ours travel in the metadata.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wisen.core.records import JSON, Action, Observation, StepResult, Task, ToolCall
from wisen.environments.plugs.spoken import as_action

INVALID_JSON = "INVALID_JSON"
UNKNOWN_TYPE = "UNKNOWN_TYPE"
VALIDATION_ERROR = "VALIDATION_ERROR"
EXECUTION_ERROR = "EXECUTION_ERROR"
CAPACITY_REACHED = "CAPACITY_REACHED"
FACTORY_ERROR = "FACTORY_ERROR"
SESSION_ERROR = "SESSION_ERROR"
# What our server adds to an EXECUTION_ERROR when the environment itself broke: no action can mend it.
BROKEN = "broken"

_METADATA = {"type": "object", "additionalProperties": True, "default": {}}
_TEXT = {"description": "an action in words; a number is taken as its digits", "default": ""}
_CALL = {
    "description": "a call of one of the tools, instead of the text",
    "default": None,
    "anyOf": [
        {
            "type": "object",
            "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}},
            "required": ["name"],
        },
        {"type": "null"},
    ],
}
ACTION_SCHEMA: JSON = {
    "title": "WisenAction",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "text": {**_TEXT, "anyOf": [{"type": kind} for kind in ("string", "integer", "number", "boolean")]},
        "tool_call": _CALL,
        "metadata": _METADATA,
    },
}
_TOOL = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "description": {"type": "string"},
        "parameters": {"type": "object", "description": "JSON schema"},
    },
}
OBSERVATION_SCHEMA: JSON = {
    "title": "WisenObservation",
    "type": "object",
    "properties": {
        "done": {"type": "boolean", "default": False},
        "reward": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
        "metadata": {
            **_METADATA,
            "description": "truncated, success (at the end), cost, violation, and what the environment notes",
        },
        "instruction": {"type": "string"},
        "text": {"type": "string"},
        "actions": {"type": "array", "items": {"type": "string"}, "description": "admissible texts, where known"},
        "tools": {"type": "array", "items": _TOOL},
    },
}
STATE_SCHEMA: JSON = {
    "title": "WisenState",
    "type": "object",
    "additionalProperties": True,
    "properties": {
        "episode_id": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "step_count": {"type": "integer", "minimum": 0, "default": 0},
        "task_id": {"type": "string"},
    },
}


class Wrong(ValueError):
    """A message that cannot be taken: its code, and words for whoever wrote it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def dumped(message: Mapping[str, Any]) -> str:
    """JSON that any client reads: what no JSON number is, an infinite reward say, raises ValueError."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False, default=str)


def loaded(text: str | bytes) -> JSON:
    """A message, without halves of characters (JSON can carry them, and nothing else can). Raises `Wrong`."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Wrong(INVALID_JSON, f"this is not JSON: {str(error)[:200]}") from error
    escaped = "\\u" if isinstance(text, str) else b"\\u"
    if escaped in text:  # type: ignore[operator]
        message = cleaned(message)
    if not isinstance(message, dict):
        raise Wrong(INVALID_JSON, 'a message is an object, such as {"type": "reset", "data": {}}')
    return message


def error_message(code: str, message: str, **more: Any) -> JSON:
    return {"type": "error", "data": {"message": message, "code": code, **more}}


def observation_message(seen: Observation | StepResult, task: Task) -> JSON:
    """Ours as theirs. Files (screenshots) stay here."""
    result = seen if isinstance(seen, StepResult) else None
    observation = result.observation if result else seen
    assert isinstance(observation, Observation)
    metadata: JSON = {"task_id": task.id}
    if result is not None:
        metadata |= {"truncated": result.truncated, "success": result.success, "info": result.info}
        metadata |= {"cost": result.cost, "violation": result.violation}
    body = {
        "instruction": observation.instruction,
        "text": observation.text,
        "actions": list(observation.actions),
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in observation.tools
        ],
        "metadata": metadata,
    }
    over = result is not None and (result.terminated or result.truncated)
    reward = result.reward if result else None
    return {
        "type": "observation",
        "data": {"observation": body, "reward": reward, "done": over, "metadata": metadata},
    }


def read_action(data: Any, observation: Observation) -> Action:
    """An action of a client. Raises `Wrong` for what is none; what cannot be done is for the environment to say."""
    if not isinstance(data, dict):
        raise Wrong(VALIDATION_ERROR, 'an action is an object: {"text": "..."} or {"tool_call": {"name": "..."}}')
    if extra := sorted(set(data) - set(ACTION_SCHEMA["properties"])):
        named = ", ".join(extra)[:100]
        raise Wrong(VALIDATION_ERROR, f"an action has no field {named}; it has text and tool_call")
    text, call = data.get("text", ""), data.get("tool_call")
    if call is not None:
        return Action(tool_call=_call(call))
    if text is None or isinstance(text, (dict, list)):
        raise Wrong(VALIDATION_ERROR, f"text must be a text, not {type(text).__name__}")
    # Some clients read a bare reply as JSON before they send it: an answer of 50 arrives as a number.
    return as_action(text if isinstance(text, str) else json.dumps(text), observation)


def _call(call: Any) -> ToolCall:
    name, arguments = (call.get("name"), call.get("arguments")) if isinstance(call, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(arguments if arguments is not None else {}, dict):
        raise Wrong(VALIDATION_ERROR, 'a tool call is {"name": "...", "arguments": {...}}')
    return ToolCall(name=name, arguments=arguments or {})


@dataclass(frozen=True)
class Reply:
    """An observation of a server: its fields, and what lies beside them."""

    fields: JSON
    reward: float
    done: bool
    metadata: JSON


def read_observation(message: JSON) -> Reply:
    """Raises `Wrong` where the reply is not one."""
    data = message.get("data")
    if message.get("type") != "observation" or not isinstance(data, dict):
        raise Wrong(UNKNOWN_TYPE, f"the reply is of type {str(message.get('type'))[:40]!r}, not an observation")
    fields, reward, done = data.get("observation"), data.get("reward"), data.get("done", False)
    if not isinstance(fields, dict) or not isinstance(done, bool):
        raise Wrong(VALIDATION_ERROR, "the reply has no observation, or no done that is true or false")
    if reward is not None and (not isinstance(reward, (int, float)) or not math.isfinite(reward)):
        raise Wrong(VALIDATION_ERROR, f"the reward is {str(reward)[:40]!r}, and not a number")
    inner = fields.get("metadata")
    metadata = data.get("metadata") or (inner if isinstance(inner, dict) else {})
    if not isinstance(metadata, dict):
        raise Wrong(VALIDATION_ERROR, "the reply's metadata are not an object")
    rest = {key: value for key, value in fields.items() if key not in ("metadata", "done", "reward")}
    return Reply(rest, float(reward or 0.0), done, metadata)


def cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {cleaned(key): cleaned(item) for key, item in value.items()}
    return [cleaned(item) for item in value] if isinstance(value, list) else value
