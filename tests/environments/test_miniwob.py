"""MiniWoB++ in a real Chromium: pages start, what solves them succeeds, what does not fails, breakage is contained."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Error, Request

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Observation, Split, StepResult, Task, ToolCall
from wisen.environments import registry
from wisen.environments.web.miniwob import MiniWobEnvironment
from wisen.environments.web.page import MARK_SCRIPT, parse_snapshot
from wisen.environments.web.suite import DEFAULT_FAMILIES, MiniWobSuite

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def suite() -> AsyncIterator[MiniWobSuite]:
    made = MiniWobSuite()
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def environment(suite: MiniWobSuite) -> AsyncIterator[MiniWobEnvironment]:
    made = await suite.create()
    yield made
    await made.close()


def task_of(suite: MiniWobSuite, family: str, number: int = 0) -> Task:
    return next(task for task in suite.tasks(Split.LEARN, 1, offset=number) if task.params["page"] == family)


def quoted(text: str) -> list[str]:
    return re.findall(r'"([^"]+)"', text)


def click(observation: Observation, name: str, roles: str = "button|link|radio|checkbox|tab") -> str:
    """The first offered click on something of that name."""
    wanted = re.compile(rf'click (?:{roles}) "{re.escape(name)}"(?: 1)?')
    return next(action for action in observation.actions if wanted.fullmatch(action))


def named(instruction: str) -> list[str]:
    """The names in `Select a, b and click Submit.`"""
    middle = instruction.removeprefix("Select ").split(" and click")[0]
    return [] if middle == "nothing" else middle.split(", ")


def solution(family: str, seen: Observation) -> list[str]:
    """What a person would do, from what is shown."""
    goal, names = seen.instruction, quoted(seen.instruction)
    submit = 'click button "Submit"'
    match family:
        case "click-test-2":
            return [click(seen, "ONE")]
        case "click-button" | "click-link" | "click-dialog-2":
            return [click(seen, "Close" if names[0] == "x" else names[0])]
        case "click-tab":
            return [click(seen, goal.removeprefix("Click on ").rstrip("."))]
        case "click-option" | "click-checkboxes":
            return [*(click(seen, name) for name in named(goal)), submit]
        case "choose-list":
            chosen = re.fullmatch(r"Select (.+) from the list and click Submit\.", goal)
            assert chosen
            return [f'select combobox 1 "{chosen[1]}"', submit]
        case "enter-text":
            return [f'type textbox 1 "{names[0]}"', submit]
        case "focus-text-2":
            return [f"click textbox {re.findall(r'[0-9]+', goal)[0]}"]
        case "login-user":
            user, password = names
            return [
                f'type textbox "Username" "{user}"',
                f'type textbox "Password" "{password}"',
                'click button "Login"',
            ]
        case "enter-password":
            fields = ("Password", "Verify password")
            return [*(f'type textbox "{field}" "{names[0]}"' for field in fields), submit]
    raise AssertionError(family)


async def do(environment: MiniWobEnvironment, *texts: str) -> StepResult:
    for text in texts:
        result = await environment.step(Action(text=text))
    return result


@pytest.mark.parametrize("family", DEFAULT_FAMILIES)
async def test_every_family_starts_shows_and_offers(suite: MiniWobSuite, environment: Any, family: str) -> None:
    task = task_of(suite, family)
    first = await environment.reset(task)
    assert first.instruction and first.text and len(first.actions) >= 2
    assert first.instruction not in first.text  # it is said once, as the task
    assert len(set(first.actions)) == len(first.actions)
    assert "START" not in first.text and "reward" not in first.text.lower()  # nothing of the spectator's panel
    await environment.step(Action(text=first.actions[0]))
    assert await environment.reset(task) == first  # whatever was done before
    other = await environment.reset(task_of(suite, family, 7))
    assert (other.instruction, other.text) != (first.instruction, first.text) or family == "click-test-2"


@pytest.mark.parametrize("family", sorted(set(DEFAULT_FAMILIES) - {"click-widget"}))
async def test_what_solves_a_task_succeeds(suite: MiniWobSuite, environment: Any, family: str) -> None:
    for number in (1, 2):
        seen = await environment.reset(task_of(suite, family, number))
        *before, last = solution(family, seen)
        for text in before:
            result = await do(environment, text)
            assert (result.terminated, result.success, result.reward, result.info) == (False, None, 0.0, {})
        result = await do(environment, last)
        assert (result.terminated, result.success, result.reward) == (True, True, 1.0)
        assert result.observation.actions == ()


async def test_a_wrong_click_ends_the_episode_without_success(suite: MiniWobSuite, environment: Any) -> None:
    await environment.reset(task_of(suite, "click-test-2"))
    result = await do(environment, 'click button "TWO"')
    assert result.terminated and result.success is False and result.reward < 0
    with pytest.raises(EnvironmentFault, match="not open"):
        await do(environment, 'click button "ONE"')


async def test_an_incomplete_form_fails(suite: MiniWobSuite, environment: Any) -> None:
    seen = await environment.reset(task_of(suite, "enter-password"))
    result = await do(environment, *solution("enter-password", seen)[1:])
    assert result.terminated and result.success is False


async def test_the_raw_reward_is_paid_and_not_the_one_that_decays(suite: MiniWobSuite, environment: Any) -> None:
    await environment.reset(task_of(suite, "click-test-2"))
    await environment._page.evaluate("() => { core.ept0 -= 1.8e6 }")  # half an hour later
    result = await do(environment, 'click button "ONE"')
    decayed, raw = await environment._page.evaluate("() => [WOB_REWARD_GLOBAL, WOB_RAW_REWARD_GLOBAL]")
    assert decayed < 0.6 and raw == 1
    assert result.reward == 1.0 and result.success is True


async def test_tools_do_the_same_as_words(suite: MiniWobSuite, environment: Any) -> None:
    seen = await environment.reset(task_of(suite, "enter-text"))
    value = quoted(seen.instruction)[0]
    typed = ToolCall(name="type", arguments={"element": "textbox 1", "text": value})
    result = await environment.step(Action(tool_call=typed))
    assert f'textbox = "{value}"' in result.observation.text
    result = await environment.step(Action(tool_call=ToolCall(name="click", arguments={"element": 'button "Submit"'})))
    assert result.success is True


async def test_pictures_go_where_they_are_asked_for(suite: MiniWobSuite, environment: Any, tmp_path: Path) -> None:
    seen = await environment.reset(task_of(suite, "click-test-2"), screenshots=tmp_path)
    result = await do(environment, 'click button "ONE"')
    pictures = [artifact.path for one in (seen, result.observation) for artifact in one.artifacts]
    assert pictures == [f"{tmp_path.name}/0.png", f"{tmp_path.name}/1.png"]
    assert all((tmp_path.parent / path).read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert (await environment.reset(task_of(suite, "click-test-2"))).artifacts == ()


async def test_no_page_asks_beyond_this_machine(suite: MiniWobSuite, environment: Any) -> None:
    asked: list[str] = []

    async def note(route: Any, request: Request) -> None:
        asked.append(request.url)
        if urlsplit(request.url).hostname == "127.0.0.1":
            await route.continue_()
        else:
            await route.abort()

    await environment._context.route("**/*", note)
    for family in DEFAULT_FAMILIES:
        seen = await environment.reset(task_of(suite, family))
        await do(environment, seen.actions[0])
    assert len(asked) > len(DEFAULT_FAMILIES)
    assert {urlsplit(url).hostname for url in asked} == {"127.0.0.1"}


async def test_a_closed_page_is_a_fault_and_the_next_reset_opens_another(suite: MiniWobSuite, environment: Any) -> None:
    await environment.reset(task_of(suite, "click-test-2"))
    await environment._page.close()
    with pytest.raises(EnvironmentFault, match="the page broke"):
        await do(environment, 'click button "ONE"')
    await environment.reset(task_of(suite, "click-test-2"))
    assert (await do(environment, 'click button "ONE"')).success is True


async def test_a_closed_context_is_a_fault_and_the_suite_goes_on(suite: MiniWobSuite) -> None:
    broken, other = await suite.create(), await suite.create()
    task = task_of(suite, "click-test-2")
    await broken.reset(task)
    await other.reset(task)
    await broken._context.close()
    with pytest.raises(EnvironmentFault):
        await do(broken, 'click button "ONE"')
    with pytest.raises(EnvironmentFault):
        await broken.reset(task)
    await broken.close()
    assert (await do(other, 'click button "ONE"')).success is True
    await other.close()


async def test_a_crashed_page_is_a_fault_and_the_suite_goes_on(suite: MiniWobSuite) -> None:
    broken, other = await suite.create(), await suite.create()
    task = task_of(suite, "click-test-2")
    await other.reset(task)
    await broken.reset(task)
    assert broken._page
    with suppress(Error):
        await broken._page.goto("chrome://crash", timeout=5_000)
    with pytest.raises(EnvironmentFault):
        await do(broken, 'click button "ONE"')
    await broken.close()
    assert (await do(other, 'click button "ONE"')).success is True
    await other.close()


async def test_a_closed_environment_leaves_nothing_open(suite: MiniWobSuite) -> None:
    browser = suite._browser._browser
    assert browser
    before = len(browser.contexts)
    made = await suite.create()
    await made.reset(task_of(suite, "click-test-2"))
    assert len(browser.contexts) == before + 1
    await made.close()
    assert len(browser.contexts) == before


async def test_a_browser_that_died_is_started_again() -> None:
    suite = MiniWobSuite(["click-test-2"])
    await suite.start()
    environment, task = await suite.create(), task_of(suite, "click-test-2")
    await environment.reset(task)
    assert suite._browser._browser
    with suppress(Error):
        session = await suite._browser._browser.new_browser_cdp_session()
        await session.send("Browser.crash")
    with pytest.raises(EnvironmentFault):
        await do(environment, 'click button "ONE"')
    await environment.close()
    fresh = await suite.create()
    await fresh.reset(task)
    assert (await do(fresh, 'click button "ONE"')).success is True
    await suite.stop()


async def test_what_only_listens_for_clicks_is_offered_as_a_button(suite: MiniWobSuite) -> None:
    made = await suite.create()
    page = await made._context.new_page()
    await page.goto(f"{suite._server.url}/miniwob/click-test-2.html")
    await page.set_content(
        """<span id=a>by listener</span><span onclick="1">by attribute</span><span>neither</span>
        <div id=b><button>inside</button></div><a href="#" id=c>link</a>
        <script>for (const id of 'abc') document.getElementById(id).addEventListener('click', () => 1)</script>"""
    )
    await page.evaluate(MARK_SCRIPT)
    found = {element.label: element.role for element in parse_snapshot(await page.aria_snapshot(mode="ai"))}
    assert found["by listener"] == found["by attribute"] == "button"
    assert found["inside"] == "button" and found["link"] == "link"
    assert "text" in {role for label, role in found.items() if "neither" in label}
    await made.close()


async def test_an_unknown_page_is_refused_before_anything_starts() -> None:
    with pytest.raises(SettingsError, match=r"no page click-nothing .*click-button"):
        registry.create("miniwob", families=["click-test-2", "click-nothing"])
    with pytest.raises(SettingsError, match="its options are families"):
        registry.create("miniwob", pages=["click-test-2"])
