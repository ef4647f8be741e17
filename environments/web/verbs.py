"""All that can be done on a page, in words: `press textbox "Search" "Enter"`, `hover e12`, `goto "/about"`.

The richer sibling of `actions`, for pages that need more than click, type and select. An element is named as it is
listed, by role, label and (where several share them) ordinal, or by its reference.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wisen.environments.web import actions
from wisen.environments.web.actions import TYPEABLE, PageAction
from wisen.environments.web.marks import references
from wisen.environments.web.page import Element

if TYPE_CHECKING:
    from playwright.async_api import Locator, Page

ON_ELEMENT = frozenset(("click", "double-click", "hover", "clear"))
WITH_VALUE = frozenset(("type", "select", "press", "scroll"))
ON_PAGE = frozenset(("press", "scroll", "wait"))
EVEN_IF_DISABLED = frozenset(("scroll", "hover"))
NEVER_BARE = frozenset(("goto",))
DIRECTIONS = ("up", "down", "top", "bottom")
MOST_WAIT, MOST_PRESSES = 5.0, 200
MOST_TEXT = 20_000  # characters of an action
MOST_OFFERED = 120
AT_REST_MS = 600
LONG_TEXT = 100  # characters: a text of this length in an input may well need scrolling
SLOW_TYPING = 200  # characters: what is longer is put in at once
_QUOTE = re.compile(' "')
_PRESS = re.compile(r"(?P<key>\S+?)(?: x(?P<times>\d{1,3}))?")
_US_DATE = re.compile(r"(\d\d)/(\d\d)/(\d{4})")
_US_TIME = re.compile(r"(\d{1,2}):(\d\d) ?([AP]M)", re.IGNORECASE)


def offered(elements: Sequence[Element], instruction: str) -> tuple[PageAction, ...]:
    """The acts to choose from: those of `actions.admissible`, options of lists, the keys that move a slider, the way to
    the end of a long text."""
    found = list(actions.admissible(elements, instruction, most=MOST_OFFERED))
    for element, target in actions.named(elements):
        disabled = "disabled" in element.states
        if element.role == "option" and not disabled:
            found.append(PageAction(f"click {target}", "click", element.ref))
        elif "slider" in element.label and element.role in ("button", "slider") and not disabled:
            found += [_press(target, element.ref, key) for key in ("ArrowLeft", "ArrowRight")]
        elif element.role in TYPEABLE and element.value:
            if len(element.value) >= LONG_TEXT:
                found += [PageAction(f'scroll {target} "{way}"', "scroll", element.ref, way) for way in DIRECTIONS[2:]]
            elif not disabled:
                found.append(_press(target, element.ref, "Enter"))
    unique = {action.text: action for action in reversed(found)}
    return tuple(sorted(unique.values(), key=found.index))[:MOST_OFFERED]


def _press(target: str, ref: str, key: str) -> PageAction:
    return PageAction(f'press {target} "{key}"', "press", ref, key)


def understood(text: str, elements: Sequence[Element], verbs: frozenset[str] = frozenset()) -> PageAction | None:
    """The act that a text means, or None. `verbs`: those that concern no element and that the environment adds, such as
    `goto`."""
    if len(text) > MOST_TEXT:
        return None
    verb, _, rest = text.partition(" ")
    rest = rest.strip()
    quoted = len(rest) >= 2 and rest[0] == rest[-1] == '"'
    if not rest or (quoted and verb in ON_PAGE | verbs):
        bare = not rest and verb in verbs - NEVER_BARE
        return PageAction(text, verb, "", rest[1:-1]) if bare or rest else None
    if verb in ON_ELEMENT:
        splits = [(rest, "")]
    elif verb in WITH_VALUE and rest[-1] == '"':
        # Labels and values may hold quotes themselves: the longest that names something is the element.
        splits = [(rest[: at.start()], rest[at.end() : -1]) for at in reversed(list(_QUOTE.finditer(rest[:-1])))]
    else:
        return None
    able = _named(elements)
    for target, value in splits:
        found = able.get(target.strip())
        if found is not None and ("disabled" not in found.states or verb in EVEN_IF_DISABLED):
            return PageAction(text, verb, found.ref, value)
    return None


def _named(elements: Sequence[Element]) -> dict[str, Element]:
    """All words and references that stand for an element."""
    shown = references(elements)
    found: dict[str, Element] = {}
    for element, words in actions.named(elements):
        reference = shown.get(element.ref, "")
        found |= {f"{words} 1": element, reference: element, f"[{reference}]": element}
    found |= {words: element for element, words in actions.named(elements)}
    return {words: element for words, element in found.items() if words not in ("", "[]")}


async def perform(page: "Page", action: PageAction, timeout_ms: float, *, at_rest: bool = False) -> str:
    """Do it. What was wrong with it comes back as a note. Raises Playwright's `Error` where the page would not.

    at_rest: nothing on the page moves any more, so a click need not wait for what it aims at to come to rest: the
    driver's own waiting is three quarters of what a click costs."""
    if not action.ref:
        return await _on_page(page, action)
    target = page.locator(f"aria-ref={action.ref}")
    match action.verb:
        case "click":
            aimed = await target.evaluate(_AIM, timeout=timeout_ms)
            if aimed == _CHOSEN:
                return ""
            if aimed and at_rest:
                await page.mouse.click(*aimed)
            else:
                await _click(target, timeout_ms)
        case "double-click":
            await target.dblclick(force=True, timeout=timeout_ms)
        case "hover":
            await target.hover(force=True, timeout=timeout_ms)
        case "clear":
            await target.fill("", force=True, timeout=timeout_ms)
        case "type":
            await _type(target, action.value, timeout_ms)
        case "select":
            await target.select_option(label=action.value, force=True, timeout=timeout_ms)
        case "press":
            await target.focus(timeout=timeout_ms)
            return await _press_keys(page, action.value)
        case "scroll":
            if action.value not in DIRECTIONS:
                return f"scroll goes {', '.join(DIRECTIONS)}"
            await target.evaluate(_SCROLL, action.value, timeout=timeout_ms)
    return ""


