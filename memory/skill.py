"""What an executable skill is: how it stands in an item, how a task gives its arguments, which actions come of it.

Pure. A skill is a list of actions with parameters, and nothing else: no code of a model is ever run. As a text:

    press_in_turn(first, second): presses two levers, one after the other
    {first}: the lever to press first
    {second}: the lever to press then
    For: Press the "{first}" lever, then the "{second}" lever.
    1. press lever "{first}"
    2. press lever "{second}"
"""

import ast
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from wisen.core.records import Action, ToolCall
from wisen.memory.distillers.abstraction import Abstraction
from wisen.memory.distillers.variables import VARIABLE

_HEAD = re.compile(r"([a-z][a-z0-9_]*)\(([^()]*)\): (.+)")
_MEANING = re.compile(r"\{([A-Za-z_]\w*)\}: (.+)")
_FOR = re.compile(r"For: (.+)")
_STEP = re.compile(r"(\d+)\. (.+)")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")


@dataclass(frozen=True)
class Skill:
    """parameters: by name, what each means. task: the words of a task, parameters in the place of values. steps:
    actions in words, likewise."""

    name: str
    description: str
    parameters: Mapping[str, str]
    task: str
    steps: tuple[str, ...]

    @property
    def text(self) -> str:
        """The content of an item, from which `read` gets it back."""
        return "\n".join(
            [
                f"{self.name}({', '.join(self.parameters)}): {self.description}",
                *(f"{{{name}}}: {meaning}" for name, meaning in self.parameters.items()),
                f"For: {self.task}",
                *(f"{number}. {step}" for number, step in enumerate(self.steps, start=1)),
            ]
        )


def read(content: str) -> Skill:
    """The skill that an item's content holds. Raises `ValueError` for a text of another form."""
    head, *lines = content.splitlines() or [""]
    if not (first := _HEAD.fullmatch(head)):
        raise ValueError("its first line is not of the form name(parameters): description")
    names = [name for name in first[2].split(", ") if name]
    meanings, (said, *steps) = lines[: len(names)], lines[len(names) :] or [""]
    found = [_MEANING.fullmatch(line) for line in meanings]
    if [one[1] if one else "" for one in found] != names:
        raise ValueError("its parameters are not explained one by one")
    task, numbered = _FOR.fullmatch(said), [_STEP.fullmatch(line) for line in steps]
    if not task:
        raise ValueError("it does not say for which tasks it is")
    if not steps or [one[1] if one else "" for one in numbered] != [str(n) for n in range(1, len(steps) + 1)]:
        raise ValueError("its steps are not numbered lines")
    return Skill(
        name=first[1],
        description=first[3],
        parameters={one[1]: one[2] for one in found if one},
        task=task[1],
        steps=tuple(one[2] for one in numbered if one),
    )


def asked_for(instruction: str, arguments: Mapping[str, str]) -> str:
    """The words of a task as one line, with parameters in the place of their values (whole tokens only)."""
    marks = {f"\0{name}\0": value for name, value in arguments.items()}
    marked = Abstraction(pattern="", values=tuple(marks.values()), names=tuple(marks)).text(_line(instruction))
    return marked.replace("<\0", "{").replace("\0>", "}")


def bind(skill: Skill, instruction: str) -> dict[str, str] | None:
    """The arguments that the words of a task give, each as short as can be; None where these are not the words that
    the skill is for. An ordinal gives its number: 2 for 2nd."""
    parts = VARIABLE.split(skill.task)
    literals, names = parts[::2], parts[1::2]
    rest = _line(instruction)
    if not rest.startswith(literals[0]):
        return None
    rest = rest[len(literals[0]) :]
    found: dict[str, str] = {}
    for place, name in enumerate(names, start=1):
        literal, last = literals[place], place == len(names)
        end = len(rest) - len(literal) if last and rest.endswith(literal) else -1 if last else rest.find(literal)
        if end < 1:
            return None
        value = rest[:end]
        if (ordinal := _ORDINAL.fullmatch(value)) is not None:
            value = ordinal[1]
        if found.setdefault(name, value) != value:
            return None
        rest = rest[end + len(literal) :]
    return None if rest else found


def action_of(step: str, arguments: Mapping[str, str], tools: Collection[str]) -> Action:
    """A step, filled in: a call where it begins with the name of one of the tools, else a text. Raises `ValueError` for
    a call whose arguments are not plain values."""
    name = step.split("(", 1)[0]
    if name not in tools:
        return Action(text=_filled(step, arguments))
    try:
        call = ast.parse(f"call{step[len(name) :]}", mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"the call {step!r} cannot be read") from None
    named = {one.arg: one.value for one in call.keywords if one.arg} if isinstance(call, ast.Call) else {}
    if not isinstance(call, ast.Call) or call.args or len(named) < len(call.keywords):
        raise ValueError(f"the call {step!r} is not of the form tool(name=value)")
    return Action(tool_call=ToolCall(name=name, arguments={key: _value(one, arguments) for key, one in named.items()}))


def _value(node: ast.expr, arguments: Mapping[str, str]) -> Any:
    """A plain value; {name} outside of quotes is the argument as the number that it is."""
    match node:
        case ast.Constant(value=str(text)):
            return _filled(text, arguments)
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_value(one, arguments) for one in elements]
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            return {
                key.value: _value(value, arguments)
                for key, value in zip(keys, values, strict=True)
                if isinstance(key, ast.Constant)
            }
        case ast.Set(elts=[ast.Name(id=name)]) if name in arguments:
            return _number(arguments[name])
    raise ValueError(f"{ast.unparse(node)} is no plain value")


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)  # and what is no number raises here


def _filled(text: str, arguments: Mapping[str, str]) -> str:
    return VARIABLE.sub(lambda found: arguments.get(found[1], found[0]), text)


def _line(text: str) -> str:
    return " ".join(text.split())
