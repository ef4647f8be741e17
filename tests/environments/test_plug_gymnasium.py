"""gymnasium both ways: ours checked by its own checker, and its toy texts played by ours."""

import time
from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest
from gymnasium.spaces import Text
from gymnasium.utils.env_checker import check_env

from tests.conformance import test_environments as contract
from tests.support.corridor import Corridors
from tests.support.levers import LeverSuite
from tests.support.offered import offer
from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Split, ToolCall
from wisen.environments import registry
from wisen.environments.plugs.gym_env import GymEnv
from wisen.environments.plugs.gym_suite import GymSuite
from wisen.environments.plugs.threads import OwnThread


@pytest.fixture
def levers(monkeypatch: pytest.MonkeyPatch) -> Iterator[gymnasium.Env[str, str]]:
    offer(monkeypatch, levers="tests.support.levers:LeverSuite")
    env = gymnasium.make("wisen.environments.plugs.gym_env:wisen/Suite-v0", suite="levers", render_mode="ansi")
    yield env
    env.close()


# Ours as one of gymnasium's


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_its_checker_passes_ours(levers: gymnasium.Env[str, str]) -> None:
    check_env(levers.unwrapped, skip_render_check=False)


def test_an_episode_by_seed(levers: gymnasium.Env[str, str]) -> None:
    seen, info = levers.reset(seed=2)
    assert seen == levers.reset(seed=2)[0] != levers.reset(seed=3)[0]
    seen, info = levers.reset(seed=2)
    assert info["instruction"] == "Make it stop." and "You can:\n- press lever" in seen and levers.render() == seen
    told = levers.step("dance")
    assert told[1:4] == (0.0, False, False) and told[4]["note"] == "there is no dance"
    assert levers.action_space.sample() in info["actions"]
    _, reward, terminated, truncated, info = levers.step('press lever "red"')
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)


def test_a_call_in_words_and_a_task_of_ones_own() -> None:
    suite = Corridors()
    env = GymEnv(suite, split="report")
    task = suite.tasks(Split.REPORT, 3)[2]
    assert env.reset(options={"task": task})[1]["task_id"] == task.id
    for _ in range(2):
        env.step('move(to="right")')
    *_, info = env.step('move(to="open")')
    assert info["success"] is True
    env.close()
    env.close()
    assert suite.made[0].closed == 1
    with pytest.raises(EnvironmentFault, match="call reset first"):
        env.step("left")
    with pytest.raises(SettingsError, match="no split 'train'"):
        GymEnv(suite, split="train")


# Theirs as a suite of ours


async def test_a_lake_in_words() -> None:
    """Drawn in characters, with names for its numbers, and the same every time."""
    moves = ["left", "down", "right", "up"]
    options = {"kwargs": {"is_slippery": False}, "actions": moves, "instruction": "Reach G over F."}
    suite = registry.create("gymnasium", id="FrozenLake-v1", **options)
    await suite.start()
    environment = await suite.create()
    task = suite.tasks(Split.LEARN, 1)[0]
    first = await environment.reset(task)
    assert (
        first.instruction == "Reach G over F."
        and first.actions == tuple(moves)
        and first.text.split()[-4:] == ["[S]FFF", "FHFH", "FFFH", "HFFG"]
    )
    for action in ("fly", "7", "{", "", "1.5"):
        result = await environment.step(Action(text=action))
        assert "is no action here; write left, down, right, up" in result.info["note"] and not result.terminated
        assert result.info["note"] in result.observation.text
    assert (await environment.step(Action(tool_call=ToolCall(name="x")))).info["refused"]
    for move in "down down right right down".split():
        result = await environment.step(Action(text=move))
        assert result.success is None and not result.terminated
    result = await environment.step(Action(text="2"))  # a number will do
    assert result.success is True and result.terminated and result.reward == 1.0
    with pytest.raises(EnvironmentFault, match="call reset first"):
        await environment.step(Action(text="left"))
    await environment.close()
    await environment.close()
    with pytest.raises(EnvironmentFault, match="is closed"):
        await environment.reset(task)


