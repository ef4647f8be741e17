"""Reading a page: Playwright's accessibility snapshot as a list of elements.

The snapshot leaves out elements that only have a handler (a `span` that listens for clicks). `HANDLERS_SCRIPT` notes
who listens, and `MARK_SCRIPT` gives such leaf elements the role that they play, so that the snapshot names them too.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from playwright.async_api import Page

HANDLERS_SCRIPT = """
(() => {
  const add = EventTarget.prototype.addEventListener;
  const listening = window.__wisenListening = new Set();
  EventTarget.prototype.addEventListener = function (type, ...rest) {
    if (type === 'click' || type === 'mousedown' || type === 'mouseup') listening.add(this);
    return add.call(this, type, ...rest);
  };
})()
"""

MARK_SCRIPT = """
() => {
  const native = 'a[href], button, input, select, textarea, option, label, [role], [tabindex]';
  for (const element of [...(window.__wisenListening || []), ...document.querySelectorAll('[onclick]')]) {
    if (!(element instanceof HTMLElement) || !element.isConnected) continue;
    if (element.matches(native) || element.querySelector(native) || element.children.length) continue;
    element.setAttribute('role', 'button');
  }
}
"""

# `textbox "Name" [checked] [ref=e5]`, the way Playwright writes one node of its snapshot
_NODE = re.compile(r'^(?P<role>[a-z]+)(?: "(?P<name>(?:[^"\\]|\\.)*)")?(?P<marks>(?: \[[^\]]*\])*)$')
_MARK = re.compile(r"\[([^\]=]+)(?:=([^\]]*))?\]")
_STATES = ("checked", "selected", "disabled", "expanded", "pressed")
_LABEL_LIMIT = 40


@dataclass(frozen=True)
class Element:
    """A node of the accessibility tree. `label` is the accessible name, else the text just before an input."""

    role: str
    label: str
    ref: str
    states: tuple[str, ...] = ()
    value: str = ""

    @property
    def text(self) -> str:
        parts = [self.role]
        if self.label:
            parts.append(f'"{self.label}"')
        parts += self.states
        if self.value:
            parts.append(f'= "{self.value}"')
        return " ".join(parts)


async def snapshot(page: "Page") -> tuple[Element, ...]:
    """The page's elements in reading order; plain text comes as elements of role `text` without a reference."""
    await page.evaluate(MARK_SCRIPT)
    return parse_snapshot(await page.aria_snapshot(mode="ai"))


def whole_letters(text: str) -> str:
    """Text of a page as text that can be written down: a browser's strings may hold half a letter."""
    return text.encode(errors="replace").decode()


def parse_snapshot(source: str) -> tuple[Element, ...]:
    """Flatten Playwright's YAML snapshot. Containers without a name of their own are left out."""
    # Every scalar is text: YAML would make a number of 12:30, and a date of 2020-01-02.
    tree = yaml.load(whole_letters(source), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader)) or []
    return tuple(_without_echoes(list(_walk(tree))))


def _without_echoes(elements: list[Element]) -> Iterator[Element]:
    """Leave out text that only says the label of the element beside it, as labels of inputs do."""
    for index, element in enumerate(elements):
        beside = elements[max(0, index - 1) : index] + elements[index + 1 : index + 2]
        if element.role != "text" or all(element.label.strip().rstrip(":") != other.label for other in beside):
            yield element


def _walk(nodes: list[Any]) -> Iterator[Element]:
    before = ""  # the text just before: what labels an input without a name
    for node in nodes:
        head, body = next(iter(node.items())) if isinstance(node, dict) else (node, None)
        if head.startswith("/"):  # properties such as `/url: ...`
            continue
        if head == "text":
            before = body or ""
            yield Element("text", before, "")
            continue
        element = _element(head, body, before)
        children = body if isinstance(body, list) else []
        if element.role in ("textbox", "combobox", "searchbox", "spinbutton", "slider"):
            yield element
            yield from (child for child in _walk(children) if child.role == "option")
        elif element.role in _CONTAINERS and not element.label:
            if isinstance(body, str):
                before = body
                yield Element("text", before, "")
            else:
                yield from _walk(children)
                continue
        else:
            yield element
            yield from _walk([child for child in children if not _names(child, element.label)])
        before = before if element.role in _CONTAINERS else ""


_CONTAINERS = frozenset(
    "generic paragraph list listitem group tablist tab tabpanel table row cell rowgroup dialog document main form "
    "article section banner navigation region strong emphasis heading".split()
)


def _element(head: str, body: Any, before: str) -> Element:
    match = _NODE.match(head)
    if match is None:
        return Element("text", head[:200], "")
    marks: dict[str, str] = dict(_MARK.findall(match["marks"]))
    role, label = match["role"], whole_letters(json.loads(f'"{match["name"] or ""}"'))
    value = ""
    if role in ("textbox", "searchbox", "spinbutton", "combobox"):
        value = body if isinstance(body, str) else _text_in(body)
    elif isinstance(body, str) and not label and role not in _CONTAINERS:
        label = body
    if (
        not label
        and role in ("textbox", "combobox", "searchbox", "spinbutton", "slider")
        and len(before) <= _LABEL_LIMIT
    ):
        label = before.strip().rstrip(":")
    return Element(role, label, marks.get("ref", ""), tuple(s for s in _STATES if s in marks), value)


def _text_in(body: Any) -> str:
    """The value of an input that has properties (a placeholder) beside it."""
    texts = [child["text"] for child in body or () if isinstance(child, dict) and "text" in child]
    return " ".join(texts)


def _names(child: Any, label: str) -> bool:
    """Whether a child only repeats its parent's name."""
    return isinstance(child, dict) and child.get("text") == label
