"""Where the browser is found, and what is said where there is none."""

from pathlib import Path

import pytest

from wisen.core.errors import EnvironmentFault
from wisen.environments.web.browser import SharedBrowser, find_chromium


def program(path: Path, text: str = "#!/bin/sh\nexit 1\n", mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with nothing on it: empty PATH, empty home, no variables."""
    for name in ("WISEN_CHROMIUM", "PLAYWRIGHT_BROWSERS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_the_variable_then_the_path_then_playwrights_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_chromium() is None
    home = program(tmp_path / "home/.cache/ms-playwright/chromium_headless_shell-1/linux/headless_shell")
    assert find_chromium() == home
    newer = program(tmp_path / "home/.cache/ms-playwright/chromium_headless_shell-2/linux/headless_shell")
    assert find_chromium() == newer
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "own"))
    own = program(tmp_path / "own/chromium-1/chrome-linux/chrome")
    assert find_chromium() == own
    full = program(tmp_path / "bin/chromium")
    assert find_chromium() == full
    shell = program(tmp_path / "bin/chromium-headless-shell")
    assert find_chromium() == shell  # the faster one
    named = program(tmp_path / "elsewhere/chrome")
    monkeypatch.setenv("WISEN_CHROMIUM", str(named))
    assert find_chromium() == named


def test_a_variable_that_names_nothing_does_not_fall_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin/chromium")
    monkeypatch.setenv("WISEN_CHROMIUM", str(tmp_path / "not there"))
    assert find_chromium() is None


def test_what_cannot_be_executed_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "bin/chromium-headless-shell", mode=0o644)
    program(tmp_path / "home/.cache/ms-playwright/chromium-1/chrome", mode=0o644)
    assert find_chromium() is None


async def test_without_a_browser_the_start_says_how_to_get_one() -> None:
    with pytest.raises(EnvironmentFault, match=r"no Chromium was found.*playwright install"):
        await SharedBrowser().start()
    with pytest.raises(EnvironmentFault, match="not been started"):
        await SharedBrowser().context()


async def test_a_browser_that_does_not_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WISEN_CHROMIUM", str(program(tmp_path / "broken-chrome")))
    browser = SharedBrowser()
    for _ in range(2):  # a failed start leaves nothing behind
        with pytest.raises(EnvironmentFault, match=r"broken-chrome did not start"):
            await browser.start()
    await browser.stop()