async def test_the_contract_of_two_environments_in_one_suite() -> None:
    suite = GymSuite(["Taxi-v4", "Blackjack-v1"], instruction="Play.")
    await contract.test_panels_are_disjoint_repeatable_and_grow_by_offset(suite)
    await contract.test_the_same_task_twice_looks_the_same(suite)
    await contract.test_the_same_actions_lead_to_the_same_results(suite)
    await contract.test_what_cannot_be_done_is_a_step_and_not_an_error(suite)
    await contract.test_close_may_be_called_again_and_leaves_others_alone(suite)
    await contract.test_episodes_side_by_side_do_not_disturb_each_other(suite)


async def test_time_that_runs_out_is_no_success() -> None:
    suite = GymSuite("CartPole-v1", kwargs={"max_episode_steps": 3}, instruction="Hold the pole.")
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.GATE, 1)[0])
    results = [await environment.step(Action(text=str(number % 2))) for number in range(3)]
    assert results[-1].truncated and results[-1].success is False and results[-1].reward == 1.0
    await environment.close()


class Echo(gymnasium.Env[str, str]):
    """Texts both ways; what is said to it decides how it goes wrong."""

    action_space = observation_space = Text(max_length=50)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        return f"say {seed}", {"admissible_commands": ["win", "wait"]}

    def step(self, action: str) -> tuple[str, Any, bool, bool, dict[str, Any]]:
        if action == "break":
            raise RuntimeError("it broke")
        if action == "leave":
            raise SystemExit(3)
        if action == "hang":
            time.sleep(0.6)
        reward = float("nan") if action == "nan" else 0.25
        return action, reward, action == "win", False, {"success": True, "admissible_commands": ["win"], "raw": [1]}


gymnasium.register("wisen-test/Echo-v0", entry_point=Echo)


async def test_texts_and_what_info_says() -> None:
    suite = GymSuite("wisen-test/Echo-v0")
    environment = await suite.create()
    task = suite.tasks(Split.REPORT, 1)[0]
    seen = await environment.reset(task)
    assert seen.text == "say 2000000" and seen.actions == ("win", "wait")
    told = await environment.step(Action(text="hello"))
    assert told.observation.actions == ("win",) and told.info == {"success": True} and told.success is None
    assert (await environment.step(Action(text="win"))).success is True
    await environment.close()


@pytest.mark.parametrize(
    ("action", "told"),
    [
        ("break", "the environment broke: RuntimeError: it broke"),
        ("leave", "left with SystemExit"),
        ("hang", "did not answer within 0.3 s"),
        ("nan", "pays nan"),
    ],
)
async def test_one_that_breaks_ends_its_episode_only(action: str, told: str) -> None:
    suite = GymSuite("wisen-test/Echo-v0", seconds=0.3)
    environment = await suite.create()
    task = suite.tasks(Split.LEARN, 1)[0]
    await environment.reset(task)
    with pytest.raises(EnvironmentFault, match=told):
        await environment.step(Action(text=action))
    with pytest.raises(EnvironmentFault, match="call reset first"):
        await environment.step(Action(text="wait"))
    assert (await environment.reset(task)).text == "say 0"
    assert (await environment.step(Action(text="win"))).terminated
    await environment.close()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"id": "NoSuchGame-v1"}, "gymnasium has no NoSuchGame-v1"),
        ({"id": "no_such_module:Game-v1"}, "gymnasium has no no_such_module:Game-v1"),
        ({"id": []}, "names no environment"),
        ({}, "its options are id"),
    ],
)
async def test_what_a_person_gets_wrong(options: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        await registry.create("gymnasium", **options).start()


async def test_a_thread_of_its_own_is_always_the_same_one() -> None:
    import threading

    thread = OwnThread("one")
    names = {await thread.run(threading.get_ident, seconds=1) for _ in range(5)}
    assert len(names) == 1 and names != {threading.get_ident()}
    thread.leave()


async def test_ours_as_gymnasium_s_as_ours() -> None:
    """There and back: the seeds name the same tasks."""
    suite = GymSuite("wisen.environments.plugs.gym_env:wisen/Suite-v0", kwargs={"suite": LeverSuite()})
    environment = await suite.create()
    seen = await environment.reset(suite.tasks(Split.LEARN, 3)[2])
    assert "Make it stop." in seen.text and all(action.startswith("press lever") for action in seen.actions)
    assert (await environment.step(Action(text='press lever "red"'))).success is True
    await environment.close()
