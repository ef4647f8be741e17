"""A browser context for one episode on a site: its windows, and what happens in them that nobody asked for."""

import asyncio
import re
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wisen.core.errors import SettingsError
from wisen.core.records import JSON, Artifact
from wisen.environments.web.browser import SharedBrowser
from wisen.environments.web.gate import Gate, allows, origin
from wisen.environments.web.marks import TIMERS_SCRIPT, Loading
from wisen.environments.web.page import HANDLERS_SCRIPT
from wisen.environments.web.trouble import first_line

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Dialog, Download, Page, Request

MOST_WINDOWS = 6
LOAD_MS = 5_000
DOWNLOAD_S = 10.0
CLOSING_S = 60.0  # for a record of the traffic with bodies to be written
WIDTH, HEIGHT = 1280, 800
OPENING_S = 3.0  # for a window that a page has asked for to be there
# The browser tells of a window some time after the page has asked for it: whether to wait, only the page knows.
OPENING_SCRIPT = """
(() => {
  const open = window.open;
  window.__wisenOpening = 0;
  window.open = function (...given) { window.__wisenOpening++; return open.apply(this, given); };
  addEventListener('click', event => {
    const link = event.target instanceof Element && event.target.closest('a[href][target], form[target]');
    if (link && !['_self', '_top', '_parent'].includes(link.target)) window.__wisenOpening++;
  }, true);
})();
"""
ASKED_FOR = "() => { const asked = window.__wisenOpening; window.__wisenOpening = 0; return asked > 0; }"


@dataclass(frozen=True)
class Traffic:
    """Where the record of the traffic goes (HAR), and whether with the bodies of requests and answers."""

    path: Path
    bodies: bool = False


