"""Web pages that misbehave, served and driven as MiniWoB++ is. Most do it when their button "Go" is pressed."""

from collections.abc import Sequence
from pathlib import Path

from wisen.core.records import Split, Task
from wisen.environments.web.browser import SharedBrowser
from wisen.environments.web.miniwob import MiniWobEnvironment
from wisen.environments.web.server import PageServer

# The little of MiniWoB++'s `core` that the environment calls.
CORE = """
<script>
var WOB_DONE_GLOBAL = false, WOB_RAW_REWARD_GLOBAL = 0;
Math.seedrandom = () => {};
var core = {EP_TIMER: null, setDataMode() {}, startEpisodeReal() {}, clearTimer() {}, endEpisode() {},
            getUtterance: () => 'Press Go.'};
function good() { WOB_RAW_REWARD_GLOBAL = 1; WOB_DONE_GLOBAL = true; }
</script>
"""
ON_GO = {
    "good": "good()",
    "hangs": "while (true) {}",
    "closes": "open('', '_self').close()",
    "halves-a-letter": "this.textContent = String.fromCharCode(0xd800)",
    "opens": "for (let i = 0; i < 3; i++) open('good.html')",
    "crashes": "location.href = 'chrome://crash'",
    "leaves": "location.href = 'about:blank'",
    "reloads": "location.reload()",
    "alerts": "alert('stop'); if (!confirm('sure?')) good()",
    "asks-before-leaving": "addEventListener('beforeunload', e => { e.preventDefault(); e.returnValue = 1 })",
    "wipes": "document.documentElement.remove()",
    "floods": "for (let i = 0; i < 20000; i++) document.body.append(document.createElement('button'))",
    "throws": "throw new Error('broken')",
    "lies": "Object.defineProperty(window, 'WOB_DONE_GLOBAL', {get() { throw new Error('gone') }})",
}
BUTTON = '<button onclick="{}">Go</button>'


class HostilePages:
    """Implements `Suite`: one task per page named. `silent` is a port that takes connections and never answers."""

    name = "hostile"

    def __init__(self, folder: Path, pages: Sequence[str], *, silent: int = 0) -> None:
        self._pages = tuple(pages)
        self.browser, self._server = SharedBrowser(), PageServer(folder)
        bodies = {name: CORE + BUTTON.format(what.replace('"', "&quot;")) for name, what in ON_GO.items()}
        bodies["never-loads"] = f'{CORE}<script src="http://127.0.0.1:{silent}/x.js"></script>'
        bodies["hangs-at-once"] = f"{CORE}<script>while (true) {{}}</script>"
        bodies["is-empty"] = ""
        for name, body in bodies.items():
            (folder / f"{name}.html").write_text(f"<!doctype html><body>{body}")

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return tuple(
            Task(
                id=f"hostile/{page}/{number}",
                suite=self.name,
                environment="miniwob",
                template_id=f"hostile/{page}",
                split=split,
                seed=number,
                params={"page": page},
            )
            for number, page in enumerate(self._pages, start=offset)
        )

    async def start(self) -> None:
        self._server.start()
        await self.browser.start()

    async def create(self) -> MiniWobEnvironment:
        return MiniWobEnvironment(await self.browser.context(), self._server.url)

    async def stop(self) -> None:
        await self.browser.stop()
        self._server.stop()
