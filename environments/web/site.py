"""Any site as an environment: the suite `web`.

A task is a start address, a goal in words, the origins that may be reached, and how its end is looked at. Observations
list the page as `marks` reads it; actions are those of `verbs`, with `goto`, `back` and `stop`.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Artifact, Observation, Split, StepResult, SuiteCard, Task
from wisen.environments.web import verbs
from wisen.environments.web.actions import PageAction
from wisen.environments.web.browser import SharedBrowser
from wisen.environments.web.gate import Gate, origin
from wisen.environments.web.goal import SiteGoal, goal_from
from wisen.environments.web.marks import lines, read_all
from wisen.environments.web.page import Element, whole_letters
from wisen.environments.web.tools import SITE_TOOLS, as_text
from wisen.environments.web.trouble import explained, first_line
from wisen.environments.web.window import HAR, LOAD_MS, Windows

if TYPE_CHECKING:
    from playwright.async_api import Page

SITE_VERBS = frozenset(("goto", "back", "stop"))
TIMEOUT_MS = 5_000
PATIENCE = 60.0  # seconds for all that a reset or a step asks of a site
MOST_LINES = 150  # of a page; scrolling shows the next ones
MOST_LINE = 300  # characters
log = logging.getLogger(__name__)


class SiteEnvironment:
    """One context for each episode, behind a gate of its own."""

    def __init__(self, browser: SharedBrowser, goals: Mapping[str, SiteGoal], har: bool) -> None:
        self._browser, self._goals, self._har = browser, goals, har
        self._gate: Gate | None = None
        self._windows: Windows | None = None
        self._goal: SiteGoal | None = None
        self._elements: tuple[Element, ...] = ()
        self._offered: tuple[PageAction, ...] = ()
        self._folder: Path | None = None
        self._shots = self._first_line = 0
        self._open = self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Open the site. With a folder, a picture of each step, downloads and a HAR of the traffic go there; the HAR is
        complete when the episode has ended."""
        if self._closed:
            raise EnvironmentFault("the environment is closed", "make a new one with the suite's create()")
        await self._leave()
        goal = self._goal = self._goals[task.params["goal"]]
        self._folder, self._shots, self._first_line = screenshots, 0, 0
        if self._gate is None:
            self._gate = Gate()
            await self._gate.open()
        self._gate.allow(goal.allowed)
        windows = self._windows = Windows(self._gate, goal.allowed, screenshots)
        with explained(f"{task.id}: {goal.url} did not open", PATIENCE):
            async with asyncio.timeout(PATIENCE):
                await windows.start(self._browser, self._har)
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
        with explained("the site broke", PATIENCE):
            async with asyncio.timeout(PATIENCE):
                if chosen is not None and chosen.verb == "stop":
                    return await self._stop(goal, windows, chosen.value)
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
            return url if origin(url) in self._goal.allowed else self._goal.url
        except SettingsError:
            return self._goal.url

    async def _back(self, page: "Page", windows: Windows) -> None:
        before = page.url
        found = await page.go_back(timeout=LOAD_MS, wait_until="commit")
        if page.url == "about:blank":  # where every window begins, before its first page
            await page.goto(before, timeout=2 * LOAD_MS, wait_until="commit")
        elif found is not None or page.url != before:
            return
        if windows.count > 1:
            await page.close()
        else:
            windows.note("there is no page before this one")

    async def _go(self, url: str, windows: Windows) -> None:
        assert self._goal is not None
        try:
            allowed = origin(url) in self._goal.allowed
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
        page = windows.page
        url, text = page.url, await page.locator("body").inner_text(timeout=TIMEOUT_MS)
        success = goal.check.holds(url=url, text=text, answer=answer) if goal.check else None
        artifacts = [*await self._picture(windows), *windows.take()[2]]
        await self._leave()
        if self._har and self._folder is not None and (self._folder / HAR).exists():
            artifacts.append(Artifact(kind="har", path=f"{self._folder.name}/{HAR}"))
        return StepResult(
            observation=Observation(instruction=goal.goal, text="the episode is over", artifacts=tuple(artifacts)),
            reward=float(bool(success)),
            terminated=True,
            success=success,
            info={"answer": answer, "url": url},
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


class SiteSuite:
    """tasks: a table for each: name, url, goal, and as needed origins, check and split (see `goal.SiteGoal`).
    har: record each episode's traffic beside its pictures."""

    name = "web"

    def __init__(self, tasks: Sequence[Any] = (), har: bool = True) -> None:
        if isinstance(tasks, str | Mapping) or not tasks:
            raise SettingsError("web: tasks is a list of tables, at least one", "each has a name, a url and a goal")
        goals = [goal_from(table) for table in tasks]
        self._goals = {goal.name: goal for goal in goals}
        if len(self._goals) < len(goals):
            raise SettingsError("web: two tasks have the same name")
        self._har = har
        self._browser = SharedBrowser()

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        """Each goal is a template of one task, in its own split."""
        if per_template < 1 or offset > 0:
            return ()
        return tuple(
            Task(
                id=f"web/{goal.name}",
                suite=self.name,
                environment="web",
                template_id=f"web/{goal.name}",
                split=split,
                seed=0,
                params={"goal": goal.name},
                version=hashlib.sha256(goal.model_dump_json().encode()).hexdigest()[:12],
            )
            for goal in self._goals.values()
            if goal.split is split
        )

    def card(self) -> SuiteCard:
        return SuiteCard(
            summary=f"{len(self._goals)} tasks on sites, each within the origins that it allows.",
            sizes={split: sum(goal.split is split for goal in self._goals.values()) for split in Split},
            reward="1 at the end where the check holds, else 0; without a check a judge decides",
            max_steps=30,
            max_seconds=300,
            needs=("Chromium", "the sites"),
        )

    async def start(self) -> None:
        await self._browser.start()

    async def create(self) -> SiteEnvironment:
        return SiteEnvironment(self._browser, self._goals, self._har)

    async def stop(self) -> None:
        await self._browser.stop()
