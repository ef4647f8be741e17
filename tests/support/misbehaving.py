"""A suite whose actions say what becomes of the process that it runs in, for tests of isolation."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.levers import LeverSuite
from wisen.core.errors import SettingsError
from wisen.core.records import Action, Observation, StepResult, Task


class Misbehaving:
    """Implements `Environment`."""

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        return Observation(instruction="Say exit, loop, divide, object, print or spawn.", text="ready")

    async def step(self, action: Action) -> StepResult:
        info: dict = {}
        match action.text:
            case "exit":
                sys.stderr.write("I cannot go on\n")
                sys.stderr.flush()
                os._exit(3)
            case "loop":
                while True:
                    pass
            case "divide":
                1 / 0  # noqa: B018
            case "object":
                info = {"what": object()}
            case "print":
                sys.stdout.write("noise\n" * 1000)
            case "spawn":
                info = {"pid": subprocess.Popen(["sleep", "600"]).pid}  # noqa: ASYNC220
        return StepResult(observation=Observation(instruction="", text=action.text), info=info)

    async def close(self) -> None: ...


class MisbehavingSuite(LeverSuite):
    async def create(self) -> Misbehaving:  # type: ignore[override]
        return Misbehaving()


class Unready(LeverSuite):
    async def start(self) -> None:
        raise SettingsError("it is not ready", "make it so")
