"""How the observations and actions of one OpenEnv server read as ours. Its `/schema` says which dialect it speaks."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from wisen.core.records import JSON, Action, Observation, ToolSpec
from wisen.environments.plugs.openenv_wire import Reply
from wisen.environments.tool.calls import BadCall, Toolbox, shortened

ACT = "act"  # the one tool of a server whose action is a set of fields
MOST_SHOWN = 20_000  # characters of an observation


class Dialect(Protocol):
    def observation(self, reply: Reply, instruction: str) -> Observation: ...

    def data(self, action: Action, seen: Observation) -> JSON:
        """What a step sends. Raises `BadCall` for an action that the server could not even read."""
        ...


class Wisen:
    """A suite of ours behind the socket: nothing is lost but files."""

    def observation(self, reply: Reply, instruction: str) -> Observation:
        fields = reply.fields
        return Observation(
            instruction=str(fields.get("instruction", "")) or instruction,
            text=str(fields.get("text", "")),
            actions=_texts(fields.get("actions")),
            tools=tuple(
                ToolSpec(
                    name=tool["name"], description=tool.get("description", ""), parameters=tool.get("parameters", {})
                )
                for tool in fields.get("tools", ())
            ),
        )

    def data(self, action: Action, seen: Observation) -> JSON:
        if action.tool_call is None:
            return {"text": action.text}
        return {"tool_call": {"name": action.tool_call.name, "arguments": action.tool_call.arguments}}


class Tools:
    """An environment whose actions are calls of MCP tools (`{"type": "call_tool", ...}`)."""

    def __init__(self, tools: tuple[ToolSpec, ...]) -> None:
        self._tools = Toolbox(tools)

    def observation(self, reply: Reply, instruction: str) -> Observation:
        fields = reply.fields
        if "tool_name" in fields:
            error = fields.get("error")
            said = f"{fields['tool_name']} failed: {_shown(error)}" if error else _shown(fields.get("result"))
        else:
            said = _lines(fields) or "ready"
        return Observation(instruction=instruction, text=shortened(said, MOST_SHOWN), tools=self._tools.specs)

    def data(self, action: Action, seen: Observation) -> JSON:
        call = self._tools.understood(action)
        return {"type": "call_tool", "tool_name": call.name, "arguments": call.arguments}


class Fields:
    """Any other server: its action's fields are the arguments of one tool, `act`. Where one text is all that an action
    needs, a text will do. `actions` names the field of the observation that lists admissible texts."""

    def __init__(self, schema: Mapping[str, Any], actions: str = "") -> None:
        properties = {key: value for key, value in schema.get("properties", {}).items() if key != "metadata"}
        parameters = {**schema, "type": "object", "properties": properties, "additionalProperties": False}
        about = str(schema.get("description") or "Act.").strip()
        self._tools = Toolbox([ToolSpec(name=ACT, description=about, parameters=parameters)])
        needed = [name for name in schema.get("required", ()) if name in properties] or list(properties)
        self._only = needed[0] if len(needed) == 1 else ""
        self._choices = tuple(map(str, properties[self._only].get("enum", ()))) if self._only else ()
        self._kind = properties[self._only].get("type") if self._only else None
        self._actions = actions

    def observation(self, reply: Reply, instruction: str) -> Observation:
        fields = dict(reply.fields)
        listed = _texts(fields.pop(self._actions, ())) if self._actions else self._choices
        text = _shown(next(iter(fields.values()))) if len(fields) == 1 else _lines(fields)
        return Observation(
            instruction=instruction, text=shortened(text, MOST_SHOWN), actions=listed, tools=self._tools.specs
        )

    def data(self, action: Action, seen: Observation) -> JSON:
        if action.tool_call is None and self._only and not action.text.lstrip().startswith(("{", f"{ACT}(")):
            value = action.text if self._kind in ("string", None) else _value(action.text)
            return self._checked({self._only: value})
        return dict(self._tools.understood(action).arguments)

    def _checked(self, arguments: JSON) -> JSON:
        written = json.dumps({"name": ACT, "arguments": arguments})
        if self._kind == "string":  # any text; only the server can say more
            return arguments
        return dict(self._tools.understood(Action(text=written)).arguments)


def dialect(schemas: Mapping[str, Any], tools: tuple[ToolSpec, ...], actions: str) -> Dialect:
    """`schemas` is the body of `/schema`, `tools` what the server's `tools/list` names."""
    action, observation = (set(schemas.get(kind, {}).get("properties", {})) for kind in ("action", "observation"))
    if {"text", "tool_call"} <= action and {"instruction", "text", "actions", "tools"} <= observation:
        return Wisen()
    if {"tool_name", "arguments"} <= action:
        return Tools(tools)
    return Fields(schemas.get("action", {}), actions)


def speaks_mcp(schemas: Mapping[str, Any]) -> bool:
    return isinstance(dialect(schemas, (), ""), Tools)


def read_tools(listed: Any) -> tuple[ToolSpec, ...]:
    """Tools as a server lists them. Raises `BadCall` where it lists none."""
    found = listed.get("tools") if isinstance(listed, dict) else None
    if not isinstance(found, list):
        raise BadCall("the server lists no tools")
    return tuple(
        ToolSpec(
            name=str(tool["name"]),
            description=str(tool.get("description") or ""),
            parameters=tool.get("input_schema") or tool.get("inputSchema") or {},
        )
        for tool in found
        if isinstance(tool, dict) and "name" in tool
    )


def _texts(listed: Any) -> tuple[str, ...]:
    return tuple(map(str, listed)) if isinstance(listed, (list, tuple)) else ()


def _lines(fields: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {_shown(value)}" for name, value in fields.items() if value is not None)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
