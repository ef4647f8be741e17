"""Any site as an environment: pages, forms, windows, downloads; and nothing beyond what the task allows."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.support.small_site import SmallSite
from wisen.core.errors import EnvironmentFault
from wisen.core.records import Action, Split, StepResult, ToolCall
from wisen.environments import registry
from wisen.environments.web.gate import origin

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


class Place:
    """A site, another that it must not lead to, and the suite of tasks on the first."""

    def __init__(self) -> None:
        self.foreign = SmallSite()
        self.foreign.start()
        self.site = SmallSite(self.foreign.url)
        self.site.start()
        goal = {"url": f"{self.site.url}/", "goal": 'Order a large "kettle", and stop on the page that confirms it.'}
        self.suite: Any = registry.create(
            "web",
            tasks=[
                goal | {"name": "order", "check": {"url": "/done", "text": "Ordered: large kettle"}},
                goal | {"name": "ask", "goal": "Until when is it open?", "check": {"answer": "Nine  o'clock"}},
                goal | {"name": "judged"},
                goal | {"name": "both", "origins": [f"{self.foreign.url}/x"]},
            ],
        )

    def task(self, name: str) -> Any:
        return next(task for task in self.suite.tasks(Split.LEARN, 1) if task.params["goal"] == name)

    @asynccontextmanager
    async def playing(self, name: str, folder: Path | None = None) -> AsyncIterator[Any]:
        environment = await self.suite.create()
        self.first = await environment.reset(self.task(name), screenshots=folder)
        self.foreign.asked.clear()
        yield environment
        await environment.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Place]:
    made = Place()
    await made.suite.start()
    yield made
    await made.suite.stop()
    made.site.stop()
    made.foreign.stop()


async def do(environment: Any, *texts: str) -> StepResult:
    for text in texts:
        result = await environment.step(Action(text=text))
    return result


async def test_a_form_is_filled_and_the_end_is_checked_pictured_and_recorded(place: Place, tmp_path: Path) -> None:
    async with place.playing("order", tmp_path) as environment:
        assert 'link "Order" [' in place.first.text and 'page "Shop"' in place.first.text
        assert "/done" not in place.first.model_dump_json()  # what is checked is not told
        result = await do(environment, 'click link "Order"', 'type textbox "Thing" "kettle"')
        assert 'textbox "Thing" = "kettle"' in result.observation.text
        size = next(text for text in result.observation.actions if text.endswith('"large"'))
        result = await do(environment, size, 'click button "Send"')
        assert "Ordered: large kettle" in result.observation.text
        assert (result.terminated, result.success, result.violation, result.info) == (False, None, "", {})
        last = await do(environment, "stop")
        assert (last.terminated, last.success, last.reward) == (True, True, 1.0)
        with pytest.raises(EnvironmentFault, match="not open"):
            await do(environment, "stop")
    paths = {artifact.kind: artifact.path for artifact in last.observation.artifacts}
    assert (tmp_path.parent / paths["screenshot"]).read_bytes().startswith(b"\x89PNG")
    entries = json.loads((tmp_path.parent / paths["har"]).read_text())["log"]["entries"]
    assert any("/done?thing=kettle&size=large" in entry["request"]["url"] for entry in entries)


async def test_an_answer_is_compared_and_without_a_check_nobody_has_succeeded(place: Place) -> None:
    async with place.playing("ask") as environment:
        called = ToolCall(name="stop", arguments={"answer": "nine o'clock"})
        assert (await environment.step(Action(tool_call=called))).success is True
        await environment.reset(place.task("ask"))
        assert (await do(environment, 'stop "eight"')).success is False
        await environment.reset(place.task("judged"))
        last = await do(environment, 'stop "whatever"')
        assert (last.terminated, last.success, last.reward, last.info["answer"]) == (True, None, 0.0, "whatever")


async def test_references_names_and_tools_mean_the_same(place: Place) -> None:
    async with place.playing("judged") as environment:
        line = next(line for line in place.first.text.splitlines() if line.startswith('link "Order"'))
        reference = line[line.index("[") + 1 : -1]
        for action in (
            Action(text=f"click {reference}"),
            Action(text='click link "Order"'),
            Action(tool_call=ToolCall(name="click", arguments={"element": reference})),
        ):
            again = await environment.reset(place.task("judged"))
            assert again == place.first  # references included
            assert 'page "Order"' in (await environment.step(action)).observation.text


async def test_go_back_and_forth(place: Place) -> None:
    async with place.playing("judged") as environment:
        result = await do(environment, "back")
        assert "no page before" in result.info["note"]
        assert 'page "About"' in (await do(environment, 'goto "/about"')).observation.text
        assert 'page "Shop"' in (await do(environment, "back")).observation.text
        for nonsense in ("goto", 'goto "file:///etc/passwd"', 'goto "javascript:alert(1)"', "fly"):
            result = await do(environment, nonsense)
            assert result.info["note"] and 'page "Shop"' in result.observation.text and "root:" not in str(result)


@pytest.mark.parametrize(
    "ways",
    [
        ['click link "Elsewhere"'],  # redirected by the site
        ['goto "FOREIGN/direct"'],
        ['click link "Traps"', 'click button "Out"'],
        ['click link "Traps"', 'click button "Out in a window"'],
    ],
    ids=["redirect", "goto", "script", "window"],
)
async def test_a_foreign_origin_is_not_reached_and_is_a_violation(place: Place, ways: list[str]) -> None:
    async with place.playing("judged") as environment:
        result = await do(environment, *(way.replace("FOREIGN", place.foreign.url) for way in ways))
        assert place.foreign.asked == []  # not one request went out
        assert origin(place.foreign.url) in result.violation
        assert "outside of what the task allows" in result.observation.text
        assert (await do(environment, 'goto "/about"')).violation == ""  # and the episode goes on


async def test_what_a_page_asks_for_by_itself_is_blocked_and_is_nobodys_fault(place: Place) -> None:
    async with place.playing("judged") as environment:
        await do(environment, 'click link "Traps"', 'click button "Fetch"', 'click button "Socket"')
        result = await do(environment, 'wait "0.3"')
        assert "No socket" in result.observation.text
        framed = await do(environment, 'goto "/frame"')
        assert "open until nine" in framed.observation.text  # frames within are read
        assert place.foreign.asked == [] and result.violation == framed.violation == ""
        assert environment._gate.blocked == [urlsplit(place.foreign.url).netloc]


async def test_what_a_task_allows_is_reached(place: Place) -> None:
    async with place.playing("both") as environment:
        result = await do(environment, 'click link "Elsewhere"')
        assert result.violation == "" and place.foreign.asked == ["/stolen"]
        assert "Nothing here." in result.observation.text


async def test_windows_are_shown_and_closed_and_bounded(place: Place) -> None:
    async with place.playing("judged") as environment:
        result = await do(environment, 'click link "About us"')
        assert 'page "About"' in result.observation.text and "a window has opened" in result.info["note"]
        assert 'page "Shop"' in (await do(environment, "back")).observation.text
        result = await do(environment, 'click link "Traps"', 'click button "Windows"')
        assert 'page "About"' in result.observation.text and environment._windows.count <= 6


async def test_a_download_is_kept_in_the_folder_and_nowhere_else(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "episode"
    folder.mkdir()
    async with place.playing("judged", folder) as environment:
        result = await do(environment, 'click link "Prices"')
        kept = [one.path for one in result.observation.artifacts if one.kind == "download"]
        assert len(kept) == 1 and (tmp_path / kept[0]).read_text() == "tea,3\n"
        assert (tmp_path / kept[0]).resolve().parent == folder.resolve()
        assert "was downloaded" in result.observation.text
        await environment.reset(place.task("judged"))
        assert "not kept" in (await do(environment, 'click link "Prices"')).info["note"]


async def test_dialogs_are_answered_and_a_page_that_would_hold_the_agent_is_left(place: Place) -> None:
    async with place.playing("judged") as environment:
        result = await do(environment, 'click link "Traps"', 'click button "Delete"')
        assert "Kept" in result.observation.text and "Delete all?" in result.info["note"]
        result = await do(environment, 'click button "Hold"', 'goto "/about"')
        assert 'page "About"' in result.observation.text


async def test_a_console_that_floods_is_not_listened_to(place: Place) -> None:
    async with place.playing("judged") as environment:
        result = await do(environment, 'click link "Traps"', 'click button "Flood"')
        assert 'page "Traps"' in result.observation.text and len(result.model_dump_json()) < 20_000


async def test_a_long_page_is_read_in_parts(place: Place) -> None:
    async with place.playing("judged") as environment:
        first = (await do(environment, 'click link "Long"')).observation.text
        assert "number 149" in first and "number 150" not in first and "1 to 150 of 400" in first
        assert "number 150" in (await do(environment, 'scroll "down"')).observation.text
        assert "number 399" in (await do(environment, 'scroll "bottom"')).observation.text
        assert (await do(environment, 'scroll "top"')).observation.text == first
        result = await do(environment, 'click button "number 390"')  # also what is not shown
        assert result.info == {}
