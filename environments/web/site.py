"""Any site as an environment: suites of them are in `sites`.

A task is a start address, a goal in words, the origins that may be reached, and how its end is looked at. Observations
list the page as `marks` reads it; actions are those of `verbs`, with `goto`, `back` and `stop`.
"""

import asyncio
import json
import logging
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import JSON, Action, Artifact, Observation, StepResult, Task
from wisen.environments.tasks import refuse_closed
from wisen.environments.web import verbs
from wisen.environments.web.actions import PageAction
from wisen.environments.web.browser import SharedBrowser
from wisen.environments.web.ending import Ending, Scoring, by_check
from wisen.environments.web.gate import Gate, allows, origin
from wisen.environments.web.goal import SiteGoal
from wisen.environments.web.marks import lines, read_all
from wisen.environments.web.page import Element, whole_letters
from wisen.environments.web.tools import SITE_TOOLS, as_text
from wisen.environments.web.trouble import explained, first_line
from wisen.environments.web.window import HAR, LOAD_MS, Traffic, Windows

if TYPE_CHECKING:
    from playwright.async_api import Page

SITE_VERBS = frozenset(("goto", "back", "stop"))
TIMEOUT_MS = 5_000
PATIENCE = 60.0  # seconds for all that a reset or a step asks of a site
SCORING = 180.0  # seconds to look at how an episode has ended
MOST_LINES = 150  # of a page; scrolling shows the next ones
MOST_LINE = 300  # characters
log = logging.getLogger(__name__)


