"""One MiniWoB++ episode in a browser page (Liu et al. 2018, arXiv 1802.08802; pages from the `miniwob` package)."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wisen.core.errors import EnvironmentFault
from wisen.core.records import Action, Artifact, Observation, StepResult, Task
from wisen.environments.web import verbs
from wisen.environments.web.actions import PageAction, admissible, resolve
from wisen.environments.web.families import WIDE
from wisen.environments.web.marks import Loading, lines, read_all
from wisen.environments.web.page import Element, snapshot, whole_letters
from wisen.environments.web.tools import TOOLS, WIDE_TOOLS, as_text
from wisen.environments.web.trouble import explained, first_line

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

# The clock that decays `WOB_REWARD_GLOBAL` is stopped, and the raw reward is read: an agent is not paid for haste.
START = """
seed => {
  if (core.EP_TIMER) core.endEpisode(0);
  Math.seedrandom(seed);
  core.EPISODE_MAX_TIME = 3.6e6;
  core.setDataMode('train');
  core.startEpisodeReal();
  core.clearTimer();
  const goal = core.getUtterance();
  return typeof goal === 'string' ? goal : goal.utterance;
}
"""
STATUS = "() => [WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL]"
# What the pages show to a spectator is not the agent's: rewards so far, the clock, the start button.
HIDE_SCRIPT = """
document.addEventListener('DOMContentLoaded', () => {
  const style = document.createElement('style');
  style.textContent = '#reward-display, #click-canvas, #sync-task-cover { display: none !important; }';
  document.head.append(style);
});
"""
TIMEOUT_MS = 5_000
PATIENCE = 15.0  # seconds for all that a reset or a step asks of a page: one that is busy for ever would never answer
WIDTH, HEIGHT = 160, 210  # of the task's area, which is what a picture shows
log = logging.getLogger(__name__)
# A pointer that does not wait: a covered element gets what a person's click there would get.
CLICK = {"force": True, "timeout": TIMEOUT_MS}


class MiniWobEnvironment:
    """A browser page that plays one task after another. Observations list the page's elements as words, one a line.

    A task whose `params` ask for the wide reading shows what the accessibility tree leaves out as well, and takes more
    verbs; the others are read as plainly as ever, whatever stands beside them in the suite."""

    def __init__(self, context: "BrowserContext", url: str) -> None:
        self._context = context
        self._url = url
        self._page: Page | None = None
        self._instruction = ""
        self._wide = False
        self._loading: Loading | None = None
        self._elements: tuple[Element, ...] = ()
        self._offered: tuple[PageAction, ...] = ()
        self._screenshots: Path | None = None
        self._shots = 0
        self._open = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        self._open, self._screenshots, self._shots = False, screenshots, 0
        self._wide = task.params.get("reading") == WIDE
        with explained(f"{task.id}: the page did not start", PATIENCE):
            async with asyncio.timeout(PATIENCE):
                page = await self._fresh_page()
                await page.goto(f"{self._url}/{task.params['page']}.html", wait_until="load", timeout=TIMEOUT_MS)
                self._instruction = whole_letters(" ".join((await page.evaluate(START, task.seed)).split()))
                if self._wide:
                    await self._rest()
                observation = await self._observe()
        self._open = True
        return observation

    async def step(self, action: Action) -> StepResult:
        if not self._open or self._page is None:
            raise EnvironmentFault("step was called on an episode that is not open", "call reset first")
        self._open = False  # until the page has answered
        chosen = self._understood(as_text(action))
        note = "" if chosen else f"nothing on this page answers to: {as_text(action)[:200]}"
        with explained("the page broke", PATIENCE):
            async with asyncio.timeout(PATIENCE):
                if chosen:
                    note = await self._perform(chosen)
                done, reward = await self._rest()
                observation = await (self._over() if done else self._observe(note))
        self._open = not done
        return StepResult(
            observation=observation,
            reward=reward if done else 0.0,
            terminated=done,
            success=reward >= 1 if done else None,
            info={"note": note} if note else {},
        )

    async def close(self) -> None:
        """Close page and context for good; what is gone already (a crash) is closed."""
        from playwright.async_api import Error

        self._open, self._page = False, None
        with suppress(Error, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._context.close()

    async def _rest(self) -> tuple[bool, float]:
        """Whether the episode is over, and its reward; read wide, once the page has come to rest."""
        assert self._page is not None
        status = self._loading.settle(STATUS) if self._wide and self._loading else self._page.evaluate(STATUS)
        done, reward = await status
        return bool(done), float(reward)

    async def _fresh_page(self) -> "Page":
        """This environment's page, without the windows that the last task may have opened."""
        for other in self._context.pages:
            if other is not self._page:
                await other.close()
        if self._page is None or self._page.is_closed():
            self._page, self._loading = await self._context.new_page(), None
        if self._wide and self._loading is None:
            self._loading = Loading(self._page)
        return self._page

    def _understood(self, text: str) -> PageAction | None:
        found = resolve(text, self._elements, self._offered)
        return verbs.understood(text, self._elements) if found is None and self._wide else found

    async def _perform(self, action: PageAction) -> str:
        """Do it; what the page would not let happen comes back as a note, as it would for a person."""
        from playwright.async_api import Error

        assert self._page is not None
        if self._wide:
            try:
                return await verbs.perform(self._page, action, TIMEOUT_MS, at_rest=True)  # `_rest` saw to it
            except Error as error:
                return f"could not {action.text[:200]}: {first_line(error)}"
        target = self._page.locator(f"aria-ref={action.ref}")
        try:
            if action.verb == "click":
                await target.click(force=True, timeout=TIMEOUT_MS)
            elif action.verb == "type":
                await target.fill(action.value, force=True, timeout=TIMEOUT_MS)
            else:
                await target.select_option(label=action.value, force=True, timeout=TIMEOUT_MS)
        except Error as error:
            return f"could not {action.text}: {first_line(error)}"
        return ""

    async def _observe(self, note: str = "") -> Observation:
        assert self._page is not None
        if self._wide:
            self._elements = await read_all(self._page)
            self._offered = verbs.offered(self._elements, self._instruction)
        else:
            self._elements = await snapshot(self._page)
            self._offered = admissible(self._elements, self._instruction)
        listed = [element for element in self._elements if not self._repeats_instruction(element)]
        shown = lines(listed) if self._wide else [element.text for element in listed]
        return Observation(
            instruction=self._instruction,
            text="\n".join(shown + ([f"note: {note}"] if note else [])),
            actions=tuple(action.text for action in self._offered),
            tools=WIDE_TOOLS if self._wide else TOOLS,
            artifacts=await self._artifacts(),
        )

    async def _over(self) -> Observation:
        """What is left to see at the end: nothing but a last picture, if pictures are taken."""
        return Observation(instruction=self._instruction, text="the episode is over", artifacts=await self._artifacts())

    def _repeats_instruction(self, element: Element) -> bool:
        return element.role == "text" and " ".join(element.label.split()) == self._instruction

    async def _artifacts(self) -> tuple[Artifact, ...]:
        """A picture of the page as it is. One that cannot be taken is left out: it is no reason to end an episode."""
        from playwright.async_api import Error

        if self._screenshots is None or self._page is None:
            return ()
        path = self._screenshots / f"{self._shots}.png"
        self._shots += 1
        try:
            await self._page.screenshot(
                path=path, clip={"x": 0, "y": 0, "width": 160, "height": 210}, timeout=TIMEOUT_MS
            )
        except Error as error:
            log.warning("no screenshot: %s", first_line(error))
            return ()
        return (Artifact(kind="screenshot", path=f"{self._screenshots.name}/{path.name}"),)