class Windows:
    """Opened by `start`, gone after `close`. `notes` and `violations` gather what happened until they are taken.

    A dialog is answered at once, as a page waits for it: a question whether to leave with yes, since the agent asked
    to; an alert with OK; all else with Cancel. A window that opens is the one that is shown. What is downloaded goes
    to `folder`, or nowhere.
    """

    def __init__(self, gate: Gate, allowed: tuple[str, ...], folder: Path | None) -> None:
        self._gate, self._allowed, self._folder = gate, frozenset(allowed), folder
        self._context: BrowserContext | None = None
        self._closing_s = DOWNLOAD_S
        self._loading: dict[Page, Loading] = {}
        self._another = asyncio.Event()
        self._downloads: set[asyncio.Task[None]] = set()
        self._notes: list[str] = []
        self._violations: list[str] = []
        self._files: list[Artifact] = []

    async def start(self, browser: SharedBrowser, traffic: Traffic | None, state: JSON | None = None) -> None:
        """Open the first window. `state`: cookies and local storage, as Playwright keeps them."""
        options: dict[str, Any] = {"storage_state": state} if state else {}
        if traffic is not None:
            content = "embed" if traffic.bodies else "omit"
            self._closing_s = CLOSING_S if traffic.bodies else DOWNLOAD_S
            options |= {"record_har_path": traffic.path, "record_har_content": content}
        self._context = await browser.context(
            width=WIDTH, height=HEIGHT, proxy={"server": self._gate.url}, service_workers="block", **options
        )
        await self._context.add_init_script(OPENING_SCRIPT + HANDLERS_SCRIPT + TIMERS_SCRIPT)
        self._context.on("page", self._opened)
        self._context.on("request", self._asked)
        await self._context.new_page()
        self._another.clear()

    async def open_before(self, url: str) -> None:
        """Open an address in the window that is shown, and an empty window in front of it."""
        assert self._context is not None
        await self.page.goto(url, wait_until="domcontentloaded", timeout=4 * LOAD_MS)
        await self._context.new_page()
        self._another.clear()

    @property
    def page(self) -> "Page":
        """The window that is shown: the last that was opened and is still there."""
        assert self._context is not None
        return self._context.pages[-1]

    @property
    def count(self) -> int:
        return len(self._context.pages) if self._context else 0

    async def settle(self) -> None:
        """Wait until the page that is shown has come to rest, for some seconds at most."""
        from playwright.async_api import Error

        await asyncio.sleep(0.03)  # a click that leads elsewhere has asked for it by then
        with suppress(Error, TimeoutError):
            async with asyncio.timeout(OPENING_S):
                if await self.page.evaluate(ASKED_FOR):
                    await self._another.wait()
        self._another.clear()
        for _ in range(3):
            page = self.page
            try:
                await self._loading[page].settle()
                await page.wait_for_load_state("load", timeout=LOAD_MS)
                await self._loading[page].settle()
                if page is self.page:
                    break
            except Error as error:
                if "Timeout" in str(error):
                    self.note("the page is still loading")
                    break
                await asyncio.sleep(0.05)  # it went elsewhere, or was closed, while it was looked at
        for task in tuple(self._downloads):
            await asyncio.wait([task], timeout=DOWNLOAD_S)

    def note(self, text: str) -> None:
        if text not in self._notes and len(self._notes) < 10:
            self._notes.append(text[:300])

    def violation(self, text: str) -> None:
        if text not in self._violations and len(self._violations) < 10:
            self._violations.append(text[:300])

    def take(self) -> tuple[list[str], list[str], list[Artifact]]:
        """Notes, violations and files since the last time."""
        taken = self._notes, self._violations, self._files
        self._notes, self._violations, self._files = [], [], []
        return taken

    async def close(self) -> None:
        """Close all of it, also what has died. The record of the traffic is complete after that."""
        from playwright.async_api import Error

        context, self._context = self._context, None
        for task in tuple(self._downloads):
            task.cancel()
        if context is not None:
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(self._closing_s):
                    await context.close()

    def _opened(self, page: "Page") -> None:
        self._loading[page] = Loading(page)
        page.on("dialog", self._answer)
        page.on("download", self._download)
        page.on("close", self._gone)
        self._another.set()
        if self.count > 1:
            self.note(f"a window has opened ({self.count} are open); back closes it")
        if self.count > MOST_WINDOWS:
            self._spawn(page.close())
            self.note(f"no more than {MOST_WINDOWS} windows may be open")

    def _gone(self, page: "Page") -> None:
        self._loading.pop(page, None)

    async def _answer(self, dialog: "Dialog") -> None:
        from playwright.async_api import Error

        accepted = dialog.type in ("alert", "beforeunload")
        if dialog.type != "beforeunload":
            self.note(f"{dialog.type}: {dialog.message[:150]!r}, answered with {'OK' if accepted else 'Cancel'}")
        with suppress(Error):
            await (dialog.accept() if accepted else dialog.dismiss())

    def _asked(self, request: "Request") -> None:
        from playwright.async_api import Error

        if not request.is_navigation_request():
            return
        with suppress(Error):  # a frame that is not known yet is a window's own
            if request.frame.parent_frame is not None:
                return
        try:
            asked = origin(request.url)
        except SettingsError:
            return  # about:blank, a blob: nothing beyond this page
        if not allows(self._allowed, asked):
            self.violation(f"asked for {asked}, which the task does not allow")
            self.note(f"{asked} is outside of what the task allows")

    def _download(self, download: "Download") -> None:
        self._spawn(self._save(download))

    async def _save(self, download: "Download") -> None:
        from playwright.async_api import Error

        name = re.sub(r"[^\w.-]", "_", download.suggested_filename)[-80:]
        try:
            async with asyncio.timeout(DOWNLOAD_S):
                if self._folder is None:
                    await download.cancel()
                    self.note(f"{name} was offered for download, and not kept")
                    return
                path = self._folder / f"download-{name}"
                await download.save_as(path)
        except (Error, TimeoutError) as error:
            self.note(f"{name} could not be downloaded: {first_line(error)}")
            return
        self._files.append(Artifact(kind="download", path=f"{self._folder.name}/{path.name}"))
        self.note(f"{name} was downloaded")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._downloads.add(task)
        task.add_done_callback(self._downloads.discard)


HAR = "traffic.har"
