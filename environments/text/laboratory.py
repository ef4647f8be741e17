"""ScienceWorld's simulator in its Java machine. Blocks while it works."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from wisen.core.errors import EnvironmentFault
from wisen.core.records import Task

# The simulator iterates over sets of objects that Java orders by where they lie in memory: with one hash for all, the
# order is that of their making, and an episode is the same each time. Memory: all thirty experiments were solved in it.
JAVA_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions -XX:+UnlockExperimentalVMOptions -XX:hashCode=2 -Xmx512m -XX:+UseSerialGC"
)


class Laboratory:
    """The simulator in its Java machine. `score` is 0 to 100; below 0 the experiment has failed."""

    def __init__(self) -> None:
        """Raises `EnvironmentFault` where Java does not start."""
        from scienceworld import ScienceWorldEnv

        try:
            with _variable("JAVA_TOOL_OPTIONS", JAVA_OPTIONS):
                self._env = ScienceWorldEnv("")
        except Exception as error:  # py4j's own, or what it makes of Java's silence
            raise EnvironmentFault(f"ScienceWorld did not start: {error}", "is Java (8 or later) installed?") from error
        self._server: Any = self._env.server

    def load(self, task: Task, *, solve: bool = False) -> str:
        """Set the experiment up; returns its description."""
        params = task.params
        self._env.load(params["experiment"], params["variation"], params["simplifications"], generateGoldPath=solve)
        self._server.reset()
        return " ".join(self._env.get_task_description().split())

    def act(self, command: str) -> str:
        # The package's own step() also lists every valid action, which takes ten times as long.
        return _lines(str(self._server.step(command)))

    @property
    def score(self) -> int:
        return round(100 * self._server.getScore())

    @property
    def completed(self) -> bool:
        return bool(self._server.getCompleted())

    def around(self) -> str:
        look, hands = self._server.freeActionLook(), self._server.freeActionInventory()
        return f"{_lines(str(look))}\n{_lines(str(hands))}"

    def valid(self) -> list[str]:
        """All valid actions, sorted: 250 to 3,000, and slow."""
        return sorted(set(self._env.get_valid_action_object_combinations()))

    def solution(self) -> list[str]:
        """The simulator's own. Only after a load that was told to solve."""
        return self._env.get_gold_action_sequence()

    def close(self) -> None:
        with suppress(Exception):  # whatever its Java machine was at: it ends with this process at the latest
            self._env.close()


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Sets it for programs that are started meanwhile; what it held stays before it."""
    before = os.environ.get(name)
    os.environ[name] = f"{before} {value}" if before else value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _lines(text: str) -> str:
    return "\n".join(line.replace("\t", "  ").rstrip() for line in text.strip().splitlines() if line.strip())
