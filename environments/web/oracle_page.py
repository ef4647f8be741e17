"""What an observation of MiniWoB++ shows, taken apart for the oracle. For tests and benchmarks only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wisen.core.records import Observation

CLICKABLE = ("button", "link", "radio", "checkbox", "tab", "option", "menuitem")
_LINE = re.compile(
    r'(?P<role>[a-z]+)(?: "(?P<label>.*?)")?(?P<states>(?: [a-z]+)*)(?: = "(?P<value>.*)")?(?: \[\w+\])?'
)
ORDINALS = {f"{number}{end}": number for number in range(1, 40) for end in ("st", "nd", "rd", "th")}


@dataclass(frozen=True)
class Line:
    role: str
    label: str
    value: str
    states: str


class Page:
    """What an observation shows, taken apart."""

    def __init__(self, seen: Observation) -> None:
        self.goal, self.offered = seen.instruction, seen.actions
        self.quoted = re.findall(r'"([^"]+)"', seen.instruction)
        matches = [_LINE.fullmatch(text) for text in seen.text.splitlines()]
        self.lines = [
            Line(match["role"], match["label"] or "", match["value"] or "", match["states"])
            for match in matches
            if match
        ]

    def click(self, label: str, nth: int = 1, roles: Sequence[str] = CLICKABLE) -> str:
        """The click on the nth of that label, as it is offered."""
        found = [
            text
            for text in self.offered
            for role in roles
            if re.fullmatch(rf'click {role} "{re.escape(label)}"(?: \d+)?', text)
        ]
        return found[nth - 1] if len(found) >= nth else f'click button "{label}"'

    def has(self, label: str) -> bool:
        return any(line.label == label for line in self.lines)

    def targets(self, *roles: str) -> list[tuple[Line, str]]:
        """Lines of some roles, with the words that name each in an action."""
        alike: dict[tuple[str, str], int] = {}
        for line in self.lines:
            alike[line.role, line.label] = alike.get((line.role, line.label), 0) + 1
        seen: dict[tuple[str, str], int] = {}
        found = []
        for line in self.lines:
            key = (line.role, line.label)
            seen[key] = seen.get(key, 0) + 1
            words = f'{line.role} "{line.label}"' if line.label else line.role
            words += f" {seen[key]}" if not line.label or alike[key] > 1 else ""
            if line.role in roles:
                found.append((line, words))
        return found

    def inputs(self) -> list[tuple[Line, str]]:
        return self.targets("textbox", "spinbutton", "searchbox")

    def number(self) -> int:
        """The `2nd` of the goal."""
        return next(ORDINALS[word] for word in self.goal.split() if word in ORDINALS)

    def fill(self, value: str, nth: int = 1) -> str:
        return f'type {self.inputs()[nth - 1][1]} "{value}"'

    def move(self, nth: int, value: int) -> list[str]:
        """Set the nth slider, whose value stands in the next line."""
        at = [index for index, line in enumerate(self.lines) if "slider" in line.label][nth - 1]
        away = value - int(next(line.label for line in self.lines[at:] if line.role == "text"))
        _, words = [target for target in self.targets("button") if "slider" in target[0].label][nth - 1]
        key = "ArrowRight" if away > 0 else "ArrowLeft"
        return [f'press {words} "{key} x{abs(away)}"'] if away else []
