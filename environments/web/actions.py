"""What can be done on a page, in words: `click button "Ok"`, `type textbox "Username" "bela"`.

Actions name what they act on by role and label, as Playwright's role locators do; elements that share a label, or have
none, are told apart by their ordinal: `click textbox 2`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from wisen.environments.web.page import Element

CLICKABLE = frozenset("button link checkbox radio tab menuitem menuitemcheckbox menuitemradio switch treeitem".split())
TYPEABLE = frozenset(("textbox", "searchbox", "spinbutton"))
MOST_ACTIONS = 48
_QUOTED = re.compile(r'"([^"]+)"')


@dataclass(frozen=True)
class PageAction:
    """One admissible action: its words, and what to do to which element."""

    text: str
    verb: str
    ref: str
    value: str = ""


def admissible(elements: Sequence[Element], instruction: str, *, most: int = MOST_ACTIONS) -> tuple[PageAction, ...]:
    """Every act that the page offers. The values that can be typed are those that the instruction quotes: an agent
    with a free vocabulary types what it likes (`wisen.environments.web.tools`), one that chooses needs a list."""
    values = tuple(dict.fromkeys(_QUOTED.findall(instruction)))
    actions: list[PageAction] = []
    for element, target in named(elements):
        if "disabled" in element.states:
            continue
        if element.role in CLICKABLE:
            actions.append(PageAction(f"click {target}", "click", element.ref))
        elif element.role in TYPEABLE:
            actions.append(PageAction(f"click {target}", "click", element.ref))
            actions += [PageAction(f'type {target} "{value}"', "type", element.ref, value) for value in values]
        elif element.role == "combobox":
            actions += [
                PageAction(f'select {target} "{option}"', "select", element.ref, option)
                for option in _options(elements, element)
            ]
    unique = {action.text: action for action in reversed(actions)}
    return tuple(sorted(unique.values(), key=actions.index))[:most]


def named(elements: Sequence[Element]) -> list[tuple[Element, str]]:
    """Each element that can be acted on, with the words that name it: role, label, and an ordinal where needed."""
    able = [element for element in elements if element.ref]
    same = Counter((element.role, element.label) for element in able)
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for element in able:
        key = (element.role, element.label)
        seen[key] += 1
        words = element.role + (f' "{element.label}"' if element.label else "")
        if not element.label or same[key] > 1:
            words += f" {seen[key]}"
        found.append((element, words))
    return found


def _options(elements: Sequence[Element], owner: Element) -> list[str]:
    start = next(index for index, element in enumerate(elements) if element is owner) + 1
    options = []
    for element in elements[start:]:
        if element.role != "option":
            break
        options.append(element.label)
    return options


def resolve(action_text: str, elements: Sequence[Element], offered: Sequence[PageAction]) -> PageAction | None:
    """The act that a text means: one of those offered, or a `type` of a value that was not; None if it names nothing
    on this page."""
    for action in offered:
        if action.text == action_text:
            return action
    for element, target in named(elements):
        prefix = f"type {target} "
        value = action_text.removeprefix(prefix)
        if "disabled" in element.states or element.role not in TYPEABLE:
            continue
        if value != action_text and len(value) >= 2 and value[0] == value[-1] == '"':
            return PageAction(action_text, "type", element.ref, value[1:-1])
    return None