_SCROLL = """
(e, way) => {
  const page = e.clientHeight * 0.8;
  e.scrollTop = {up: e.scrollTop - page, down: e.scrollTop + page, top: 0, bottom: e.scrollHeight}[way];
}
"""
# Where to click on an element: the middle of its first box, brought into view. A click on an option of a list that
# takes many adds to what is chosen, as with the control key held; that is done at once. Nothing where there is no box
# to click, or where it lies in a frame, whose own coordinates the window's pointer does not know.
_CHOSEN = "chosen"
_AIM = """
e => {
  const list = e.tagName === 'OPTION' && e.closest('select');
  if (list) {
    if (list.multiple) e.selected = !e.selected; else list.value = e.value;
    list.dispatchEvent(new Event('input', {bubbles: true}));
    list.dispatchEvent(new Event('change', {bubbles: true}));
    return 'chosen';
  }
  if (window !== window.top || getComputedStyle(e).visibility !== 'visible') return null;
  const aim = () => {
    const box = [...e.getClientRects()].find(box => box.width > 0 && box.height > 0);
    return box ? [box.left + box.width / 2, box.top + box.height / 2] : null;
  };
  const met = at => {
    const hit = at && document.elementFromPoint(...at);
    return Boolean(hit) && (e.contains(hit) || [...(e.labels || [])].some(label => label.contains(hit)));
  };
  if (!met(aim())) e.scrollIntoViewIfNeeded();
  if (!met(aim())) e.scrollIntoView({block: 'center'});
  return aim();
}
"""


async def _click(target: "Locator", timeout_ms: float) -> None:
    """As a person does: bring it into view and let it come to rest first. What stays covered is clicked where it is."""
    from playwright.async_api import TimeoutError as Late

    for attempt in (1, 2):
        try:
            await target.click(timeout=AT_REST_MS)
            return
        except Late:
            if attempt == 1:  # in view, and yet cut off by what it lies in
                await target.evaluate("e => e.scrollIntoView({block: 'center'})", timeout=timeout_ms)
    await target.click(force=True, timeout=timeout_ms)


async def _type(target: "Locator", value: str, timeout_ms: float) -> None:
    """Replace the text of an input, key by key where a page may listen to keys."""
    kind = await target.evaluate("e => e.tagName === 'INPUT' ? e.type : 'text'", timeout=timeout_ms)
    if kind in ("date", "time"):  # which take one form only
        value = _iso_time(value) if kind == "time" else _US_DATE.sub(r"\3-\1-\2", value)
    elif kind not in ("number", "range", "color", "month", "week", "datetime-local") and len(value) <= SLOW_TYPING:
        await target.fill("", force=True, timeout=timeout_ms)
        await target.press_sequentially(value, timeout=timeout_ms)
        return
    await target.fill(value, force=True, timeout=timeout_ms)


def _iso_time(value: str) -> str:
    match = _US_TIME.fullmatch(value)
    if match is None:
        return value
    hour = int(match[1]) % 12 + (12 if match[3].upper() == "PM" else 0)
    return f"{hour:02}:{match[2]}"


async def _press_keys(page: "Page", said: str) -> str:
    match = _PRESS.fullmatch(said)
    times = int(match["times"] or 1) if match else 0
    if match is None or not 1 <= times <= MOST_PRESSES:
        return f'press takes a key, such as "Enter", "Control+a", or "ArrowRight x12" ({MOST_PRESSES} at most)'
    for _ in range(times):
        await page.keyboard.press(match["key"])
    return ""


async def _on_page(page: "Page", action: PageAction) -> str:
    match action.verb:
        case "press":
            return await _press_keys(page, action.value)
        case "wait":
            try:
                seconds = float(action.value)
            except ValueError:
                seconds = -1.0
            if not 0 <= seconds <= MOST_WAIT:
                return f"wait takes seconds, from 0 to {MOST_WAIT:g}"
            await page.wait_for_timeout(seconds * 1000)
        case "scroll":
            if action.value not in DIRECTIONS:
                return f"scroll goes {', '.join(DIRECTIONS)}"
            await page.evaluate(f"way => ({_SCROLL})(document.scrollingElement, way)", action.value)
    return ""
