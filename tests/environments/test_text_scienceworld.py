"""ScienceWorld: official splits, the simulator's own solutions, valid actions on demand."""

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.protocols import Suite
from wisen.core.records import Action, Split, ToolCall
from wisen.environments import registry
from wisen.environments.text.experiments import EXPERIMENTS

pytestmark = [
    pytest.mark.skipif(find_spec("scienceworld") is None, reason='no ScienceWorld: pip install "wisen[science]"'),
    pytest.mark.skipif(shutil.which("java") is None, reason="no Java: apt-get install default-jre-headless"),
]


@pytest.fixture(scope="module")
def quick() -> dict:
    """Two experiments with short solutions."""
    return {"experiments": ["lifespan-longest-lived", "find-non-living-thing"]}


@pytest.fixture
async def suite(quick: dict) -> AsyncIterator[Suite]:
    made = registry.create("scienceworld", **quick)
    yield made
    await made.stop()


def test_the_table_is_the_simulators_own() -> None:
    from wisen.environments.text.laboratory import Laboratory

    laboratory = Laboratory()
    try:
        env = laboratory._env
        assert set(env.get_task_names()) == set(EXPERIMENTS)
        for name in list(EXPERIMENTS)[::6]:
            env.load(name, 0, "easy")
            lists = env.get_variations_train(), env.get_variations_dev(), env.get_variations_test()
            assert [sorted(one) for one in lists] == [list(EXPERIMENTS[name].variations(split)) for split in Split]
    finally:
        laboratory.close()


async def test_the_solution_scores_a_hundred_and_rewards_add_up(suite: Suite) -> None:
    environment, oracle = await suite.create(), suite.oracle()  # type: ignore[attr-defined]
    for task in suite.tasks(Split.LEARN, 1):
        observation = await environment.reset(task)
        results = [await environment.step(action) for action in oracle.solution(task, observation)]
        assert results[-1].success is True and results[-1].info["score"] == 100
        assert sum(result.reward for result in results) == pytest.approx(1.0)


async def test_the_wrong_focus_ends_it_badly(suite: Suite) -> None:
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    result = await environment.step(Action(text="focus on agent"))
    assert result.terminated and result.success is False and result.reward == -1.0


async def test_valid_actions_are_told_when_asked_for(suite: Suite) -> None:
    environment = await suite.create()
    first = await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    assert first.actions == () and {tool.name for tool in first.tools} == {"act", "actions"}
    by_text = await environment.step(Action(text="actions kitchen"))
    by_tool = await environment.step(Action(tool_call=ToolCall(name="actions", arguments={"word": "kitchen"})))
    assert by_text.observation == by_tool.observation and by_text.reward == 0
    assert "close door to kitchen" in by_text.observation.text
    many = await environment.step(Action(text="actions"))
    assert "more: ask by another word" in many.observation.text
    assert "no valid action" in (await environment.step(Action(text="actions unicorn"))).observation.text
    went = await environment.step(Action(tool_call=ToolCall(name="act", arguments={"command": "teleport to kitchen"})))
    assert "called the kitchen" in went.observation.text
    for call in (ToolCall(name="act", arguments={"command": 3}), ToolCall(name="actions"), ToolCall(name="fly")):
        assert (await environment.step(Action(tool_call=call))).info["note"]


async def test_a_model_that_chooses_gets_a_bounded_list() -> None:
    suite = registry.create("scienceworld", experiments=["boil"], offered=12)
    environment = await suite.create()
    task = suite.tasks(Split.LEARN, 1)[0]
    first = await environment.reset(task)
    assert len(first.actions) == 12 and list(first.actions) == sorted(first.actions)
    assert (await environment.reset(task)).actions == first.actions
    result = await environment.step(Action(text=first.actions[0]))
    assert "No known action" not in result.observation.text
    await suite.stop()


def java_of(leader: int) -> int:
    """The Java machine in a process group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,comm="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()]
    (found,) = [int(pid) for pid, group, name in rows if group == str(leader) and name == "java"]
    return found


async def test_a_killed_java_machine_fails_the_episode_and_the_next_works(suite: Suite) -> None:
    environment = await suite.create()
    task = suite.tasks(Split.LEARN, 1)[0]
    first = await environment.reset(task)
    os.kill(java_of(environment.pid), signal.SIGKILL)  # type: ignore[attr-defined]
    with pytest.raises(EnvironmentFault):
        await environment.step(Action(text="look around"))
    assert await environment.reset(task) == first


def test_sets_are_the_official_ones_and_come_to_an_end() -> None:
    suite = registry.create("scienceworld", experiments=["identify-life-stages-2"])
    seen = {split: [task.params["variation"] for task in suite.tasks(split, 9)] for split in Split}
    assert seen == {Split.LEARN: [0, 1, 2, 3], Split.GATE: [4, 5], Split.REPORT: [6, 7, 8, 9]}
    assert not suite.tasks(Split.LEARN, 1, offset=900_000) and not suite.tasks(Split.GATE, 1, offset=2)


@pytest.mark.parametrize("options", [{"experiments": ["fly"]}, {"offered": -1}, {"max_steps": -1}])
def test_options_are_checked(options: dict) -> None:
    with pytest.raises(SettingsError):
        registry.create("scienceworld", **options)
