"""Reading any page: the accessibility tree, and beside it all that can be acted on and that the tree does not name.

A `span` that is a trash can to the eye is nothing to the tree. `MARK` finds what listens for clicks, can take the
keyboard, or shows a hand under the pointer, and gives it the role of a button; where it has no words of its own it is
named as its author named it, by id and classes: `button "#send.icon"`. A page changes while it is read:
`Loading` waits for what it has begun.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wisen.environments.web.page import Element, parse_snapshot

if TYPE_CHECKING:
    from playwright.async_api import Page, Request

# Counts the timers that will fire soon, so that `SETTLE` knows whether a page is about to change.
TIMERS_SCRIPT = """
(() => {
  const due = window.__wisenDue = new Map(), set = window.setTimeout, clear = window.clearTimeout;
  window.__wisenLater = (callback, delay) => set.call(window, callback, delay);
  window.setTimeout = function (callback, delay, ...rest) {
    if (typeof callback !== 'function') return set.call(window, callback, delay, ...rest);
    const id = set.call(window, (...given) => { due.delete(id); callback.apply(window, given); }, delay, ...rest);
    due.set(id, performance.now() + (Number(delay) || 0));
    return id;
  };
  window.clearTimeout = function (id) { due.delete(id); return clear.call(window, id); };
})()
"""
# Resolves when no animation runs and no timer is near, or after `most` milliseconds. It looks by a timer and not at
# every frame: to ask for a frame is to have it drawn. The page is laid out at each look, which makes it ask for the
# pictures that its styles name before the answer goes out, so that `Loading` has heard of them when the answer comes.
SETTLE = """
([near, most]) => new Promise(resolve => {
  const begun = performance.now();
  const busy = () => {
    const now = performance.now(), jq = window.jQuery;
    if (document.body) document.body.getBoundingClientRect();
    if (jq && jq.timers && jq.timers.length) return true;
    for (const [id, at] of window.__wisenDue || []) {
      if (at < now - 500) window.__wisenDue.delete(id);
      else if (at - now < near) return true;
    }
    return false;
  };
  const later = window.__wisenLater || window.setTimeout;
  const look = () => !busy() || performance.now() - begun > most ? resolve() : later(look, 15);
  look();
})
"""
NEAR_MS, MOST_MS = 400, 1_500

MARK = """
() => {
  const roles = 'button link checkbox radio tab menuitem menuitemcheckbox menuitemradio switch treeitem option ' +
                'textbox searchbox spinbutton combobox listbox slider';
  const able = 'a[href], button, input, select, textarea, option, label, summary, iframe, [contenteditable=true], ' +
               roles.split(' ').map(role => `[role=${role}]:not([data-wisen])`).join(', ');
  const shown = e => {
    const box = e.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && getComputedStyle(e).visibility === 'visible';
  };
  const hand = e => getComputedStyle(e).cursor === 'pointer';
  const words = e => (e.textContent || '').trim();
  const named = e => {
    const said = e.getAttribute('title') || e.getAttribute('alt');
    if (said) return said;
    const classes = [...e.classList].filter(name => !/^ui-(corner|state|widget|helper|front)/.test(name)).slice(0, 2);
    return (e.id ? '#' + e.id : '') + classes.map(name => '.' + name).join('') || e.tagName.toLowerCase();
  };
  const label = e => {
    if (e.hasAttribute('aria-label') && !e.hasAttribute('data-wisen-label')) return;
    e.setAttribute('data-wisen-label', '');
    e.setAttribute('aria-label', named(e));
    e.removeAttribute('aria-hidden');  // what is hidden from the ear only can be clicked all the same
  };
  const mark = e => {
    e.setAttribute('data-wisen', '');
    e.setAttribute('role', 'button');
    if (!words(e)) label(e);
  };
  const wanted = new Set(window.__wisenListening || []);
  for (const e of document.body ? document.body.querySelectorAll('*') : []) {
    if (e.hasAttribute('onclick') || e.tabIndex === 0 || (hand(e) && !(e.parentElement && hand(e.parentElement))))
      wanted.add(e);
  }
  const kept = [...wanted].filter(e =>
    (e instanceof HTMLElement || e instanceof SVGElement) && e.isConnected && e !== document.body &&
    e !== document.documentElement && !e.matches(able) && !(e.parentElement && e.parentElement.closest(able)) &&
    shown(e));
  for (const e of kept) {
    const holds = [...e.querySelectorAll(able)].some(shown) || kept.some(other => other !== e && e.contains(other));
    if (!holds && words(e).length <= 80) mark(e);
    else if (hand(e) || e.hasAttribute('onclick')) {
      // What holds other things is acted on by the first words in it that are not one of them.
      const leaf = [...e.querySelectorAll('*')].find(inner => !inner.children.length && words(inner) && shown(inner) &&
        !inner.closest(able) && !kept.some(other => other !== e && e.contains(other) && other.contains(inner)));
      if (leaf) mark(leaf);
    }
  }
  for (const e of document.querySelectorAll('button, a[href], [role=button]'))
    if (!words(e) && !e.querySelector('img[alt]:not([alt=""])') && !e.getAttribute('aria-labelledby')) label(e);
}
"""
_REFERENCE = re.compile(r"((?:f\d+)?)(e\d+)")
ACTABLE = frozenset(
    "button link checkbox radio tab menuitem menuitemcheckbox menuitemradio switch treeitem option textbox searchbox "
    "spinbutton combobox listbox slider".split()
)


class Loading:
    """Counts what a page is waiting for: a picture that has not come has no size, and cannot be clicked."""

    def __init__(self, page: "Page") -> None:
        self._page = page
        self._asked: set[Request] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        page.on("request", self._begun)
        page.on("requestfinished", self._ended)
        page.on("requestfailed", self._ended)

    def _begun(self, request: "Request") -> None:
        self._asked.add(request)
        self._quiet.clear()

    def _ended(self, request: "Request") -> None:
        self._asked.discard(request)
        if not self._asked:
            self._quiet.set()

    async def settle(self, then: str = "() => null") -> Any:
        """Wait, for 3 s at most, until nothing moves, no timer of the page is due within 0.4 s, and all that it asked
        for has come. Returns what the function `then` gives in the page at rest: one question to the page, not two."""
        try:
            async with asyncio.timeout(2 * MOST_MS / 1000):
                found = await self._page.evaluate(f"given => ({SETTLE})(given).then({then})", [NEAR_MS, MOST_MS])
                if self._quiet.is_set():
                    return found
                await self._quiet.wait()
        except TimeoutError:
            self._asked.clear()  # it will not come, and is not waited for again
            self._quiet.set()
        return await self._page.evaluate(then)


async def read_all(page: "Page", *, timeout_ms: float = 30_000) -> tuple[Element, ...]:
    """The page's elements in reading order, with those that the accessibility tree leaves out."""
    from playwright.async_api import Error

    for frame in page.frames:
        try:
            await frame.evaluate(MARK)
        except Error:
            if frame is page.main_frame:
                raise  # a frame within may go while it is looked at; the page itself may not
    return parse_snapshot(await page.aria_snapshot(mode="ai", timeout=timeout_ms))


def references(elements: Sequence[Element]) -> dict[str, str]:
    """The driver's references -> those that are shown. The driver counts all documents that it has ever seen (`f91e5`);
    what is shown counts those of this page: `e5`, and `f1e5` in the first frame within it."""
    frames: dict[str, str] = {}
    shown = {}
    for element in elements:
        if match := _REFERENCE.fullmatch(element.ref):
            frame = frames.setdefault(match[1], f"f{len(frames)}" if frames else "")
            shown[element.ref] = frame + match[2]
    return shown


def lines(elements: Sequence[Element]) -> list[str]:
    """Elements as they are shown: what each is, and the reference that actions may use."""
    shown = references(elements)
    return [
        f"{element.text} [{shown[element.ref]}]" if element.ref in shown and element.role in ACTABLE else element.text
        for element in elements
    ]
