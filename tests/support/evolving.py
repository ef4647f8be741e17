"""Runs of `wisen evolve` small enough to be killed and compared: a process that starts them, and what they leave."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.memory.bank import Bank

ROOT = Path(__file__).parents[2]
LEVERS = """
seed = 2
suite = "levers"
workers = 4
threads = 1
backbone = "tiny"
tiny = {vocab_size = 300, hidden_size = 32, layers = 1, heads = 2, feed_forward = 64, context = 1024}
warmup = {pages = 24, threads = 1}
collect = {first = 6, per_template = 4, weak_extra = 2}
train = {tokens = 30000, most_epochs = 10, threads = 1, loop = {learning_rate = 5e-3}}
gate = {per_template = 5, alpha = 0.49, uses = 1, resamples = 200}
report = {per_template = 3}
"""


class Host:
    """`tests/support/evolve_host.py` as a process: starts commands of the real command line, one at a time."""

    def __init__(self, folder: Path, settings: str = LEVERS) -> None:
        self._folder, self._running = folder, False
        self.orphans: list[str] = []  # what the newest command left running when it ended
        self.config = folder / "settings.toml"
        self.config.write_text(settings)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WISEN_")}
        environment["OPENBLAS_NUM_THREADS"] = "1"  # numpy would start threads at import, and threads do not fork
        environment["JE_ARROW_MALLOC_CONF"] = "background_thread:false"  # nor does pyarrow's, where that is installed
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

    def start(self, *args: str, **how: Any) -> int:
        """Start a command; its process id. `how`: see `evolve_host`."""
        assert self.threads == 1 and self._process.stdin
        if self._running:  # a test failed and left it
            self.code()
        self.out.unlink(missing_ok=True)
        self.trace.unlink(missing_ok=True)
        self._running = True
        request = {"args": args, "out": str(self.out), "log": str(self.log), "trace": str(self.trace), **how}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._reply()["pid"])

    def await_line(self, text: str, seconds: float = 120) -> None:
        """Wait until the command has said it."""
        deadline = time.monotonic() + seconds
        while text not in self.said():
            assert time.monotonic() < deadline, f"{text!r} was not said in {seconds} s:\n{self.said()}"
            time.sleep(0.01)

    def code(self) -> int:
        """Wait for the command's end, and for that of all it started. Killed by signal n: -n."""
        self._running = False
        ended = self._reply()
        self.orphans = list(ended["orphans"])
        return int(ended["code"])

    def evolve(self, root: Path, *args: str, cycles: int = 2, **how: Any) -> int:
        self.begin(root, *args, cycles=cycles, **how)
        return self.code()

    def begin(self, root: Path, *args: str, cycles: int = 2, **how: Any) -> int:
        common = ("evolve", "--workspace", str(root), "--config", str(self.config), "--cycles", str(cycles))
        return self.start(*common, *args, **how)

    @property
    def out(self) -> Path:
        return self._folder / "out.txt"

    @property
    def log(self) -> Path:
        return self._folder / "episodes.txt"

    @property
    def trace(self) -> Path:
        return self._folder / "trace.txt"

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
    """All that a finished run leaves which must not depend on how often it was stopped."""

    trajectories: dict[str, str]
    recalls: dict[str, str]
    ledger: list[str]
    items: dict[str, str]
    indexed: dict[str, list[float]]
    weights: dict[str, str]
    folders: list[str]
    gates: list[str]
    releases: list[tuple[str, str]]
    present: str
    report: dict[str, Any]


def result(root: Path) -> Result:
    """Raises `AssertionError` where a record is there twice."""
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
            ledger=[event.model_dump_json() for event in store.events()],
            items={key: f"{bank.statuses[key]} {item.model_dump_json()}" for key, item in bank.items.items()},
            indexed=indexed(root),
            weights={one.name: one.sha256 for one in store.checkpoints()},
            folders=sorted(path.name for path in workspace.weights.iterdir()),
            gates=[gate.model_dump_json() for gate in store.gates()],
            releases=[(event.kind, event.release_id) for event in store.release_events()],
            present=present.name,
            report=reported(root),
        )
        assert len(kept.trajectories) == len(trajectories) and len(kept.recalls) == len(recalls)
    return kept


def differing(one: Result, other: Result) -> list[str]:
    """The names of the fields that are not the same."""
    return [field.name for field in fields(Result) if getattr(one, field.name) != getattr(other, field.name)]


def indexed(root: Path) -> dict[str, list[float]]:
    """The vector of every item in the workspace's index, rounded to six digits."""
    from wisen.memory.index import ChromaIndex
    from wisen.models.embedder import MiniLM

    workspace = Workspace(root)
    if workspace.index_url is None and not (workspace.index / "chroma.sqlite3").exists():
        return {}

    async def read() -> dict[str, list[float]]:
        index = ChromaIndex.of(workspace, MiniLM())
        try:
            ids = sorted(await index.ids())
            pages = index._open().vectors(ids)
            return {
                key: [round(float(x), 6) for x in vector]
                for keys, vectors in pages
                for key, vector in zip(keys, vectors, strict=True)
            }
        finally:
            await index.close()

    return asyncio.run(read())


TIMES = {"seconds", "command", "versions"}


def reported(root: Path) -> dict[str, Any]:
    """The run's report without what differs from one machine, or one minute, to the next."""
    (path,) = root.glob("runs/*/report.json")
    report = json.loads(path.read_text())
    for point in report["curve"]:
        point.pop("seconds")
    return {key: value for key, value in report.items() if key not in TIMES}


@dataclass(frozen=True)
class Stretch:
    """A stretch of work as a process told of it. `nth` counts those of that phase and cycle from 1; `seconds` is None
    where the process died in it; `alone` is how long it took until another began within it, if one did."""

    phase: str
    cycle: int
    nth: int
    seconds: float | None
    alone: float | None = None


@dataclass(frozen=True)
class Trace:
    """What a process told before it died or ended: its stretches, and the writes to the store that had returned."""

    stretches: tuple[Stretch, ...]
    written: tuple[str, ...]

    @property
    def died_in(self) -> str:
        """The innermost phase that had not ended."""
        return next((one.phase for one in reversed(self.stretches) if one.seconds is None), "between")


def read_trace(path: Path) -> Trace:
    """Read what `tests.support.moments` wrote; a last line that was cut is left out."""
    stretches: list[Stretch] = []
    begun: list[tuple[int, float]] = []
    written: list[str] = []
    for sign, clock, *words in _lines(path):
        if sign == "+":
            written.append(" ".join(words))
        elif sign == ">":
            phase, cycle, nth = words
            if begun and stretches[begun[-1][0]].alone is None:
                place, since = begun[-1]
                stretches[place] = replace(stretches[place], alone=float(clock) - since)
            begun.append((len(stretches), float(clock)))
            stretches.append(Stretch(phase, int(cycle), int(nth), None))
        else:
            place, since = begun.pop()
            stretches[place] = replace(stretches[place], seconds=float(clock) - since)
    return Trace(tuple(stretches), tuple(written))


def _lines(path: Path) -> Iterator[Sequence[str]]:
    if path.exists():
        yield from (line.split() for line in path.read_text().split("\n")[:-1])
