"""OpenEnv's own package against ours, and how fast it goes. Name an interpreter that has openenv 0.10 in OPENENV_PYTHON
(it cannot share ours: it wants mcp<2)."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.levers import LeverSuite
from tests.support.offered import offer
from tests.support.openenv_serving import openenv
from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Split
from wisen.environments import registry
from wisen.environments.plugs.openenv import OpenEnvSuite

FOREIGN = os.environ.get("OPENENV_PYTHON", "")
foreign = pytest.mark.skipif(not FOREIGN, reason="OPENENV_PYTHON names no interpreter with openenv 0.10")


@pytest.fixture(scope="module")
def levers() -> Iterator[str]:
    with openenv(LeverSuite()) as url:
        yield url


# The package's own client and server

CLIENT = """
import asyncio, json, sys, time
from openenv.core.generic_client import GenericEnvClient

async def main():
    async with GenericEnvClient(base_url=sys.argv[1]) as env:
        solved = 0
        for index in range(6):
            result = await env.reset(split="gate", index=index)
            while not result.done:
                seen = result.observation
                wanted = seen["instruction"].split('"')[1::2]
                pressed = int(seen["text"].split("pressed ")[1].split('"')[0])
                name = wanted[pressed] if wanted else "red"
                result = await env.step({"text": f'press lever "{name}"'})
            solved += result.reward == 1.0 and result.metadata["success"] is True
        state = await env.state()
        await env.reset(seed=0)
        begun, steps = time.perf_counter(), 500
        for _ in range(steps):
            await env.step({"text": "wait"})
        rate = steps / (time.perf_counter() - begun)
    print(json.dumps({"solved": solved, "state": state, "rate": rate}))

asyncio.run(main())
"""
SERVER = """
import sys
import uvicorn
from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State

class Guess(Action):
    number: int

class Hint(Observation):
    hint: str

class Game(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True
    def __init__(self):
        super().__init__()
        self.wanted = self.count = 0
    def reset(self, seed=None, episode_id=None, split=None, index=None, **rest):
        self.wanted, self.count = (index or seed or 0) % 9 + 1, 0
        return Hint(hint="a number from 1 to 9")
    def step(self, action, timeout_s=None, **rest):
        self.count += 1
        if action.number == self.wanted:
            return Hint(hint="right", done=True, reward=1.0)
        return Hint(hint="higher" if action.number < self.wanted else "lower", done=self.count > 5)
    @property
    def state(self):
        return State(step_count=self.count)
    def list_splits(self):
        return ["train", "validation", "test"]
    def list_tasks(self, split):
        return [{"number": number} for number in range(9)]

app = create_app(Game, Guess, Hint, env_name="guess", max_concurrent_envs=2)
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


@foreign
@pytest.mark.timeout(240)
def test_their_client_plays_ours(levers: str) -> None:
    run = subprocess.run([FOREIGN, "-c", CLIENT, levers], capture_output=True, text=True, check=False, timeout=200)
    assert run.returncode == 0, run.stderr[-2000:]
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["solved"] == 6 and told["state"]["step_count"] > 0
    sys.stdout.write(f"\nopenenv's client on ours: {told['rate']:,.0f} steps/s\n")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from tests.support.servers import free_port

    port = free_port()
    script = tmp_path_factory.mktemp("openenv") / "game.py"
    script.write_text(SERVER)
    process = subprocess.Popen([FOREIGN, str(script), str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 200
        while True:
            try:
                OpenEnvSuite(url).tasks(Split.LEARN, 1)
                break
            except EnvironmentFault:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.3)
        yield url
    finally:
        process.kill()
        process.wait()


@foreign
@pytest.mark.timeout(240)
async def test_ours_plays_theirs(theirs: str) -> None:
    suite = OpenEnvSuite(theirs, instruction="Guess the number.")
    assert suite.card().sizes == dict.fromkeys(Split, 9)
    tasks = suite.tasks(Split.GATE, 9)
    assert tasks[3].params == {"reset": {"split": "validation", "index": 3}}
    one, other, third = [await suite.create() for _ in range(3)]
    for task in tasks:
        seen = await one.reset(task)
        assert seen.text == "a number from 1 to 9"
        low, high, result = 1, 9, None
        while result is None or not result.terminated:
            middle = (low + high) // 2
            result = await one.step(Action(text=str(middle)))
            low, high = (middle + 1, high) if result.observation.text == "higher" else (low, middle - 1)
        assert result.success is True and result.reward == 1.0
    await other.reset(tasks[0])
    with pytest.raises(EnvironmentFault, match="fewer workers"):
        await third.reset(tasks[0])
    refused = await other.step(Action(text="3.5"))
    assert "must be a whole number" in refused.info["note"]
    for environment in (one, other, third):
        await environment.close()


# How fast


async def test_a_round_trip_costs_less_than_a_millisecond(levers: str) -> None:
    """Of processor time, both sides together: what a clock says depends on who else is here. The rate is printed."""
    suite = OpenEnvSuite(levers)
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    action, steps, best = Action(text="no such lever"), 500, 1.0
    for _ in range(4):
        begun, spent = time.perf_counter(), time.process_time()
        for _ in range(steps):
            await environment.step(action)
        best = min(best, (time.process_time() - spent) / steps)
        sys.stdout.write(f"\n{steps / (time.perf_counter() - begun):,.0f} steps/s, {best * 1e6:.0f} us of processor\n")
    await environment.close()
    assert best < 0.001


def test_the_registry_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, levers="tests.support.levers:LeverSuite")
    with pytest.raises(SettingsError, match="its options are url, instruction"):
        registry.create("openenv")
    assert "OpenEnv" in registry.suites()["openenv"] and Path(__file__).exists()
