"""WebArena-Verified: traffic recorded by our driver, scored by the real package where there is one."""

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.arena_sites import ArenaSite
from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Split, StepResult, ToolCall
from wisen.environments import registry
from wisen.environments.web.benchmarks.webarena_verified import has_form

PYTHON = os.environ.get("WEBARENA_VERIFIED_PYTHON", "")
WITH_PACKAGE = pytest.mark.skipif(
    not PYTHON, reason="WEBARENA_VERIFIED_PYTHON names no interpreter that has webarena-verified"
)
TODOS, BIOGRAPHY, REVIEWER = 44, 399, 22  # of the package's own tasks


def answer(kind: str, status: str = "SUCCESS", data: list[Any] | None = None) -> Action:
    given = {"task_type": kind, "status": status, "retrieved_data": data, "error_details": None}
    return Action(tool_call=ToolCall(name="stop", arguments={"answer": given}))


class Played:
    def __init__(self) -> None:
        self.site = ArenaSite()
        self.site.start()
        gitlab = f"{self.site.url}/gitlab"
        sites = {"gitlab": self.site.url, "reddit": self.site.url, "shopping": self.site.url}
        self.suite: Any = registry.create(
            "webarena-verified", python=PYTHON, sites=sites, ids=[TODOS, BIOGRAPHY, REVIEWER]
        )
        self.goto_gitlab = Action(text=f'goto "{gitlab}"')

    async def ended(self, number: int, *actions: Action, folder: Path | None = None) -> StepResult:
        tasks = [one for split in Split for one in self.suite.tasks(split, 9)]
        environment = await self.suite.create()
        self.first = await environment.reset(
            next(one for one in tasks if one.id == f"webarena-verified/{number}"), screenshots=folder
        )
        results = [await environment.step(action) for action in actions]
        await environment.close()
        return results[-1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played() -> AsyncIterator[Played]:
    made = Played()
    await made.suite.start()
    yield made
    await made.suite.stop()
    made.site.stop()


@WITH_PACKAGE
@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_where_one_went_is_seen_in_the_traffic(played: Played, tmp_path: Path) -> None:
    folder = tmp_path / "episode"
    folder.mkdir()
    shown = Action(text='click link "To-Do List"')
    last = await played.ended(TODOS, played.goto_gitlab, shown, answer("NAVIGATE"), folder=folder)
    assert (last.success, last.reward) == (True, 1.0)
    assert last.info["evaluators"] == {"0 AgentResponseEvaluator": "success", "1 NetworkEventEvaluator": "success"}
    assert "Open my todos page" in played.first.instruction and "dashboard/todos" not in played.first.instruction
    kept = {one.kind: folder.parent / one.path for one in last.observation.artifacts}
    assert json.loads(kept["agent_response"].read_text())["task_type"] == "NAVIGATE"
    assert "/dashboard/todos" in kept["har"].read_text()
    last = await played.ended(TODOS, played.goto_gitlab, answer("NAVIGATE"))
    assert (last.success, last.reward) == (False, 0.0)
    assert last.info["evaluators"] == {"0 AgentResponseEvaluator": "success", "1 NetworkEventEvaluator": "failure"}


@WITH_PACKAGE
@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("text", "success"), [("I am a robot", True), ("I am a human", False)])
async def test_what_was_sent_is_seen_in_the_traffic(played: Played, text: str, success: bool) -> None:
    moves = ('goto "/bio"', f'type textbox "Biography" "{text}"', 'click button "Save"')
    last = await played.ended(BIOGRAPHY, *(Action(text=move) for move in moves), answer("MUTATE"))
    assert (last.success, last.reward) == (success, float(success))


@WITH_PACKAGE
@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_found_is_compared_and_what_is_no_answer_is_wrong(played: Played) -> None:
    assert (await played.ended(REVIEWER, answer("RETRIEVE", "NOT_FOUND_ERROR"))).success is True
    assert (await played.ended(REVIEWER, answer("RETRIEVE", data=["Emma"]))).success is False
    assert (await played.ended(REVIEWER, Action(text='stop "Emma"'))).success is False
    assert (await played.ended(REVIEWER, Action(text='stop "{"task_type": 1, "status": []}"'))).success is False


@WITH_PACKAGE
async def test_a_score_that_cannot_be_had_is_a_fault(tmp_path: Path) -> None:
    package = registry.create("webarena-verified", python=PYTHON, sites={"gitlab": "http://gitlab.test"})._package
    asked = {"tasks": package.tasks, "answer": "{}", "sites": {"gitlab": "http://gitlab.test"}}
    found = await package.score(task_id=TODOS, traffic=str(tmp_path / "none.har"), **asked)
    assert found["status"] == "error" and "none.har" in found["error"]
    with pytest.raises(EnvironmentFault, match="broke"):
        await package.score(task_id="x", traffic="none.har", **asked | {"sites": {"moon": "http://moon.test"}})


@WITH_PACKAGE
def test_all_of_the_packages_tasks_are_dealt_by_template() -> None:
    sites = {name: f"http://{name}.test" for name in ("shopping", "reddit", "gitlab", "map", "wikipedia")}
    suite: Any = registry.create("webarena-verified", python=PYTHON, sites=sites | {"shopping_admin": "http://a.test"})
    tasks = [one for split in Split for one in suite.tasks(split, 99)]
    assert len({one.id for one in tasks}) == len(tasks) == 812 and not suite.not_offered
    panels = {(one.template_id, one.split) for one in tasks}
    assert len({template for template, _ in panels}) == len(panels)
    assert all(one.version.startswith("1.") for one in tasks)


@pytest.mark.parametrize(("python", "told"), [(sys.executable, "no package"), ("/no/such/python", "cannot be used")])
def test_an_interpreter_without_the_package_is_refused(python: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        registry.create("webarena-verified", python=python)


def test_which_answers_have_the_form_that_is_asked_for() -> None:
    assert has_form('{"task_type": "RETRIEVE", "status": "SUCCESS", "retrieved_data": null}')
    assert not any(map(has_form, ("", "done", "[]", '{"task_type": "RETRIEVE"}', '{"task_type": 1, "status": "x"}')))
