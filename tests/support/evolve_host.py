"""A process that runs the real command line again and again, each time in a fork, so that a test that kills and resumes
pays for the heavy imports once. Requests and replies are lines of JSON:

    {"args": [...], "out": FILE, "log": FILE, "trace": FILE, "kill": {...}, "moment": {...}}
    {"pid": 123}, and when it has ended {"code": 0, "orphans": []}

`kill`, {"when": "before" or "after", "write": REGEX, "nth": 1}, is a SIGKILL by its own hand at a write to the store:
just before its transaction, or just after. `moment` is one at some moment of a stretch of work: see `moments`. Both may
be missing, as may `env`, variables to set. `orphans` are the command lines of what the command had started and what
still ran `PATIENCE` seconds after its end; they are ended then.
"""

import ctypes
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.levers import LOG, LeverSuite
from tests.support.moments import Watch
from wisen.core.store.base import StoreBase
from wisen.environments import registry

HEAVY = (
    "chromadb langgraph.graph sentence_transformers torch transformers.models.llama matplotlib.pyplot "
    "wisen.app.cli wisen.app.commands.evolve wisen.app.report wisen.evolution.evolve wisen.models.local "
    "wisen.trainers.trainer scipy.stats statsmodels.stats.proportion"
)
PATIENCE = 5.0  # seconds
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: who loses its parent below becomes this process's child


def main() -> None:
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    for name in HEAVY.split():
        __import__(name)
    sys.stdout.write(json.dumps({"threads": len(os.listdir("/proc/self/task"))}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(request)
        _say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        _say({"code": os.waitstatus_to_exitcode(status), "orphans": _orphans()})


def _orphans() -> list[str]:
    """Wait for what a command left running; what does not end by itself."""
    deadline = time.monotonic() + PATIENCE
    while left := _children():
        if time.monotonic() > deadline:
            lines = [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:200] for pid in left]
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return lines
        time.sleep(0.02)
    return []


def _children() -> list[int]:
    """This process's children that run; those that have ended are put to rest."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended just now
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append(int(folder.name))
    return found


def _say(reply: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def _run(request: dict[str, Any]) -> None:
    """In the fork: never returns."""
    code: Any = 70
    try:
        out = os.open(request["out"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ[LOG] = request["log"]
        os.environ.update(request.get("env", {}))
        _offer_levers()
        Watch(Path(request["trace"]), request.get("moment")).start()
        if request.get("kill"):
            _kill_at(**request["kill"])
        sys.argv = ["wisen", *request["args"]]
        from wisen.app.cli import main as command

        command()
        code = 0
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code))


def _offer_levers() -> None:
    known = registry.create

    def create(name: str, **options: Any) -> Any:
        return LeverSuite(**options) if name == LeverSuite.name else known(name, **options)

    registry.create = create


def _kill_at(when: str, write: str, nth: int) -> None:
    whole = StoreBase._write
    left = nth

    def due(doing: str, moment: str) -> None:
        nonlocal left
        if moment == when and re.fullmatch(write, doing):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def _write(self: StoreBase, doing: str) -> Iterator[Any]:
        due(doing, "before")
        with whole(self, doing) as connection:
            yield connection
        due(doing, "after")

    StoreBase._write = _write  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
