"""What a site looks like when an agent has stopped, and what it is worth."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wisen.core.errors import EnvironmentFault
from wisen.core.records import JSON, Artifact
from wisen.core.records.base import Record
from wisen.environments.web.goal import SiteGoal
from wisen.environments.web.window import LOAD_MS, Traffic, Windows

if TYPE_CHECKING:
    from playwright.async_api import Page


TEXT_MS = 5_000


class Scored(Record):
    """`success` is None where only a judge can say. `info` goes to the last step."""

    success: bool | None
    info: JSON = {}


@dataclass(frozen=True)
class Ending:
    """The site is open until `traffic` is asked for."""

    goal: SiteGoal
    answer: str
    url: str  # of the page that was stopped on
    windows: Windows
    recorded: Traffic | None
    folder: Path | None
    kept: list[Artifact]

    @property
    def page(self) -> "Page":
        return self.windows.page

    async def text(self) -> str:
        """What the page says."""
        return await self.page.locator("body").inner_text(timeout=TEXT_MS)

    async def visit(self, url: str) -> None:
        """Open an address in the window that is shown. Raises Playwright's `Error`."""
        await self.page.goto(url, wait_until="domcontentloaded", timeout=4 * LOAD_MS)
        await self.windows.settle()

    async def traffic(self) -> Path:
        """Close the site; what it was asked and what it said is then on file. Raises `EnvironmentFault`."""
        await self.windows.close()
        if self.recorded is None or not self.recorded.path.exists():
            raise EnvironmentFault(f"{self.goal.name}: the traffic was not recorded", "has the browser died?")
        return self.recorded.path

    def keep(self, name: str, text: str) -> None:
        """A file among the episode's artifacts, where these are kept."""
        if self.folder is not None:
            (self.folder / name).write_text(text, encoding="utf-8")
            self.kept.append(Artifact(kind=Path(name).stem, path=f"{self.folder.name}/{name}"))


Scoring = Callable[[Ending], Awaitable[Scored]]


async def by_check(ending: Ending) -> Scored:
    """By the task's own check; without one a judge decides."""
    check = ending.goal.check
    if check is None:
        return Scored(success=None)
    return Scored(success=check.holds(url=ending.url, text=await ending.text(), answer=ending.answer))