class SiteEnvironment:
    """One context for each episode, behind a gate of its own.

    har: record the traffic, beside the pictures. bodies: record it in any case, with the bodies. score: what an episode
    is worth when the agent has stopped. before: awaited before each episode, with all the time that it needs.
    """

    finishing = frozenset({"stop"})

    def __init__(
        self,
        browser: SharedBrowser,
        goals: Mapping[str, SiteGoal],
        *,
        har: bool = True,
        bodies: bool = False,
        score: Scoring = by_check,
        before: Callable[[SiteGoal], Awaitable[None]] | None = None,
    ) -> None:
        self._browser, self._goals = browser, goals
        self._har, self._bodies, self._score, self._before = har, bodies, score, before
        self._gate: Gate | None = None
        self._windows: Windows | None = None
        self._goal: SiteGoal | None = None
        self._elements: tuple[Element, ...] = ()
        self._offered: tuple[PageAction, ...] = ()
        self._folder: Path | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._traffic: Traffic | None = None
        self._shots = self._first_line = 0
        self._open = self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Open the site. With a folder, a picture of each step, downloads and a HAR of the traffic go there; the HAR is
        complete when the episode has ended."""
        refuse_closed(self._closed)
        await self._leave()
        goal = self._goal = self._goals[task.params["goal"]]
        self._folder, self._shots, self._first_line = screenshots, 0, 0
        self._traffic = self._recorded()
        if self._before is not None:
            await self._before(goal)
        if self._gate is None:
            self._gate = Gate()
            await self._gate.open()
        self._gate.allow(goal.allowed)
        windows = self._windows = Windows(self._gate, goal.allowed, screenshots)
        with explained(f"{task.id}: {goal.url} did not open", PATIENCE):
            async with asyncio.timeout(PATIENCE):
                await windows.start(self._browser, self._traffic, _state(goal.storage_state))
                for url in reversed(goal.behind):
                    await windows.open_before(url)
                await windows.page.goto(goal.url, wait_until="domcontentloaded", timeout=4 * LOAD_MS)
                await windows.settle()
                observation = await self._observe(goal, windows)
        self._open = True
        return observation

    async def step(self, action: Action) -> StepResult:
        goal, windows = self._goal, self._windows
        if not self._open or goal is None or windows is None:
            raise EnvironmentFault("step was called on an episode that is not open", "call reset first")
        self._open = False  # until the page has answered
        text = as_text(action)
        chosen = verbs.understood(text, self._elements, SITE_VERBS)
        if chosen is not None and chosen.verb == "stop":
            with explained("the end could not be looked at", SCORING):
                async with asyncio.timeout(SCORING):
                    return await self._stop(goal, windows, chosen.value)
        with explained("the site broke", PATIENCE):
            async with asyncio.timeout(PATIENCE):
                if chosen is None:
                    windows.note(f"nothing on this page answers to: {text[:200]}")
                else:
                    await self._perform(chosen, windows)
                    await windows.settle()
                notes, violations, files = windows.take()
                for note in notes:
                    windows.note(note)
                observation = await self._observe(goal, windows, files)
        self._open = True
        return StepResult(
            observation=observation, violation="; ".join(violations), info={"note": "; ".join(notes)} if notes else {}
        )

    async def close(self) -> None:
        """Close the episode's context and the gate for good; what is gone already is closed."""
        self._open, self._closed = False, True
        await self._leave()
        gate, self._gate = self._gate, None
        if gate is not None:
            await gate.close()

    async def _leave(self) -> None:
        self._open = False
        windows, self._windows = self._windows, None
        if windows is not None:
            await windows.close()
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            scratch.cleanup()

    def _recorded(self) -> Traffic | None:
        """Where this episode's traffic goes: beside the pictures, or away for a while where only its end needs it."""
        if self._folder is not None and (self._har or self._bodies):
            return Traffic(self._folder / HAR, self._bodies)
        if self._bodies:
            self._scratch = tempfile.TemporaryDirectory(prefix="wisen-web-")
            return Traffic(Path(self._scratch.name) / HAR, bodies=True)
        return None

    async def _perform(self, action: PageAction, windows: Windows) -> None:
        """Do it; what the page would not let happen comes back as a note."""
        from playwright.async_api import Error

        page = windows.page
        try:
            if action.verb == "goto":
                await self._go(urljoin(self._here(page.url), action.value), windows)
            elif action.verb == "back":
                await self._back(page, windows)
            else:
                self._turn(action)
                note = await verbs.perform(page, action, TIMEOUT_MS)
                if note:
                    windows.note(note)
        except Error as error:
            windows.note(f"could not {action.text[:150]}: {first_line(error)}")
        if action.verb in ("goto", "back"):
            self._first_line = 0

    def _here(self, url: str) -> str:
        """What a path is understood from: the page, unless it is where the agent may not be."""
        assert self._goal is not None
        try:
            return url if allows(self._goal.allowed, origin(url)) else self._goal.url
        except SettingsError:
            return self._goal.url

    async def _back(self, page: "Page", windows: Windows) -> None:
        """Chromium is asked whether there is a page to go back to. To try it and close the window when there was none
        is no way: Chromium can lose a window's close that comes upon a navigation."""
        session = await page.context.new_cdp_session(page)
        history = await session.send("Page.getNavigationHistory")
        await session.detach()
        before = history["entries"][: history["currentIndex"]]
        if before and before[-1]["url"] != "about:blank":  # where every window begins, before its first page
            await page.go_back(timeout=LOAD_MS, wait_until="commit")
        elif windows.count > 1:
            await page.close()
        else:
            windows.note("there is no page before this one")

    async def _go(self, url: str, windows: Windows) -> None:
        assert self._goal is not None
        try:
            allowed = allows(self._goal.allowed, origin(url))
        except SettingsError as error:
            allowed = False
            windows.note(error.problem)
        if not allowed:
            windows.violation(f"asked for {url[:200]}, which the task does not allow")
            windows.note(f"{url[:200]} is outside of what the task allows")
            return
        await windows.page.goto(url, wait_until="commit", timeout=2 * LOAD_MS)

    def _turn(self, action: PageAction) -> None:
        """A long page is listed in parts, which scrolling turns as it turns the page."""
        if action.verb == "scroll" and not action.ref:
            last = max(0, len(self._elements) - MOST_LINES)
            here = self._first_line
            turned = {"up": here - MOST_LINES, "down": here + MOST_LINES, "top": 0, "bottom": last}
            self._first_line = min(max(0, turned.get(action.value, here)), last)

    async def _stop(self, goal: SiteGoal, windows: Windows, answer: str) -> StepResult:
        artifacts = [*await self._picture(windows), *windows.take()[2]]
        ending = Ending(goal, answer, windows.page.url, windows, self._traffic, self._folder, artifacts)
        scored = await self._score(ending)
        await self._leave()
        if self._folder is not None and (self._folder / HAR).exists():
            artifacts.append(Artifact(kind="har", path=f"{self._folder.name}/{HAR}"))
        return StepResult(
            observation=Observation(instruction=goal.goal, text="the episode is over", artifacts=tuple(artifacts)),
            reward=float(bool(scored.success)),
            terminated=True,
            success=scored.success,
            info={"answer": answer, "url": ending.url} | scored.info,
        )

    async def _observe(self, goal: SiteGoal, windows: Windows, files: Sequence[Artifact] = ()) -> Observation:
        page = windows.page
        self._elements = await self._read(page, windows)
        self._offered = (*verbs.offered(self._elements, goal.goal), PageAction("back", "back", ""))
        listed = [whole_letters(text[:MOST_LINE]) for text in lines(self._elements)]
        self._first_line = min(self._first_line, max(0, len(listed) - 1))
        shown = listed[self._first_line : self._first_line + MOST_LINES]
        head = [f'page "{whole_letters((await page.title())[:100])}"', f"address {page.url[:200]}"]
        if len(shown) < len(listed):
            until = self._first_line + len(shown)
            head.append(f'lines {self._first_line + 1} to {until} of {len(listed)}; scroll "down" or "up" shows others')
        notes, violations, more = windows.take()
        for violation in violations:
            windows.violation(violation)  # of a reset: told with the first step
        return Observation(
            instruction=goal.goal,
            text="\n".join([*head, *shown, *(f"note: {note}" for note in notes)]),
            actions=tuple(action.text for action in self._offered),
            tools=SITE_TOOLS,
            artifacts=(*files, *more, *await self._picture(windows)),
        )

    async def _read(self, page: "Page", windows: Windows) -> tuple[Element, ...]:
        """A page that cannot be read is an empty one: there are others to go to."""
        from playwright.async_api import TimeoutError as Late

        try:
            return await read_all(page, timeout_ms=2 * LOAD_MS)
        except Late:
            windows.note("this page cannot be read: it never finishes loading")
            return ()

    async def _picture(self, windows: Windows) -> tuple[Artifact, ...]:
        """The window as it is. A picture that cannot be taken is left out: it is no reason to end an episode."""
        from playwright.async_api import Error

        if self._folder is None:
            return ()
        path = self._folder / f"{self._shots}.png"
        self._shots += 1
        try:
            await windows.page.screenshot(path=path, timeout=TIMEOUT_MS)
        except Error as error:
            log.warning("no screenshot: %s", first_line(error))
            return ()
        return (Artifact(kind="screenshot", path=f"{self._folder.name}/{path.name}"),)


def _state(files: Sequence[str]) -> JSON | None:
    """Cookies and local storage of several of Playwright's files, as one. Raises `EnvironmentFault`."""
    state: JSON = {"cookies": [], "origins": []}
    for file in files:
        try:
            found = json.loads(Path(file).read_text(encoding="utf-8"))
            for part in state:
                state[part] += found.get(part, [])
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise EnvironmentFault(f"{file} is no storage state: {error}", "let Playwright write it anew") from error
    return state if files else None
