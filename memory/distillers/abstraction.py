"""Values of a task made variables: `Enter "bela"` and `type textbox "Name" "bela"` share the variable <1>, or <name>.

A value is a string or a number that an action holds and the instruction names. Matches are of whole tokens only, and
the longest value is placed first, so that a value inside another one does not break it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count

from wisen.core.records import Action

OTHER = "<other>"
_QUOTED = re.compile(r'"([^"]*)"')
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w|\.\d)")
_NUMBER_SAID = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)(?:st|nd|rd|th)?(?!\w|\.\d)")
_NUMBERED = re.compile(r"<(\d+)>")
_LABEL = re.compile(r"[^\W_]+")
_LABEL_WORDS = 3


@dataclass(frozen=True)
class Abstraction:
    """`pattern`: the instruction with its values replaced by <1>, <2> … in order of appearance. `values`: what stood
    there. `names`: what the variables are called instead, where they were given names."""

    pattern: str
    values: tuple[str, ...]
    names: tuple[str, ...] = ()

    def text(self, text: str) -> str:
        """A string of an action, its values replaced."""
        return _replaced(text, {value: f"<{self._name(number)}>" for number, value in enumerate(self.values, start=1)})

    def named(self, actions: Sequence[Action]) -> "Abstraction":
        """The same with its variables named by what stands beside them in these actions: `Username` of `type textbox
        "Username" "bela"`, the argument of a tool call. Equal names are numbered: <name>, <name_2>."""
        names: dict[str, str] = {}
        said = "\n".join(map(str, actions))
        for value in sorted(self.values, key=lambda one: _place(one, said)):
            labels = (label for action in actions for label in _labels(value, action) if self.text(label) == label)
            name = "_".join(_LABEL.findall(next(labels, "").lower())[:_LABEL_WORDS])
            name = name if name[:1].isalpha() else f"value_{name}".rstrip("_")
            free = (one for one in chain([name], (f"{name}_{n}" for n in count(2))) if one not in names.values())
            names[value] = next(free)
        named = replace(self, names=tuple(names[value] for value in self.values))
        return replace(named, pattern=_NUMBERED.sub(lambda found: f"<{named._name(int(found[1]))}>", self.pattern))

    def _name(self, number: int) -> str:
        return self.names[number - 1] if 0 < number <= len(self.names) else str(number)

    def action(self, action: Action, known: frozenset[str] | None = None) -> str:
        """An action in words, its values replaced. With `known`, strings and numbers that hold no variable and are
        not among them become `<other>`: they belong to one page, not to the lesson."""

        def quoted(text: str) -> str:
            made = self.text(text)
            foreign = known is not None and text and text not in known and made == text
            return OTHER if foreign else made

        return _mapped(action, quoted)

    def leftovers(self, action: Action) -> tuple[str, ...]:
        """Values of the task that the abstracted action still spells out: those that the instruction names only
        inside a longer value."""
        return tuple(value for value in _strings([action]) if _within(value, self.values) and self.text(value) == value)


def abstraction(instruction: str, actions: Sequence[Action]) -> Abstraction:
    """Find the values of a task by its instruction and the actions taken."""
    strings = _strings(actions)
    numbers = {number for text in strings for number in _NUMBER.findall(text)}
    said = {match[1] for match in _NUMBER_SAID.finditer(instruction)}
    values = {text for text in strings if _pattern(text).search(instruction)} | (numbers & said)
    marks = {value: f"\0{index}\0" for index, value in enumerate(sorted(values))}
    marked = _replaced(instruction, marks)
    found = dict.fromkeys(re.findall(r"\0\d+\0", marked))
    value_of = {mark: value for value, mark in marks.items()}
    for number, mark in enumerate(found, start=1):
        marked = marked.replace(mark, f"<{number}>")
    return Abstraction(pattern=marked, values=tuple(value_of[mark] for mark in found))


def strings_of(actions: Iterable[Action]) -> frozenset[str]:
    """All that actions hold between quotes or as numbers, and all values of tool calls."""
    return frozenset(_strings(actions))


def verb_of(action: Action) -> str:
    """The first word of a text action, the name of a tool."""
    if action.tool_call is not None:
        return action.tool_call.name
    return action.text.split(maxsplit=1)[0].split("(", 1)[0] if action.text.strip() else ""


def _place(value: str, text: str) -> int:
    found = _pattern(value).search(text)
    return found.start() if found else len(text)


def _labels(value: str, action: Action) -> Iterator[str]:
    """What the action calls that value, best first: the argument that holds it, the quoted string before it, the word
    before it."""
    if action.tool_call is not None:
        for key, held in action.tool_call.arguments.items():
            if _pattern(value).search(_argument(held, str)):
                yield key
    elif found := _pattern(value).search(action.text):
        before = action.text[: found.start()]
        yield from reversed(_QUOTED.findall(before))
        yield from reversed(_LABEL.findall(before))


def _strings(actions: Iterable[Action]) -> list[str]:
    found: list[str] = []

    def collect(text: str) -> str:
        found.append(text)
        return text

    for action in actions:
        _mapped(action, collect)
    return [text for text in dict.fromkeys(found) if text.strip()]


def _mapped(action: Action, change: Callable[[str], str]) -> str:
    """The action in words, with every quoted string, number and tool argument passed through `change`."""
    if action.tool_call is not None:
        arguments = ", ".join(f"{key}={_argument(value, change)}" for key, value in action.tool_call.arguments.items())
        return f"{action.tool_call.name}({arguments})"
    parts: list[str] = []
    end = 0
    for match in _QUOTED.finditer(action.text):
        parts.append(_NUMBER.sub(lambda number: change(number[0]), action.text[end : match.start()]))
        parts.append(f'"{change(match[1])}"')
        end = match.end()
    parts.append(_NUMBER.sub(lambda number: change(number[0]), action.text[end:]))
    return "".join(parts)


def _argument(value: object, change: Callable[[str], str]) -> str:
    if isinstance(value, str):
        return repr(change(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return change(repr(value))
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_argument(one, change) for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_argument(one, change)}" for key, one in value.items()) + "}"
    return repr(value)


def _pattern(value: str) -> re.Pattern[str]:
    """Finds a value as a whole token: no letter or digit that would continue it beside it. A number also matches as an
    ordinal, `2` in `2nd`, and never inside a decimal."""
    escaped = re.escape(value)
    before = r"(?<!\w)" if re.match(r"\w", value) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", value) else ""
    if _NUMBER.fullmatch(value):
        return re.compile(rf"(?<![\w.]){escaped}(?:st|nd|rd|th)?(?!\w|\.\d)")
    return re.compile(before + escaped + after)


def _replaced(text: str, names: dict[str, str]) -> str:
    """Replace whole-token occurrences, longest value first; what was replaced is not looked into again."""
    pieces: list[tuple[str, bool]] = [(text, False)]
    for value in sorted(names, key=lambda one: (-len(one), one)):
        pattern = _pattern(value)
        pieces = [piece for part in pieces for piece in _split(part, pattern, names[value])]
    return "".join(piece for piece, _ in pieces)


def _split(part: tuple[str, bool], pattern: re.Pattern[str], name: str) -> list[tuple[str, bool]]:
    text, done = part
    if done:
        return [part]
    pieces: list[tuple[str, bool]] = []
    end = 0
    for match in pattern.finditer(text):
        pieces += [(text[end : match.start()], False), (name, True)]
        end = match.end()
    return [*pieces, (text[end:], False)]


def _within(value: str, values: Sequence[str]) -> bool:
    return any(value != other and _pattern(value).search(other) for other in values)
