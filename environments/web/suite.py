"""MiniWoB++ as a suite: which pages, which seeds, and the browser and page server that its environments share."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from wisen.core.errors import SettingsError
from wisen.core.records import Split, Task
from wisen.environments.web.browser import SharedBrowser
from wisen.environments.web.miniwob import HIDE_SCRIPT, MiniWobEnvironment
from wisen.environments.web.page import HANDLERS_SCRIPT
from wisen.environments.web.server import PageServer

# Thirteen families whose whole state is in their accessibility tree.
DEFAULT_FAMILIES = (
    "click-test-2",
    "click-button",
    "click-link",
    "click-tab",
    "click-option",
    "click-checkboxes",
    "enter-text",
    "focus-text-2",
    "choose-list",
    "login-user",
    "click-dialog-2",
    "click-widget",
    "enter-password",
)
# Seeds of the three splits never meet: a million apart.
SEED_RANGES = {Split.LEARN: 0, Split.GATE: 1_000_000, Split.REPORT: 2_000_000}


class MiniWobSuite:
    """`families` are page names of MiniWoB++; the default thirteen can be played from their text alone."""

    name = "miniwob"

    def __init__(self, families: Sequence[str] = DEFAULT_FAMILIES) -> None:
        import miniwob

        self._root = Path(miniwob.__file__).parent / "html"
        known = {path.stem for path in (self._root / "miniwob").glob("*.html")}
        named = [families] if isinstance(families, str) else list(families)
        if unknown := [str(name) for name in named if name not in known]:
            raise SettingsError(
                f"MiniWoB++ has no page {', '.join(unknown)}", f"it has {len(known)}, such as click-button"
            )
        if not named or isinstance(families, str):
            raise SettingsError(f"families = {families!r} is no list of pages", 'write families=["click-button"]')
        self._families = tuple(dict.fromkeys(families))
        self._version = version("miniwob")
        self._browser = SharedBrowser()
        self._server = PageServer(self._root)

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        first = SEED_RANGES[split] + offset
        return tuple(
            Task(
                id=f"miniwob/{family}/{seed}",
                suite=self.name,
                environment="miniwob",
                template_id=f"miniwob/{family}",
                split=split,
                seed=seed,
                params={"page": family},
                version=self._version,
            )
            for seed in range(first, first + per_template)
            for family in self._families
        )

    async def start(self) -> None:
        self._server.start()
        await self._browser.start()

    async def create(self) -> MiniWobEnvironment:
        context = await self._browser.context()
        await context.add_init_script(HANDLERS_SCRIPT + HIDE_SCRIPT)
        return MiniWobEnvironment(context, f"{self._server.url}/miniwob")

    async def stop(self) -> None:
        await self._browser.stop()
        self._server.stop()
