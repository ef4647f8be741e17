"""Environments in processes of their own: the same protocol, and what a process can do that an object cannot."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import misbehaving
from tests.support.levers import Levers, LeverSuite
from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Split, Task
from wisen.environments import registry
from wisen.environments.isolated.child import Process
from wisen.environments.isolated.suite import IsolatedSuite, ProcessOracle

ROOT = Path(__file__).parents[2]


def levers() -> IsolatedSuite:
    return IsolatedSuite(LeverSuite(), "tests.support.levers:LeverSuite")


def task(template: str = "") -> Task:
    first, *_ = LeverSuite().tasks(Split.LEARN, 1)
    return first.model_copy(update={"params": {"template": template}}) if template else first


@pytest.fixture
async def suite() -> AsyncIterator[IsolatedSuite]:
    made = levers()
    yield made
    await made.stop()


@pytest.fixture
async def bad() -> AsyncIterator[IsolatedSuite]:
    """Its instruction says what each action does to the process."""
    made = IsolatedSuite(
        misbehaving.MisbehavingSuite(),
        "tests.support.misbehaving:MisbehavingSuite",
        start_seconds=30.0,
        step_seconds=1.5,
    )
    yield made
    await made.stop()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def gone(pid: int, seconds: float = 8.0) -> bool:
    until = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < until:  # noqa: ASYNC110 - a process of another sets no event
        await asyncio.sleep(0.05)
    return not alive(pid)


async def test_it_plays_as_the_environment_itself_does(suite: IsolatedSuite) -> None:
    assert suite.tasks(Split.GATE, 2) == LeverSuite().tasks(Split.GATE, 2)
    ours, theirs = Levers(), await suite.create()
    for one in suite.tasks(Split.LEARN, 2):
        observation = await ours.reset(one)
        assert await theirs.reset(one) == observation
        for text in ("pull nothing", *observation.actions):
            result = await ours.step(Action(text=text))
            assert await theirs.step(Action(text=text)) == result
            if result.terminated:
                break


async def test_each_environment_has_a_process_and_stop_ends_them(suite: IsolatedSuite) -> None:
    made = [await suite.create() for _ in range(2)]
    pids = {one.pid for one in made}
    assert len(pids) == 2 and os.getpid() not in pids and all(pid and alive(pid) for pid in pids)
    await made[0].close()
    assert made[0].pid is None
    await suite.stop()
    assert not any(alive(pid) for pid in pids if pid)
    with pytest.raises(EnvironmentFault):
        await made[1].reset(task())


async def test_a_killed_process_fails_its_episode_and_the_next_works(suite: IsolatedSuite) -> None:
    environment = await suite.create()
    first = await environment.reset(task())
    pid = environment.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EnvironmentFault, match="signal 9"):
        await environment.step(Action(text="x"))
    with pytest.raises(EnvironmentFault, match="reset starts another"):
        await environment.step(Action(text="x"))
    assert await environment.reset(task()) == first
    assert environment.pid != pid


async def test_a_process_that_ends_by_itself_is_quoted(bad: IsolatedSuite) -> None:
    environment = await bad.create()
    await environment.reset(task())
    with pytest.raises(EnvironmentFault, match="code 3; its last words: I cannot go on"):
        await environment.step(Action(text="exit"))


async def test_an_endless_step_is_cut_off(bad: IsolatedSuite) -> None:
    environment = await bad.create()
    await environment.reset(task())
    pid = environment.pid
    with pytest.raises(EnvironmentFault, match=r"did not step within 1\.5 s"):
        await environment.step(Action(text="loop"))
    assert pid and not alive(pid)
    assert (await environment.reset(task())).text


async def test_a_cancelled_step_leaves_no_answer_for_the_next(bad: IsolatedSuite) -> None:
    environment = await bad.create()
    await environment.reset(task())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await environment.step(Action(text="loop"))
    assert (await environment.reset(task())).text
    assert (await environment.step(Action(text="hello"))).observation.text == "hello"


async def test_any_error_of_the_environment_is_its_fault_and_not_its_end(bad: IsolatedSuite) -> None:
    environment = await bad.create()
    await environment.reset(task())
    pid = environment.pid
    with pytest.raises(EnvironmentFault, match="ZeroDivisionError"):
        await environment.step(Action(text="divide"))
    with pytest.raises(EnvironmentFault, match="cannot be written as JSON"):
        await environment.step(Action(text="object"))
    assert (await environment.step(Action(text="print"))).observation.text == "print"  # stdout is not the wire
    assert environment.pid == pid


async def test_what_is_left_in_its_group_is_killed_with_it(bad: IsolatedSuite, tmp_path: Path) -> None:
    environment = await bad.create()
    await environment.reset(task())
    result = await environment.step(Action(text="spawn"))
    pid = result.info["pid"]
    assert alive(pid)
    await environment.close()
    assert await gone(pid)


async def test_a_suite_that_cannot_start_says_so_in_its_own_words() -> None:
    broken = IsolatedSuite(LeverSuite(), "tests.support.misbehaving:Unready")
    with pytest.raises(SettingsError, match="not ready"):
        await broken.create()
    with pytest.raises(EnvironmentFault, match="No module named"):
        await IsolatedSuite(LeverSuite(), "no.such.module:Suite").create()
    with pytest.raises(EnvironmentFault, match="cannot be started"):
        await IsolatedSuite(LeverSuite(), "tests.support.levers:LeverSuite", python="/no/such/python").create()


async def test_long_texts_and_odd_ones_go_through(bad: IsolatedSuite) -> None:
    environment = await bad.create()
    await environment.reset(task())
    for text in (
        "\u2028\x00\x1b[2J\U0001f600 \\n\n",
        '{"call": "close"}\n{"call": "close"}',
        "x" * 1_000_000,
        "half \ud800 of one",
    ):
        action = Action(text=text)  # which replaces half a character
        assert (await environment.step(action)).observation.text == action.text


@pytest.mark.parametrize("busy", [False, True])
async def test_no_orphan_is_left_when_we_are_killed(busy: bool) -> None:
    host = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-m", "tests.support.isolated_host", "loop" if busy else ""],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert host.stdout is not None
    pids = json.loads(await asyncio.to_thread(host.stdout.readline))
    assert len(pids) == 2 and all(alive(pid) for pid in pids)
    host.kill()
    host.wait()
    host.stdout.close()
    assert [await gone(pid) for pid in pids] == [True, True]


async def test_an_unused_socket_ends_its_process() -> None:
    process = Process(sys.executable)
    process.socket.close()
    assert await gone(process.pid)
    process.kill()


async def test_any_suite_can_be_had_isolated_by_name() -> None:
    suite = registry.create("isolated:household", max_steps=2)
    assert isinstance(suite, IsolatedSuite) and suite.name == "household"
    environment = await suite.create()
    first = suite.tasks(Split.LEARN, 1)[0]
    observation = await environment.reset(first)
    actions = suite.oracle().solution(first, observation)
    assert actions == registry.create("household").oracle().solution(first, observation)
    results = [await environment.step(Action(text="look")) for _ in range(2)]
    assert results[-1].truncated
    await suite.stop()
    with pytest.raises(SettingsError, match="unknown suite"):
        registry.create("isolated:nothing")


async def test_speed_is_far_beyond_what_a_model_needs(suite: IsolatedSuite) -> None:
    environment = await suite.create()
    await environment.reset(task())
    started = time.perf_counter()
    for _ in range(300):
        await environment.step(Action(text="x"))
    rate = 300 / (time.perf_counter() - started)
    print(f"{rate:,.0f} steps/s over the socket")  # noqa: T201
    assert rate > 50  # about 3,000 on a quiet machine


def test_an_option_must_be_told_as_json() -> None:
    with pytest.raises(SettingsError):
        IsolatedSuite(LeverSuite(), "x:y", {"templates": object()})


def test_only_a_suite_with_an_oracle_has_one() -> None:
    assert not hasattr(levers(), "oracle")
    with contextlib.closing(registry.create("isolated:household").oracle()) as oracle:
        assert hasattr(oracle, "secrets")
    assert not hasattr(ProcessOracle, "secrets")
