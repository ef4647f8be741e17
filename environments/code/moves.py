"""What an agent can do in a repair task: the tools with their arguments, and the texts that stand for them."""

import re
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wisen.core.records import Action, ToolSpec
from wisen.environments.code.problem import Edit, Problem

MOST_LINES, MOST_CHARACTERS = 200, 20_000
_REPLACE = re.compile(r"replace line (\d{1,9}) with: ?(.*)")


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _NoArguments(_Arguments):
    pass


class RunPython(_Arguments):
    code: str = Field(max_length=MOST_CHARACTERS)


class ReplaceLines(_Arguments):
    start: int = Field(description="first line to replace, from 1")
    end: int = Field(description="last line to replace; start - 1 inserts before start")
    text: str = Field(description="the new lines with their indentation; empty deletes", max_length=MOST_CHARACTERS)


_TABLE: dict[str, tuple[type[_Arguments], str]] = {
    "run_python": (
        RunPython,
        "Run Python beside the function as it is now and show what is printed. Nothing is kept between calls.",
    ),
    "replace_lines": (ReplaceLines, "Replace lines start to end of the source."),
    "run_tests": (_NoArguments, "Run the visible tests."),
    "submit": (_NoArguments, "Hand the source in. Hidden tests decide; this ends the task."),
}
TOOLS = tuple(
    ToolSpec(name=name, description=description, parameters=arguments.model_json_schema())
    for name, (arguments, description) in _TABLE.items()
)


class Impossible(Exception):
    """An action that cannot be done; its text says why, to the agent."""


def understood(action: Action, lines: Sequence[str]) -> tuple[str, BaseModel]:
    """The tool that is meant and its arguments, for a source of `lines`. Raises `Impossible`."""
    if action.tool_call is not None:
        name = action.tool_call.name
        if name not in _TABLE:
            raise Impossible(f"There is no tool {name[:100]!r}; there are {', '.join(_TABLE)}.")
        return name, _checked(name, action.tool_call.arguments)
    text = action.text.strip()
    if text in ("run tests", "submit", "start over"):
        return text.replace(" ", "_"), _NoArguments()
    found = _REPLACE.fullmatch(text)
    if found is None:
        raise Impossible("Take one of the listed actions, or a tool.")
    number, new = int(found[1]), found[2]
    if not 1 <= number <= len(lines):
        raise Impossible(f"There is no line {number}; the source has {len(lines)}.")
    if not new.startswith(" "):  # the listed actions leave the indentation out
        old = lines[number - 1]
        new = old[: len(old) - len(old.lstrip())] + new
    return "replace_lines", _checked("replace_lines", {"start": number, "end": number, "text": new})


def _checked(name: str, arguments: Mapping[str, object]) -> _Arguments:
    try:
        return _TABLE[name][0].model_validate(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        raise Impossible(f"{'.'.join(map(str, first['loc'])) or name}: {first['msg']}."[:300]) from None


def edited(lines: Sequence[str], edit: ReplaceLines) -> tuple[str, ...]:
    """The lines after the edit. Raises `Impossible`."""
    if not 1 <= edit.start <= len(lines) + 1 or not edit.start - 1 <= edit.end <= len(lines):
        raise Impossible(f"There are no lines {edit.start} to {edit.end}; the source has {len(lines)}.")
    new = edit.text.split("\n") if edit.text else []
    after = (*lines[: edit.start - 1], *new, *lines[edit.end :])
    if len(after) > MOST_LINES or sum(map(len, after)) > MOST_CHARACTERS:
        raise Impossible("The source would become too long.")
    return after


def listed(problem: Problem, lines: Sequence[str]) -> tuple[str, ...]:
    """The admissible texts for a source of `lines`: edits to choose from, then what can always be done."""
    edits: list[str] = []
    if len(lines) == len(problem.broken):  # otherwise the candidates' line numbers mean nothing
        edits = [replacement(edit) for edit in problem.candidates if lines[edit.line - 1] != edit.text]
    return (*edits, "run tests", *(["start over"] if tuple(lines) != problem.broken else []), "submit")


def replacement(edit: Edit) -> str:
    return f"replace line {edit.line} with: {edit.text.strip()}"
