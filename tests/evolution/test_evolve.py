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
suite = "levers"
workers = 4
threads = 1
tiny = {vocab_size = 300, hidden_size = 32, layers = 1, heads = 2, feed_forward = 64, context = 1024}
warmup = {pages = 24, threads = 1}
collect = {first = 6, per_template = 4, weak_extra = 2}
train = {epochs = 1, threads = 1}
gate = {per_template = 5, alpha = 0.4, uses = 2, resamples = 200}
report = {per_template = 3}
"""
pytestmark = pytest.mark.timeout(300)


class Host:
    """`tests/support/evolve_host.py` as a process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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
        request = {"args": args, "out": str(self.out), "log": str(self.log), "kill": kill}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._reply()["pid"])

    def code(self) -> int:
        """Wait for the command's end. Killed by signal n: -n."""
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
        return self.out.read_text()

    def played(self) -> int:
        """Episodes that began, in all processes so far."""
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=30)

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
    return root, result(root)


def test_probe(host, undisturbed):
    root, r = undisturbed
    print(host.said())
    print(len(r.trajectories), len(r.items), r.weights, r.releases, r.present, host.played())
    t = time.time(); print(host.evolve(root), time.time() - t)
    t = time.time(); print(host.evolve(root.parent/"x", "--set", "workers=1"), time.time() - t)
    x = result(root.parent/"x")
    for f in r.__dataclass_fields__: print(f, getattr(x,f)==getattr(r,f))
