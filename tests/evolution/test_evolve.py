"""The whole loop through the real command line, small: real store, index, embedder, backbone and training on a suite of
levers. It is repeatable, it may be killed at any moment, and it never does anything twice."""

import json
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import kills
from tests.evolution.test_memory_only import MODEL, Curating
from tests.support.evolving import Host, Result, Trace, differing, read_trace, result
from tests.support.fake_openai import KEY
from wisen.core.records import LedgerEvent
from wisen.core.store import Store
from wisen.core.workspace import Workspace

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("host"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def stretches(undisturbed: tuple[Path, Result]) -> Trace:
    """What the undisturbed run told while it worked."""
    return read_trace(undisturbed[0] / "trace.txt")


@pytest.fixture(scope="module")
def undisturbed(host: Host, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    root = tmp_path_factory.mktemp("undisturbed")
    assert host.evolve(root) == 0, host.said()
    shutil.copyfile(host.trace, root / "trace.txt")
    assert host.played() == len(result(root).trajectories)
    return root, result(root)


def test_it_did_all_that_a_run_does(undisturbed: tuple[Path, Result]) -> None:
    _, whole = undisturbed
    assert set(whole.weights) == {"base", "warm", "c1", "c2"} and len(set(whole.weights.values())) == 4
    assert len(whole.items) > 0 and len(whole.gates) == 2
    assert [arm["name"] for arm in whole.report["arms"]] == [
        "random",
        "untrained",
        "untrained-memory",
        "trained",
        "release",
    ]
    phases = [json.loads(body)["phase"] for body in whole.trajectories.values()]
    assert set(phases) == {"collect", "gate", "report"}
    assert [point["cycle"] for point in whole.report["curve"]] == [1, 2]


def test_the_seed_decides_and_the_number_of_workers_does_not(
    host: Host, undisturbed: tuple[Path, Result], tmp_path: Path
) -> None:
    assert host.evolve(tmp_path / "same", "--set", "workers=1") == 0, host.said()
    assert not differing(result(tmp_path / "same"), undisturbed[1])
    assert host.evolve(tmp_path / "other", "--seed", "3", cycles=0) == 0, host.said()
    other = result(tmp_path / "other")
    assert not set(other.trajectories) & set(undisturbed[1].trajectories)
    assert all(other.weights[name] != undisturbed[1].weights[name] for name in other.weights)


def test_a_run_that_is_killed_and_stopped_again_and_again_comes_to_the_same(
    host: Host, undisturbed: tuple[Path, Result], tmp_path: Path
) -> None:
    """SIGKILL where the store and the files beside it could part; SIGINT and SIGTERM in between."""

    def killed_at(when: str, write: str) -> None:
        code = host.evolve(tmp_path, kill={"when": when, "write": write, "nth": 1})
        assert code == -signal.SIGKILL, host.said()

    def stopped_at(line: str, number: signal.Signals) -> None:
        pid = host.begin(tmp_path)
        host.await_line(line)
        os.kill(pid, number)
        assert host.code() == 128 + number, host.said()
        assert "goes on from there" in host.said() and "Traceback" not in host.said()

    killed_at("after", "release r0")  # registered, and not yet the present one
    stopped_at("cycle 1: collecting", signal.SIGINT)
    killed_at("before", "mark cycle/1/bank")  # the bank has the items, the run does not know it
    stopped_at("cycle 1: training", signal.SIGTERM)
    killed_at("before", "checkpoint c1")  # the weights are written, the store does not know them
    killed_at("after", "gate .*")  # decided and its consequence drawn, the cycle not yet done
    assert host.evolve(tmp_path) == 0, host.said()
    assert not differing(result(tmp_path), undisturbed[1])
    assert not list(tmp_path.glob("weights/*.part"))


def test_a_run_that_is_killed_at_any_moment_comes_to_the_same(
    host: Host, undisturbed: tuple[Path, Result], stretches: Trace, tmp_path: Path
) -> None:
    """A short `benchmarks/kills.py`: a moment of each of three phases, all of them drawn."""
    tally = kills.Tally()
    kills.disturb(host, tmp_path / "run", kills.spans(stretches), undisturbed[1], tally, random.Random(), kills=3)
    assert tally.amiss == []


def test_a_schedule_that_is_killed_goes_on_with_its_turn(host: Host, tmp_path: Path) -> None:
    """SIGKILL in its collection, its training and its gate, then SIGTERM; a turn is due each second all the while."""
    small = ("collect.first=3", "gate.per_template=2", "report.per_template=1", "train.tokens=8000")
    args = ["schedule", "--workspace", str(tmp_path), "--config", str(host.config), "--cron", "* * * * * *"]
    args += ["--turns", "1", *(part for one in small for part in ("--set", one))]
    before = host.played()
    for write in ("mark cycle/1/bank", "checkpoint c1", "gate .*"):
        host.start(*args, kill={"when": "before", "write": write, "nth": 1})
        assert host.code() == -signal.SIGKILL, host.said()
        (turn,) = json.loads((tmp_path / "schedule.json").read_text())["turns"]
        assert turn["cycle"] == 1 and turn["end"] is None
    pid = host.start(*args)
    host.await_line("cycle 1")
    os.kill(pid, signal.SIGTERM)
    assert host.code() == 128 + signal.SIGTERM and "goes on with it" in host.said(), host.said()
    host.start(*args)
    assert host.code() == 0 and "the schedule ends: 1 turns are done" in host.said(), host.said()
    whole = result(tmp_path)
    again = host.played() - before - len(whole.trajectories)
    assert 0 <= again <= 4 and len(whole.gates) == 1  # each worker's episode that SIGTERM came into
    (turn,) = json.loads((tmp_path / "schedule.json").read_text())["turns"]
    assert (turn["number"], turn["cycle"], turn["end"]) == (1, 1, "done")


@pytest.mark.timeout(900)  # it starts four processes that import litellm
def test_a_curation_that_is_killed_goes_on_where_it_stood(host: Host, tmp_path: Path) -> None:
    """SIGKILL just before and just after the ledger takes what came of a batch: none is lost, and none read twice."""

    def evolve(name: str, **how: Any) -> int:
        small = ("collect.first=2", "gate.per_template=1", "report.per_template=1")
        args = ("--model", MODEL, "--api-base", server.url, "--distiller", "ace")
        args += tuple(part for one in small for part in ("--set", one))
        return host.evolve(tmp_path / name, *args, cycles=1, env={"OPENAI_API_KEY": KEY}, **how)

    def ledger(name: str) -> tuple[LedgerEvent, ...]:
        with Store.open(Workspace(tmp_path / name).store_url) as store:
            return store.events()

    with Curating() as server:
        assert evolve("whole") == 0, host.said()
        whole = server.asked
        for when in ("before", "after"):
            kill = {"when": when, "write": "the ledger", "nth": 2}
            assert evolve("killed", kill=kill) == -signal.SIGKILL, host.said()
        assert evolve("killed") == 0, host.said()
        assert server.asked - whole == whole + 2  # the two calls of the batch that was not kept
    assert len(ledger("whole")) > 8 and ledger("killed") == ledger("whole")


def _forget_an_episode(store: sqlite3.Connection, root: Path) -> None:
    (lost,) = store.execute("SELECT trajectory_id FROM recalls ORDER BY trajectory_id LIMIT 1").fetchone()
    store.execute("DELETE FROM verdicts WHERE trajectory_id = ?", [lost])
    store.execute("DELETE FROM recalls WHERE trajectory_id = ?", [lost])
    store.execute("DELETE FROM proposals WHERE trajectory_id = ?", [lost])
    store.execute("DELETE FROM trajectories WHERE id = ?", [lost])


def _forget_a_consequence(store: sqlite3.Connection, root: Path) -> None:
    (last,) = store.execute("SELECT max(seq) FROM release_events WHERE kind = 'promoted'").fetchone()
    store.execute("DELETE FROM release_events WHERE seq = ?", [last])


def _cut_weights(store: sqlite3.Connection, root: Path) -> None:
    with (root / "weights/c1/model.safetensors").open("r+b") as file:
        file.truncate(1000)


def _half_a_checkpoint(store: sqlite3.Connection, root: Path) -> None:
    shutil.copytree(root / "weights/c1", root / "weights/c7")
    (root / "weights/c7/card.json").unlink()


def _forget_the_items(store: sqlite3.Connection, root: Path) -> None:
    store.execute("DELETE FROM ledger")


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (_forget_an_episode, "lost: episode"),
        (_forget_a_consequence, "the release was not promoted"),
        (_cut_weights, "c1 is not the folder"),
        (_half_a_checkpoint, "c7 is half-written"),
        (_forget_the_items, "the index holds"),
    ],
)
def test_what_a_kill_could_do_would_be_found(
    undisturbed: tuple[Path, Result], stretches: Trace, tmp_path: Path, harm: Any, found: str
) -> None:
    root = shutil.copytree(undisturbed[0], tmp_path / "copy")
    assert kills.amiss(root, stretches) == []
    with sqlite3.connect(Workspace(root).database) as store:
        harm(store, root)
    assert found in " ".join(kills.amiss(root, stretches))


