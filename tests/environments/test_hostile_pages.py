"""Pages that hang, leave, close, ask or break, and a browser that dies: the episode fails with the reason, the next one
works, and nothing is left running."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.corridor import RELEASE
from tests.support.hostile_pages import HostilePages
from wisen.agent.judge import choose_judge
from wisen.agent.rollouts import LocalRollouts
from wisen.core.errors import EnvironmentFault
from wisen.core.protocols import Capability
from wisen.core.records import Action, EpisodeEnd, EpisodeRequest, Phase, Split, Trajectory
from wisen.environments.web import miniwob
from wisen.models.scripted import ScriptedModel

pytestmark = pytest.mark.browser
GO = 'click button "Go"'
FAILED, TERMINATED, REPEATED = EpisodeEnd.FAILED, EpisodeEnd.TERMINATED, EpisodeEnd.REPEATED


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(miniwob, "PATIENCE", 4.0)
    monkeypatch.setattr(miniwob, "TIMEOUT_MS", 2_000)


@pytest.fixture
def silent() -> AsyncIterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def played(suite: HostilePages, *, workers: int = 1) -> dict[str, Trajectory]:
    """One episode on each page of the suite, by page: press Go, then whatever is offered first."""
    model = ScriptedModel(lambda request: request.options[0], capabilities=[Capability.CHOICE])
    requests = [
        EpisodeRequest(
            trajectory_id=f"traj-{number}",
            run_id="run-1",
            task=task,
            phase=Phase.COLLECT,
            release=RELEASE,
            max_steps=2,
            max_seconds=30,
        )
        for number, task in enumerate(suite.tasks(Split.LEARN, 1))
    ]
    rollouts = LocalRollouts(suite, model, choose_judge(environment_decides=True), workers=workers)
    found = [episode.trajectory async for episode in rollouts.run(requests)]
    return {str(one.task.params["page"]) + f" {one.task.seed}": one for one in found}


async def test_each_fails_with_its_reason_and_the_next_works(tmp_path: Path, silent: int) -> None:
    expected: Sequence[tuple[str, EpisodeEnd, str]] = (
        ("hangs", FAILED, "did not answer within 4 s"),
        ("hangs-at-once", FAILED, "did not start: "),
        ("never-loads", FAILED, "did not start: "),
        ("is-empty", FAILED, "core is not defined"),
        ("leaves", FAILED, "the page broke: "),
        ("wipes", FAILED, "did not answer within 4 s"),
        ("closes", FAILED, ""),  # closed, or what it left behind offers nothing
        ("alerts", TERMINATED, ""),  # dismissed, as by a person who presses Escape
        ("asks-before-leaving", REPEATED, ""),
        ("throws", REPEATED, ""),
        ("reloads", REPEATED, ""),
        ("halves-a-letter", EpisodeEnd.STEP_LIMIT, ""),
    )
    others = children()
    suite = HostilePages(tmp_path, [page for name, *_ in expected for page in (name, "good")], silent=silent)
    await suite.start()
    try:
        found = await played(suite, workers=4)
    finally:
        await suite.stop()
    for number, (name, end, why) in enumerate(expected):
        bad, good = found[f"{name} {2 * number}"], found[f"good {2 * number + 1}"]
        assert (bad.end, bad.success) == (end, name == "alerts"), (name, bad.error)
        assert why in bad.error and "\n" not in bad.error, (name, bad.error)
        assert bool(bad.error) == (end is FAILED)
        assert bad.model_dump_json()  # it can be written down
        assert good.success is True, (name, good.error)
    assert children() <= others


@pytest.mark.parametrize("victim", ["chromium", "driver"])
async def test_a_browser_that_is_killed_in_the_middle_is_replaced(tmp_path: Path, victim: str) -> None:
    others = children()  # servers that other tests have started
    suite = HostilePages(tmp_path, ["good", "good"])
    await suite.start()
    try:
        first, second = suite.tasks(Split.LEARN, 1)
        environment = await suite.create()
        await environment.reset(first)
        (driver,) = children() - others
        os.kill(driver if victim == "driver" else browser_below(driver), signal.SIGKILL)
        with pytest.raises(EnvironmentFault, match="the page broke"):
            await environment.step(Action(text=GO))
        async with asyncio.timeout(10):
            await environment.close()
        fresh = await suite.create()
        await fresh.reset(second)
        assert (await fresh.step(Action(text=GO))).success is True
    finally:
        await suite.stop()
    assert children() <= others


async def test_windows_that_a_task_opened_are_gone_in_the_next(tmp_path: Path) -> None:
    suite = HostilePages(tmp_path, ["good"])
    await suite.start()
    try:
        (task,) = suite.tasks(Split.LEARN, 1)
        environment = await suite.create()
        await environment.reset(task)
        await environment._context.new_page()
        await environment.reset(task)
        assert len(environment._context.pages) == 1
        assert (await environment.step(Action(text=GO))).success is True
    finally:
        await suite.stop()


def browser_below(driver: int) -> int:
    """The browser's main process; some systems start it from a shell script that waits for it."""
    found = driver
    while below := [pid for pid in children(found) if "--remote-debugging-pipe" in arguments(pid)]:
        (found,) = below
    return found


def arguments(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def children(parent: int = 0) -> set[int]:
    """Running processes started by this one, or by another."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, above = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(above) == (parent or os.getpid()) and state != "Z":
                found.add(int(folder.name))
    return found
