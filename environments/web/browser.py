"""The shared browser: where it is found, how it is started, and a fresh context per episode slot."""

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wisen.core.errors import EnvironmentFault

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Playwright

# Quiet and local: no sandbox of its own (containers rarely allow it), no traffic that the page did not ask for.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # On few cores a process per page costs more than it brings.
    "--renderer-process-limit=2",
)
# The headless shell first: it runs about twice as many episodes per second as the full browser.
SYSTEM_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CLOSING = 10.0  # seconds
HINT = "run `python -m playwright install --only-shell chromium`, or install Debian's chromium-headless-shell"


def find_chromium() -> Path | None:
    """The browser to launch: `WISEN_CHROMIUM`, else one on the PATH, else one that Playwright installed."""
    if configured := os.environ.get("WISEN_CHROMIUM"):
        return Path(configured) if Path(configured).exists() else None
    for name in SYSTEM_BROWSERS:
        if found := shutil.which(name):
            return Path(found)
    return _managed_by_playwright()


def require_chromium() -> Path:
    """As `find_chromium`. Raises `EnvironmentFault` where there is none."""
    if found := find_chromium():
        return found
    if configured := os.environ.get("WISEN_CHROMIUM"):
        raise EnvironmentFault(f"WISEN_CHROMIUM names {configured}, which does not exist", f"unset it, or {HINT}")
    raise EnvironmentFault("no Chromium was found", HINT)


def _managed_by_playwright() -> Path | None:
    roots = [Path(root) for root in (os.environ.get("PLAYWRIGHT_BROWSERS_PATH"),) if root]
    roots += [Path.home() / ".cache/ms-playwright", Path.home() / "Library/Caches/ms-playwright"]
    names = ("headless_shell", "chrome-headless-shell", "chrome", "Chromium")
    for root in roots:
        for folder in sorted(root.glob("chromium*"), reverse=True):
            for name in names:
                for found in sorted(folder.rglob(name)):
                    if found.is_file() and os.access(found, os.X_OK):
                        return found
    return None


class SharedBrowser:
    """One Chromium process for all environments of a suite."""

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._launching = asyncio.Lock()

    async def start(self) -> None:
        """Launch once; later calls do nothing. Raises `EnvironmentFault` where there is no browser to launch."""
        if self._browser is not None:
            return
        path = require_chromium()
        from playwright.async_api import Error, async_playwright

        try:
            self._playwright = await async_playwright().start()
            # A signal that stops wisen is wisen's to handle: it closes the browser itself, after the store.
            self._browser = await self._playwright.chromium.launch(
                executable_path=str(path),
                args=list(ARGUMENTS),
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
        except Error as error:
            await self.stop()
            raise EnvironmentFault(f"{path} did not start: {error.message.splitlines()[0]}", HINT) from error

    async def context(self, *, width: int = 480, height: int = 480, **options: Any) -> "BrowserContext":
        """A fresh context; `options` are Playwright's.

        A browser, or its driver, that has died since the start is started again."""
        from playwright.async_api import Error

        for attempt in (1, 2):
            if self._browser is None:
                raise EnvironmentFault("the browser has not been started")
            browser = self._browser
            try:
                return await browser.new_context(viewport={"width": width, "height": height}, **options)
            except Error as error:
                if attempt == 2:
                    raise EnvironmentFault(f"the browser broke: {error.message.splitlines()[0]}") from error
            async with self._launching:
                if self._browser is browser:  # and no other environment has replaced it meanwhile
                    await self.stop()
                    await self.start()
        raise AssertionError("unreachable")

    async def stop(self) -> None:
        """Close what is there, also what has died."""
        from playwright.async_api import Error

        browser, playwright = self._browser, self._playwright
        self._browser = self._playwright = None
        if browser is not None:
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(CLOSING):
                    await browser.close()
        if playwright is not None:
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(CLOSING):
                    await playwright.stop()
