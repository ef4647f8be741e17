"""The whole loop through the real command line, small: real store, index, embedder, backbone and training on a suite of
levers. It is repeatable, it may be killed at any moment, and it never does anything twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.memory.bank import Bank

ROOT = Path(__file__).parents[2]
SETTINGS = """
seed = 2
suite = "levers"
workers = 4
threads = 1
tiny = {vocab_size = 300, hidden_size = 32, layers = 1, heads = 2, feed_forward = 64, context = 1024}
warmup = {pages = 24, threads = 1}
collect = {first = 6, per_template = 4, weak_extra = 2}
train = {tokens = 30000, most_epochs = 10, threads = 1, loop = {learning_rate = 5e-3}}
gate = {per_template = 5, alpha = 0.98, uses = 2, resamples = 200}
report = {per_template = 3}
"""
pytestmark = pytest.mark.timeout(300)


class Host:
    """`tests/support/evolve_host.py` as a process."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._running = folder, False
        self.config = folder / "levers.toml"
        self.config.write_text(SETTINGS)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WISEN_")}
        environment["OPENBLAS_NUM_THREADS"] = "1"  # numpy would start threads at import, and threads do not fork
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.evolve_host"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @cached_property
    def threads(self) -> int:
        """How many threads it has before it forks: one, or its forks would be broken."""
        return int(self._reply()["threads"])

    def start(self, *args: str, kill: dict[str, Any] | None = None) -> int:
        """Start a command; its process id."""
        assert self.threads == 1 and self._process.stdin
        if self._running:  # a test failed and left it
            self.code()
        self.out.unlink(missing_ok=True)
        self._running = True
        request = {"args": args, "out": str(self.out), "log": str(self.log), "kill": kill}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._reply()["pid"])

    def code(self) -> int:
        """Wait for the command's end. Killed by signal n: -n."""
        self._running = False
        return int(self._reply()["code"])

    def evolve(self, root: Path, *args: str, cycles: int = 2, kill: dict[str, Any] | None = None) -> int:
        self.begin(root, *args, cycles=cycles, kill=kill)
        return self.code()

    def begin(self, root: Path, *args: str, cycles: int = 2, kill: dict[str, Any] | None = None) -> int:
        common = ("evolve", "--workspace", str(root), "--config", str(self.config), "--cycles", str(cycles))
        return self.start(*common, *args, kill=kill)

    @property
    def out(self) -> Path:
        return self._folder / "out.txt"

    @property
    def log(self) -> Path:
        return self._folder / "episodes.txt"

    def said(self) -> str:
        return self.out.read_text() if self.out.exists() else ""

    def played(self) -> int:
        """Episodes that began, in all processes so far."""
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout
        return dict(json.loads(self._process.stdout.readline()))


@dataclass(frozen=True)
class Result:
    """All that a run leaves which must not depend on how often it was stopped."""

    trajectories: dict[str, str]
    recalls: dict[str, str]
    items: dict[str, str]
    weights: dict[str, str]
    gates: list[str]
    releases: list[tuple[str, str]]
    present: str
    report: dict[str, Any]


TIMES = {"seconds", "command", "versions"}


def result(root: Path) -> Result:
    workspace = Workspace(root)
    with Store.open(workspace.store_url) as store:
        bank = Bank(store).snapshot()
        present = store.current_release()
        assert present
        trajectories = store.trajectories()
        recalls = [recall.model_dump(mode="json", exclude={"id"}) for recall in store.recalls()]
        kept = Result(
            trajectories={one.id: one.model_dump_json() for one in trajectories},
            recalls={recall["trajectory_id"]: json.dumps(recall) for recall in recalls},
            items={key: f"{bank.statuses[key]} {item.model_dump_json()}" for key, item in bank.items.items()},
            weights={one.name: one.sha256 for one in store.checkpoints()},
            gates=[gate.model_dump_json() for gate in store.gates()],
            releases=[(event.kind, event.release_id) for event in store.release_events()],
            present=present.name,
            report=reported(root),
        )
        assert len(kept.trajectories) == len(trajectories) and len(kept.recalls) == len(recalls)
    return kept


def reported(root: Path) -> dict[str, Any]:
    (path,) = root.glob("runs/*/report.json")
    report = json.loads(path.read_text())
    for point in report["curve"]:
        point.pop("seconds")
    return {key: value for key, value in report.items() if key not in TIMES}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("host"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def undisturbed(host: Host, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    root = tmp_path_factory.mktemp("undisturbed")
    assert host.evolve(root) == 0, host.said()
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
    same(result(tmp_path / "same"), undisturbed[1])
    assert host.evolve(tmp_path / "other", "--seed", "3", cycles=0) == 0, host.said()
    other = result(tmp_path / "other")
    assert not set(other.trajectories) & set(undisturbed[1].trajectories)
    assert all(other.weights[name] != undisturbed[1].weights[name] for name in other.weights)


def same(one: Result, other: Result) -> None:
    """Field by field, so that a difference is found in the smallest place."""
    assert set(one.trajectories) == set(other.trajectories)
    for name in Result.__dataclass_fields__:
        assert getattr(one, name) == getattr(other, name), name


def await_line(host: Host, text: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while text not in host.said():
        assert time.monotonic() < deadline, f"{text!r} was not said in {seconds} s:\n{host.said()}"
        time.sleep(0.01)


def test_a_run_that_is_killed_and_stopped_again_and_again_comes_to_the_same(
    host: Host, undisturbed: tuple[Path, Result], tmp_path: Path
) -> None:
    """SIGKILL where the store and the files beside it could part; SIGINT and SIGTERM in between."""

    def killed_at(when: str, write: str) -> None:
        code = host.evolve(tmp_path, kill={"when": when, "write": write, "nth": 1})
        assert code == -signal.SIGKILL, host.said()

    def stopped_at(line: str, number: signal.Signals) -> None:
        pid = host.begin(tmp_path)
        await_line(host, line)
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
    same(result(tmp_path), undisturbed[1])
    assert not list(tmp_path.glob("weights/*.part"))


def test_a_run_that_is_killed_at_any_moment_comes_to_the_same(
    host: Host, undisturbed: tuple[Path, Result], tmp_path: Path
) -> None:
    for _ in range(3):
        pid = host.begin(tmp_path)
        time.sleep(random.uniform(0.3, 2.5))
        with suppress(ProcessLookupError):  # it was faster
            os.kill(pid, signal.SIGKILL)
        assert host.code() in (0, -signal.SIGKILL), host.said()
    assert host.evolve(tmp_path) == 0, host.said()
    same(result(tmp_path), undisturbed[1])


def test_a_second_process_is_refused(host: Host, undisturbed: tuple[Path, Result]) -> None:
    root, before = undisturbed
    with Workspace(root).lock():
        assert host.evolve(root) == 2
    assert f"another wisen process (pid {os.getpid()})" in host.said() and "Traceback" not in host.said()
    assert result(root) == before


def test_other_settings_are_refused_in_the_same_workspace(host: Host, undisturbed: tuple[Path, Result]) -> None:
    root, before = undisturbed
    assert host.evolve(root, "--set", "gate.alpha=0.5", "--seed", "9") == 2
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
