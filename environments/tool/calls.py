"""Tool calls as text, `send_mail(to="mira@brakel.example", text="hello")`, and arguments checked against JSON schemas.

What is wrong with a call is told in words that say what to write instead: it is an observation, never an error.
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wisen.core.records import Action, ToolCall, ToolSpec

MOST_CHARACTERS = 20_000
_HEAD = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*\(")
_KEY = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*")
_COMMA = re.compile(r"\s*,")
_CLOSING = re.compile(r"\s*\)\s*")
_SINGLE_QUOTED = re.compile(r"'(?:[^'\\\n]|\\.)*'")
_ENCODER = json.JSONEncoder(ensure_ascii=False)
_DECODER = json.JSONDecoder()
_SHAPE = 'write a call as tool(argument="value", other=3)'
_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


class BadCall(ValueError):
    """The call cannot be made; the message says why, for whoever made it."""


def written(name: str, arguments: Mapping[str, Any]) -> str:
    """The text of a call; `Toolbox.understood` reads it back."""
    return spelled(name, (argument(key, value) for key, value in arguments.items()))


def argument(key: str, value: Any) -> str:
    """One argument as it stands in a call."""
    return f"{key}={_ENCODER.encode(value)}"


def spelled(name: str, arguments: Iterable[str]) -> str:
    """The call of such arguments."""
    return f"{name}({', '.join(arguments)})"


class Toolbox:
    """Tools by name, their schemas made ready once. A schema that is itself wrong checks nothing: the tool has the
    last word anyway. References from schemas to other addresses are never fetched."""

    def __init__(self, tools: Iterable[ToolSpec]) -> None:
        self.specs = tuple(tools)
        validators = [_validator(tool.parameters) for tool in self.specs]
        self._tools = {
            tool.name: (tool, validator, _Plain.of(tool.parameters) if validator else None)
            for tool, validator in zip(self.specs, validators, strict=True)
        }

    def understood(self, action: Action) -> ToolCall:
        """The call that an action means, its arguments checked. Raises `BadCall`."""
        call = action.tool_call or _read(action.text)
        if call.name not in self._tools:
            raise BadCall(f"There is no tool {shortened(call.name, 60)!r}. There are: {', '.join(self._tools)}.")
        _check_size(call)
        tool, validator, plain = self._tools[call.name]
        if not (plain and plain.fits(call.arguments)) and (wrong := _wrong(tool, validator, call.arguments)):
            raise BadCall(wrong)
        return call


_KINDS = {"string": str, "integer": int, "boolean": bool}
_PLAIN_KEYS = {"type", "properties", "required", "additionalProperties", "title", "description"}
_PLAIN_VALUES = {"type", "maxLength", "title", "description"}


@dataclass(frozen=True, slots=True)
class _Plain:
    """A schema of nothing but named texts, whole numbers and truths. What fits it needs no general look, which takes
    longer than the call itself; what does not fit gets one, and words for what is wrong."""

    values: Mapping[str, tuple[type, int]]  # of each argument: its type, the most characters
    required: frozenset[str]

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> "_Plain | None":
        """None for a schema that says more. It must be a valid one."""
        values = schema.get("properties", {})
        if schema.get("type") != "object" or not set(schema) <= _PLAIN_KEYS:
            return None
        for told in values.values():
            if not isinstance(told, dict) or not set(told) <= _PLAIN_VALUES:
                return None
            if not isinstance(told.get("type"), str) or told["type"] not in _KINDS:
                return None
        known = {name: (_KINDS[told["type"]], told.get("maxLength", MOST_CHARACTERS)) for name, told in values.items()}
        return cls(known, frozenset(schema.get("required", ())))

    def fits(self, arguments: Mapping[str, Any]) -> bool:
        """Sure of a yes only."""
        if not self.required <= arguments.keys() <= self.values.keys():
            return False
        for name, value in arguments.items():
            kind, most = self.values[name]
            if type(value) is not kind or (isinstance(value, str) and len(value) > most):
                return False
        return True


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _read(text: str) -> ToolCall:
    """Parse the text form, or a JSON object with `name` and `arguments`."""
    if len(text) > MOST_CHARACTERS:
        raise BadCall(f"That is {len(text):,} characters, more than the {MOST_CHARACTERS:,} that are read; {_SHAPE}.")
    if text.lstrip().startswith("{"):
        return _read_json(text)
    head = _HEAD.match(text)
    if head is None:
        raise BadCall(f"{shortened(text, 60)!r} is no tool call; {_SHAPE}.")
    arguments: dict[str, Any] = {}
    position = head.end()
    while not (closing := _CLOSING.match(text, position)):
        key = _KEY.match(text, position)
        if key is None:
            raise BadCall(f"{head[1]}: an argument is expected at {_near(text, position)}; {_SHAPE}.")
        if key[1] in arguments:
            raise BadCall(f"{head[1]}: the argument {key[1]} is given twice.")
        arguments[key[1]], position = _value(text, key.end(), f"{head[1]}: {key[1]}")
        comma = _COMMA.match(text, position)
        if comma is not None:
            position = comma.end()
        elif not _CLOSING.match(text, position):
            raise BadCall(f"{head[1]}: a comma or a closing bracket is expected at {_near(text, position)}; {_SHAPE}.")
    if closing.end() != len(text):
        raise BadCall(f"{head[1]}: one call at a time; there is more after it: {_near(text, closing.end())}.")
    return ToolCall(name=head[1], arguments=arguments)


def _value(text: str, position: int, where: str) -> tuple[Any, int]:
    quoted = _SINGLE_QUOTED.match(text, position)
    try:
        if quoted is not None:
            return ast.literal_eval(quoted[0]), quoted.end()
        return _DECODER.raw_decode(text, position)
    except (ValueError, SyntaxError, RecursionError) as error:
        raise BadCall(
            f"{where} cannot be read at {_near(text, position)}: write texts in double quotes, numbers without."
        ) from error


def _read_json(text: str) -> ToolCall:
    try:
        found = json.loads(text)
        return ToolCall(name=found["name"], arguments=found.get("arguments", {}))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadCall(f'The JSON is not a call; write {{"name": "tool", "arguments": {{…}}}}, or {_SHAPE}.') from error


def _near(text: str, position: int) -> str:
    return repr(shortened(text[position:], 30)) if position < len(text) else "the end"


def _check_size(call: ToolCall) -> None:
    try:
        size = len(_ENCODER.encode(call.arguments).encode())
    except (TypeError, ValueError, RecursionError) as error:  # a lone surrogate is a ValueError too
        raise BadCall(f"{call.name}: the arguments are not plain text and numbers.") from error
    if size > MOST_CHARACTERS:
        raise BadCall(f"{call.name}: the arguments are {size:,} bytes, more than the {MOST_CHARACTERS:,} allowed.")


def _wrong(tool: ToolSpec, validator: Any, arguments: Mapping[str, Any]) -> str:
    """What is wrong with the arguments, in words; empty if nothing."""
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    if validator is None:
        return ""
    try:
        error = best_match(validator.iter_errors(arguments))
    except (Unresolvable, RecursionError, re.error):
        return ""
    return _told(tool, error) if error else ""


def _told(tool: ToolSpec, error: Any) -> str:
    known = ", ".join(tool.parameters.get("properties", {})) or "no arguments"
    where = f'"{".".join(map(str, error.absolute_path))}"' if error.absolute_path else "the arguments"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{tool.name} needs {', '.join(missing)}. It takes: {known}."
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        extra = [name for name in error.instance if name not in error.schema.get("properties", {})]
        return f"{tool.name} has no argument {shortened(', '.join(extra), 60)}. It takes: {known}."
    if error.validator == "type":
        kinds = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
        wanted = " or ".join(_WORDS.get(kind, kind) for kind in kinds)
        return f"{tool.name}: {where} must be {wanted}, not {shortened(repr(error.instance), 60)}."
    if error.validator == "enum":
        return f"{tool.name}: {where} must be one of {', '.join(map(str, error.validator_value))}."
    return f"{tool.name}: {where}: {shortened(error.message, 200)}."


def _validator(schema: Mapping[str, Any]) -> Any:
    """None where the schema is not one."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing import Registry

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return None
    return Draft202012Validator(schema, registry=Registry())