def test_a_second_process_is_refused(host: Host, undisturbed: tuple[Path, Result]) -> None:
    root, before = undisturbed
    with Workspace(root).lock():
        assert host.evolve(root) == 2
    assert f"another wisen process (pid {os.getpid()})" in host.said() and "Traceback" not in host.said()
    assert result(root) == before


def test_other_settings_are_refused_in_the_same_workspace(host: Host, undisturbed: tuple[Path, Result]) -> None:
    root, before = undisturbed
    assert host.evolve(root, "--set", "gate.alpha=0.4", "--seed", "9") == 2
    assert "other settings (gate, seed)" in host.said() and "Traceback" not in host.said()
    assert result(root) == before


def test_a_finished_run_plays_nothing_again_and_more_cycles_go_on(host: Host, undisturbed: tuple[Path, Result]) -> None:
    root, before = undisturbed
    played = host.played()
    assert host.evolve(root) == 0, host.said()
    assert host.played() == played
    assert result(root) == before
    assert host.evolve(root, cycles=3) == 0, host.said()
    assert host.played() > played
    after = result(root)
    assert after.trajectories.items() > before.trajectories.items()
    assert after.gates[:2] == before.gates and len(after.gates) == 3
    assert set(after.weights) - set(before.weights) == {"c3"}
    assert [point["cycle"] for point in after.report["curve"]] == [1, 2, 3]
    assert after.report["curve"][:2] == before.report["curve"]


def test_a_bank_that_was_set_back_can_still_be_reported_on(host: Host, undisturbed: tuple[Path, Result]) -> None:
    """The release recalls from its own version of the bank, also when the newest one has lost those items."""
    root, _ = undisturbed
    assert host.start("memory", "restore", "0", "--workspace", str(root)) and host.code() == 0, host.said()
    assert host.evolve(root, cycles=3) == 0, host.said()
