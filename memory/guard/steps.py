"""What an item advises, step by step, in a form in which two items can be held against each other.

A step of an action is its verb or tool with what it is given; the values of a task are variables there, as a distiller
leaves them or as `abstraction` finds them. Any other text is read by sentences, which are compared by meaning: `named`
gives sentences that mean the same one name.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wisen.core.records import Action, MemoryItem
from wisen.memory.distillers.abstraction import abstraction, verb_of
from wisen.memory.items import normalised

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ALIKE = 0.75  # least cosine of two sentences that are one step
VARIABLE = "<>"
_VARIABLE = re.compile(r"<(?:\d+|other)>")
_BARE_VARIABLE = re.compile(r"(?<=[=\[,\s(])<>(?=[,\])\s])")
_QUOTED = re.compile(r'"[^"]*"')
_LISTED = re.compile(r"^\s*(?:\d+[.):]|[-*•])\s+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9<\"'])")


@dataclass(frozen=True)
class Step:
    """`what`: the verb or tool, or a sentence. `given`: (place, value), in the order in which it stands there."""

    what: str
    given: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Reading:
    """`acts`: whether the steps are actions; sentences and actions are never held against each other. `sources`: the
    tasks that it was learned from."""

    item_id: str
    acts: bool
    steps: tuple[Step, ...]
    sources: tuple[str, ...] = ()


def reading_of(item: MemoryItem, said: str | None = None) -> Reading:
    """The steps of an item's content, or of what else it leads to (`said`)."""
    # Masked first: the number of a variable is no value.
    parts = [_masked(part) for part in _parts(item.content if said is None else said) if part.strip()]
    verbs = frozenset(item.scope.actions)
    acts = [Action(text=part) for part in parts if verb_of(Action(text=part)) in verbs]
    if acts and 2 * len(acts) >= len(parts):
        found = abstraction(_masked(item.when_to_use), acts)
        steps = tuple(_step(found.action(act)) for act in acts)
        return Reading(item.id, True, steps, item.source_tasks)
    sentences = [normalised(one) for part in parts for one in _SENTENCE.split(part)]
    return Reading(item.id, False, tuple(Step(one) for one in sentences if one), item.source_tasks)


def sentences(readings: Sequence[Reading]) -> tuple[str, ...]:
    """All sentences that need a vector, each once."""
    return tuple(dict.fromkeys(step.what for one in readings if not one.acts for step in one.steps))


def named(readings: Sequence[Reading], texts: Sequence[str], vectors: "NDArray[np.floating]") -> list[Reading]:
    """The readings with sentences of one meaning under one name, that of the first. vectors: [n, d], unit vectors of
    `texts`, which are `sentences(readings)`."""
    leaders: list[int] = []
    name: dict[str, str] = {}
    for place, text in enumerate(texts):
        near = vectors[leaders] @ vectors[place] if leaders else vectors[:0, 0]
        best = int(near.argmax()) if len(near) else -1
        if best >= 0 and near[best] >= ALIKE:
            name[text] = texts[leaders[best]]
        else:
            leaders.append(place)
            name[text] = text
    return [
        one if one.acts else replace(one, steps=tuple(Step(name[step.what]) for step in one.steps)) for one in readings
    ]


def _parts(text: str) -> list[str]:
    """Cut at line ends and at semicolons outside quotes, without numbers or bullets in front."""
    found: list[str] = []
    part = quote = ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[place - 1] != "\\" else quote
        elif letter == '"' or (letter == "'" and (place == 0 or not text[place - 1].isalnum())):
            quote = letter
        if letter == "\n" or (letter == ";" and not quote):
            found, part, quote = [*found, part], "", ""
        else:
            part += letter
    return [_LISTED.sub("", one).strip() for one in [*found, part]]


def _step(action: str) -> Step:
    """`send_mail(to='x', text=<1>)`, `click button "Ok"`."""
    call = _call(action)
    if call is not None:
        return call
    values = [(str(place), match[0][1:-1]) for place, match in enumerate(_QUOTED.finditer(action))]
    return Step(normalised(_QUOTED.sub('""', action)), tuple(values))


def _call(action: str) -> Step | None:
    try:
        node = ast.parse(_BARE_VARIABLE.sub(repr(VARIABLE), action).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return None
    places = [(str(place), value) for place, value in enumerate(node.args)]
    places += [(keyword.arg or "", keyword.value) for keyword in node.keywords]
    return Step(node.func.id, tuple((place, _masked(_value(value))) for place, value in places))


def _value(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def _masked(text: str) -> str:
    """Numbers of variables say nothing across items."""
    return _VARIABLE.sub(VARIABLE, text)
