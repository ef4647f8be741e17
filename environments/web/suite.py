"""MiniWoB++ as a suite: which pages, which seeds, and the browser and page server that its environments share."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from wisen.core.errors import SettingsError
from wisen.core.records import Acts, Split, SuiteCard, Task
from wisen.environments.tasks import FIRST_SEED
from wisen.environments.web.browser import SharedBrowser
from wisen.environments.web.families import DEFAULT_FAMILIES, DEMO, DEMO_FAMILIES, TEXT, WIDE, text_families
from wisen.environments.web.marks import TIMERS_SCRIPT
from wisen.environments.web.miniwob import HIDE_SCRIPT, MiniWobEnvironment
from wisen.environments.web.oracle import MiniWobOracle
from wisen.environments.web.page import HANDLERS_SCRIPT
from wisen.environments.web.server import PageServer


class MiniWobSuite:
    """families: page names of MiniWoB++, "text" for all that can be played from text, or "demo" for those that
    `wisen evolve` plays by itself (see `families`). The default thirteen are read plainly; every other page with what
    its accessibility tree leaves out, and more verbs."""

    name = "miniwob"
    about: ClassVar = SuiteCard(
        summary="Small web pages, read as text. Seeds make each anew.",
        licence="MIT (MiniWoB++)",
        templates=len(DEFAULT_FAMILIES),
        acts=(Acts.CHOICE, Acts.TEXT, Acts.TOOLS),
        reward="-1 to 1, without the page's decay by time",
        success="a reward of 1",
        max_steps=12,
        max_seconds=60,
        needs=("Chromium",),
    )

    def __init__(self, families: Sequence[str] | str = DEFAULT_FAMILIES) -> None:
        import miniwob

        self._root = Path(miniwob.__file__).parent / "html"
        known = {path.stem for path in (self._root / "miniwob").glob("*.html")}
        if families == TEXT:
            families = text_families(frozenset(known))
        elif families == DEMO:
            families = DEMO_FAMILIES
        named = [families] if isinstance(families, str) else list(families)
        if unknown := [str(name) for name in named if name not in known]:
            raise SettingsError(
                f"MiniWoB++ has no page {', '.join(unknown)}", f"it has {len(known)}, such as click-button"
            )
        if not named or isinstance(families, str):
            hint = 'write families=["click-button"], or families="text"'
            raise SettingsError(f"families = {families!r} is no list of pages", hint)
        self._families = tuple(dict.fromkeys(families))
        self._version = version("miniwob")
        self._browser = SharedBrowser()
        self._server = PageServer(self._root)

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        first = FIRST_SEED[split] + offset
        return tuple(
            Task(
                id=f"miniwob/{family}/{seed}",
                suite=self.name,
                environment="miniwob",
                template_id=f"miniwob/{family}",
                split=split,
                seed=seed,
                params={"page": family} | ({} if family in DEFAULT_FAMILIES else {"reading": WIDE}),
                version=self._version,
            )
            for seed in range(first, first + per_template)
            for family in self._families
        )

    def card(self) -> SuiteCard:
        longest = 12 if set(self._families) <= set(DEFAULT_FAMILIES) else 30
        return self.about.model_copy(update={"templates": len(self._families), "max_steps": longest})

    async def start(self) -> None:
        self._server.start()
        await self._browser.start()

    async def create(self) -> MiniWobEnvironment:
        context = await self._browser.context()
        scripts = HANDLERS_SCRIPT + HIDE_SCRIPT
        if not set(self._families) <= set(DEFAULT_FAMILIES):
            scripts += TIMERS_SCRIPT
        await context.add_init_script(scripts)
        return MiniWobEnvironment(context, f"{self._server.url}/miniwob")

    async def stop(self) -> None:
        await self._browser.stop()
        self._server.stop()

    def oracle(self) -> MiniWobOracle:
        """It knows 78 of the pages that are played from text, the default ones among them."""
        return MiniWobOracle()
