"""Pages: press what is named, choose, tick, type, in the order that the goal says. Nothing here is hidden.

Observations and actions are made by the code that reads real pages, so their form is exactly that. No page of
any suite is copied: labels, goals and layouts are drawn.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from wisen.environments.web.actions import PageAction, admissible
from wisen.environments.web.page import Element
from wisen.trainers.sprout.phrases import PAGE_PHRASES, ordinal
from wisen.trainers.sprout.words import ACTS, WORK, Lexicon
from wisen.trainers.sprout.world import Seen, phrased

PRESSABLE = ("button", "link", "tab", "menuitem", "treeitem")
TICKABLE = ("checkbox", "menuitemcheckbox", "switch")
EXCLUSIVE = ("radio", "menuitemradio")


class Page:
    """A page with a goal. `wants`: (index of an element, the state or value it must come to), in the order to act.
    `final`: index of the element whose click ends the episode; None where a click that is wanted does. `path`: the
    elements to click in this order, instead of wants."""

    scope = ""

    def __init__(
        self,
        family: str,
        instruction: str,
        elements: Sequence[Element],
        *,
        wants: Sequence[tuple[int, str]] = (),
        final: int | None = None,
        path: Sequence[int] = (),
    ) -> None:
        self.family, self.instruction = family, instruction
        self._elements = [
            replace(element, ref="" if element.role == "text" else f"e{index}")
            for index, element in enumerate(elements)
        ]
        self._wants, self._final, self._path = list(wants), final, list(path)
        self.done = self.success = False

    def seen(self) -> Seen:
        if self.done:
            return Seen("the episode is over", ())
        actions = tuple(action.text for action in self._actions())
        return Seen("\n".join(element.text for element in self._elements), actions)

    def right(self) -> str:
        if self._path:
            return self._click(self._path[0])
        for index, element in enumerate(self._elements):
            if element.role in TICKABLE and "checked" in element.states and (index, "on") not in self._wants:
                return self._click(index)
        for index, want in self._wants:
            if not self._holds(index, want):
                return self._towards(index, want)
        assert self._final is not None
        return self._click(self._final)

    def fair(self) -> Sequence[str]:
        return (self.right(),)

    def act(self, action: str) -> str:
        chosen = next(one for one in self._actions() if one.text == action)
        index = int(chosen.ref[1:])
        element = self._elements[index]
        if self._path:
            if index == self._path[0]:
                self._path.pop(0)
                if not self._path:
                    self._end(True)
            elif element.role in PRESSABLE:
                self._end(False)
            return ""
        if chosen.verb in ("type", "select"):
            self._set(index, chosen.value)
        elif element.role in TICKABLE:
            state = "checked"
            on = () if state in element.states else (state,)
            self._elements[index] = replace(element, states=on)
        elif element.role in EXCLUSIVE:
            self._elements = [replace(one, states=()) if one.role in EXCLUSIVE else one for one in self._elements]
            self._elements[index] = replace(element, states=("checked",))
        elif index == self._final:
            self._end(self._all())
        elif self._final is None and (index, "click") in self._wants:
            self._end(True)
        elif self._final is None or element.role in PRESSABLE:
            self._end(False)
        return ""

    def _end(self, success: bool) -> None:
        self.done, self.success = True, success

    def _all(self) -> bool:
        ticked = {i for i, one in enumerate(self._elements) if one.role in TICKABLE and one.states}
        return all(self._holds(*want) for want in self._wants) and ticked <= {index for index, _ in self._wants}

    def _holds(self, index: int, want: str) -> bool:
        element = self._elements[index]
        if want == "click":
            return False
        if want == "on":
            return "checked" in element.states
        if element.role == "combobox":
            return any("selected" in one.states and one.label == want for one in self._options(index))
        return element.value == want

    def _set(self, index: int, value: str) -> None:
        element = self._elements[index]
        if element.role != "combobox":
            self._elements[index] = replace(element, value=value)
            return
        for at in range(index + 1, index + 1 + len(self._options(index))):
            option = self._elements[at]
            self._elements[at] = replace(option, states=("selected",) if option.label == value else ())

    def _options(self, index: int) -> list[Element]:
        found = []
        for element in self._elements[index + 1 :]:
            if element.role != "option":
                break
            found.append(element)
        return found

    def _actions(self) -> tuple[PageAction, ...]:
        return admissible(self._elements, self.instruction)

    def _click(self, index: int) -> str:
        return next(one.text for one in self._actions() if one.ref == f"e{index}" and one.verb == "click")

    def _towards(self, index: int, want: str) -> str:
        if want in ("on", "click"):
            return self._click(index)
        return next(
            one.text for one in self._actions() if one.ref == f"e{index}" and one.verb != "click" and one.value == want
        )


def _words(draw: random.Random, lexicon: Lexicon, elements: list[Element], most: int = 2) -> list[Element]:
    """The elements with some lines of text between them."""
    for _ in range(draw.choice((0, 0, 1, most))):
        elements.insert(draw.randint(0, len(elements)), Element("text", lexicon.sentence(draw), ""))
    return elements


def _submit(draw: random.Random, lexicon: Lexicon) -> Element:
    label = "Submit" if draw.random() < 0.3 else lexicon.pick(draw, ACTS).capitalize()
    return Element("button", label, "")


def _place(elements: Sequence[Element], wanted: Element) -> int:
    return next(index for index, element in enumerate(elements) if element is wanted)


def _count(draw: random.Random, lexicon: Lexicon) -> int:
    return draw.randint(2, 4 if lexicon.ease > 0.8 else 8)


def press(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    names = lexicon.names(draw, _count(draw, lexicon))
    roles = draw.choices(PRESSABLE, k=len(names)) if draw.random() < 0.4 else [draw.choice(PRESSABLE)] * len(names)
    elements = [Element(role, name, "") for role, name in zip(roles, names, strict=True)]
    wanted = pick.choice(elements)
    if draw.random() < 0.2:
        elements.insert(draw.randint(0, len(elements)), Element("textbox", "", ""))
    elements = _words(draw, lexicon, elements)
    goal = phrased(pick, PAGE_PHRASES["press"][lexicon.side], role=wanted.role, x=wanted.label)
    return Page("press", goal, elements, wants=[(_place(elements, wanted), "click")])


def radio(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    role = "radio" if draw.random() < 0.8 else "menuitemradio"
    elements = [Element(role, name, "") for name in lexicon.names(draw, _count(draw, lexicon))]
    wanted, send = pick.choice(elements), _submit(draw, lexicon)
    elements = [*_words(draw, lexicon, elements, 1), send]
    goal = phrased(pick, PAGE_PHRASES["radio"][lexicon.side], x=wanted.label, s=send.label)
    return Page("radio", goal, elements, wants=[(_place(elements, wanted), "on")], final=len(elements) - 1)


def _listed(names: Sequence[str], draw: random.Random) -> str:
    if draw.random() < 0.5 or len(names) == 1:
        return ", ".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _ticks(draw: random.Random, lexicon: Lexicon, pick: random.Random, family: str, role: str) -> Page:
    elements = [Element(role, name, "") for name in lexicon.names(draw, _count(draw, lexicon))]
    wanted = pick.sample(elements, pick.randint(1, min(len(elements), 4)))
    send = _submit(draw, lexicon)
    goal = phrased(
        pick, PAGE_PHRASES[family][lexicon.side], x=_listed([one.label for one in wanted], pick), s=send.label
    )
    elements = [*_words(draw, lexicon, elements, 1), send]
    wants = [(_place(elements, one), "on") for one in wanted]
    return Page(family, goal, elements, wants=wants, final=len(elements) - 1)


def ticks(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    return _ticks(draw, lexicon, pick, "ticks", "checkbox" if draw.random() < 0.8 else "menuitemcheckbox")


def switches(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    return _ticks(draw, lexicon, pick, "switches", "switch")


def field(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    """One value; one field of several, or the only one, which may have no label."""
    value, send = lexicon.name(pick), _submit(draw, lexicon)
    if draw.random() < 0.4:
        boxes, label = [Element("textbox", "", "")], ""
        phrases = PAGE_PHRASES["field alone"]
    else:
        boxes = [Element("textbox", name, "") for name in _labels(draw, lexicon, draw.randint(1, 3))]
        label, phrases = pick.choice(boxes).label, PAGE_PHRASES["field"]
    wanted = next(one for one in boxes if one.label == label)
    elements = [*_words(draw, lexicon, list(boxes), 1), send]
    goal = phrased(pick, phrases[lexicon.side], v=value, f=label, s=send.label)
    return Page("field", goal, elements, wants=[(_place(elements, wanted), value)], final=len(elements) - 1)


def fields(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    """Two values for two fields, or one value for both."""
    one, other = _labels(draw, lexicon, 2)
    send = _submit(draw, lexicon)
    elements = [Element("textbox", one, ""), Element("textbox", other, ""), send]
    if pick.random() < 0.3:
        value = lexicon.name(pick)
        goal = phrased(pick, PAGE_PHRASES["fields same"][lexicon.side], v=value, s=send.label)
        return Page("fields", goal, elements, wants=[(0, value), (1, value)], final=2)
    first, second = lexicon.names(pick, 2)
    said = [(one, first), (other, second)]
    if pick.random() < 0.3:
        said.reverse()
    (f, v), (g, w) = said
    goal = phrased(pick, PAGE_PHRASES["fields"][lexicon.side], f=f.lower(), v=v, g=g.lower(), w=w, s=send.label)
    wants = [(0, first), (1, second)]
    return Page("fields", goal, elements, wants=wants, final=2)


def choose(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    names, send = lexicon.names(draw, _count(draw, lexicon) + 1), _submit(draw, lexicon)
    label = draw.choice(("", lexicon.pick(draw, WORK).capitalize()))
    options = [Element("option", name, "", ("selected",) if not index else ()) for index, name in enumerate(names)]
    wanted = pick.choice(names[1:])
    elements = [Element("combobox", label, ""), *options, send]
    goal = phrased(pick, PAGE_PHRASES["choose"][lexicon.side], x=wanted, s=send.label)
    return Page("choose", goal, elements, wants=[(0, wanted)], final=len(elements) - 1)


def nth(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    role, count = draw.choice((*PRESSABLE, "textbox", "textbox")), draw.randint(2, 5)
    if role == "textbox":
        names = [""] * count if draw.random() < 0.7 else _labels(draw, lexicon, count)
    else:
        names = lexicon.names(draw, count)
    elements = [Element(role, name, "") for name in names]
    index = pick.randrange(count)
    goal = phrased(pick, PAGE_PHRASES["nth"][lexicon.side], n=ordinal(pick, index + 1), role=role)
    return Page("nth", goal, elements, wants=[(index, "click")])


def kind(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    """Act on the one element of a kind."""
    roles = draw.sample(("button", "link", "radio", "checkbox", "textbox", "tab", "menuitem"), draw.randint(2, 4))
    names = lexicon.names(draw, len(roles))
    elements = [
        Element(role, "" if role == "textbox" else name, "", value=name if role == "textbox" else "")
        for role, name in zip(roles, names, strict=True)
    ]
    index = pick.randrange(len(roles))
    goal = phrased(pick, PAGE_PHRASES["kind"][lexicon.side], role=roles[index])
    return Page("kind", goal, elements, path=[index])


def sequence(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    """Several in an order that only the history tells."""
    names = lexicon.names(draw, draw.randint(2, 5))
    role = draw.choice(PRESSABLE)
    path = pick.sample(range(len(names)), pick.randint(2, min(3, len(names))))
    said = [names[index] for index in path]
    goal = phrased(pick, PAGE_PHRASES["sequence"][lexicon.side], x=", then ".join(said), role=role)
    return Page("sequence", goal, [Element(role, name, "") for name in names], path=path)


def mixed(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    """Two parts of a form of different kinds, then its button."""
    elements: list[Element] = []
    wants: list[tuple[int, str]] = []
    said = []
    for part in draw.sample(("type", "choose", "tick"), 2):
        at = len(elements)
        if part == "type":
            label, value = _labels(draw, lexicon, 1)[0], lexicon.name(pick)
            elements.append(Element("textbox", label, ""))
            wants.append((at, value))
            said.append(phrased(pick, PAGE_PHRASES["part type"][lexicon.side], f=label, v=value))
        elif part == "choose":
            names = lexicon.names(draw, draw.randint(3, 5))
            wanted = pick.choice(names[1:])
            elements.append(Element("combobox", "", ""))
            elements += [
                Element("option", name, "", () if number else ("selected",)) for number, name in enumerate(names)
            ]
            wants.append((at, wanted))
            said.append(phrased(pick, PAGE_PHRASES["part choose"][lexicon.side], x=wanted))
        else:
            names = lexicon.names(draw, draw.randint(2, 4))
            index = pick.randrange(len(names))
            elements += [Element("checkbox", name, "") for name in names]
            wants.append((at + index, "on"))
            said.append(phrased(pick, PAGE_PHRASES["part tick"][lexicon.side], x=names[index]))
    send = _submit(draw, lexicon)
    goal = phrased(pick, PAGE_PHRASES["parts"][lexicon.side], a=said[0], b=said[1], s=send.label)
    return Page("mixed", goal[0].upper() + goal[1:], [*elements, send], wants=wants, final=len(elements))


def form(draw: random.Random, lexicon: Lexicon, pick: random.Random) -> Page:
    """A value to type and one to choose: held out as a family, its parts are known."""
    label, value, send = _labels(draw, lexicon, 1)[0], lexicon.name(pick), _submit(draw, lexicon)
    names = lexicon.names(draw, draw.randint(2, 5))
    wanted = pick.choice(names)
    elements = [Element("textbox", label, ""), *(Element("radio", name, "") for name in names), send]
    goal = phrased(pick, PAGE_PHRASES["form"][lexicon.side], f=label, v=value, x=wanted, s=send.label)
    wants = [(0, value), (1 + names.index(wanted), "on")]
    return Page("form", goal, elements, wants=wants, final=len(elements) - 1)


def _labels(draw: random.Random, lexicon: Lexicon, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        name = lexicon.pick(draw, WORK) if draw.random() < 0.7 else lexicon.word(draw)
        if name.capitalize() not in found:
            found.append(name.capitalize())
    return found


Maker = Callable[[random.Random, Lexicon, random.Random], Page]
TRAIN_PAGES: dict[str, Maker] = {
    "press": press,
    "radio": radio,
    "ticks": ticks,
    "field": field,
    "fields": fields,
    "choose": choose,
    "nth": nth,
    "kind": kind,
    "sequence": sequence,
    "mixed": mixed,
}
HELD_PAGES: dict[str, Maker] = {"switches": switches, "form": form}


def pages(draw: random.Random, lexicon: Lexicon, family: str, count: int) -> list[Page]:
    """The same page `count` times, each time with a goal of its own. Drawn again where one cannot be acted on (a page
    offers only so many actions)."""
    make = (TRAIN_PAGES | HELD_PAGES)[family]
    while True:
        layout = draw.getrandbits(32)
        made = [make(random.Random(layout), lexicon, random.Random(draw.getrandbits(32))) for _ in range(count)]
        try:
            for one in made:
                one.right()
        except StopIteration:
            continue
        return made
