"""Any suite of ours as a gymnasium environment of texts.

    import gymnasium
    env = gymnasium.make("wisen.environments.plugs.gym_env:wisen/Suite-v0", suite="code-repair")

The observation is a text: the instruction, what is seen, and the admissible actions if there are any. An action is a
text too, of an admissible action or of a call such as `search(query="red")`. `info` holds the rest by name.
"""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import gymnasium
import numpy as np
from gymnasium.spaces import Space

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.protocols import Environment, Suite
from wisen.core.records import JSON, Observation, Split, StepResult, Task
from wisen.environments import registry
from wisen.environments.plugs.spoken import as_action, task_of_seed

ID = "wisen/Suite-v0"
DRAWN_SEEDS = 100_000
T = TypeVar("T")


class AnyText(Space[str]):
    """All texts. A sample is one of the admissible actions at the moment, where there are any."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        self.offered: tuple[str, ...] = ()
        super().__init__(None, str, seed)

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        if not self.offered:
            return "wait"
        return self.offered[int(self.np_random.integers(len(self.offered)))]

    def contains(self, x: Any) -> bool:
        return isinstance(x, str)

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "AnyText()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyText)

    __hash__ = None  # type: ignore[assignment]


class GymEnv(gymnasium.Env[str, str]):
    """suite: a name, with its options, or a suite that was made. split: whose tasks a seed names.

    `reset(seed=7)` plays the task that 7 names, `reset(options={"task": task})` that one, and a bare `reset()` draws a
    seed. Raises `EnvironmentFault` where the environment is broken; an action that cannot be done is a step.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}

    def __init__(
        self,
        suite: str | Suite,
        *,
        split: str = "learn",
        options: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ) -> None:
        if split not in Split.__members__.values():
            raise SettingsError(f"there is no split {split!r}", f"one of {', '.join(Split)}")
        self._suite = registry.create(suite, **(options or {})) if isinstance(suite, str) else suite
        self._split = Split(split)
        self.action_space = AnyText()
        self.observation_space = AnyText()
        self.render_mode = render_mode
        self._loop: asyncio.AbstractEventLoop | None = None
        self._environment: Environment | None = None
        self._seen: Observation | None = None
        self._task: Task | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        task = (options or {}).get("task")
        if not isinstance(task, Task):
            number = int(self.np_random.integers(DRAWN_SEEDS)) if seed is None else seed
            task = task_of_seed(self._suite, self._split, number)
        if task is None:
            raise EnvironmentFault(f"{self._suite.name} has no tasks to {self._split}")
        if self._environment is None:
            self._environment = self._wait(self._made())
        self._task = task
        self._seen = self._wait(self._environment.reset(task))
        return self._text(), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if self._seen is None or self._environment is None:
            raise EnvironmentFault("no episode is running", "call reset first")
        result = self._wait(self._environment.step(as_action(str(action), self._seen)))
        self._seen = result.observation
        return self._text(), result.reward, result.terminated, result.truncated, self._info(result)

    def render(self) -> str | None:
        return self._text() if self.render_mode == "ansi" and self._seen else None

    def close(self) -> None:
        loop, self._loop = self._loop, None
        if loop is None:
            return
        environment, self._environment, self._seen = self._environment, None, None
        try:
            if environment is not None:
                _wait(loop, environment.close())
            _wait(loop, self._suite.stop())
        finally:
            loop.call_soon_threadsafe(loop.stop)

    async def _made(self) -> Environment:
        await self._suite.start()
        return await self._suite.create()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it in a loop of this environment's own, so that it works within another loop too (a notebook's)."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_run, args=(self._loop,), name="wisen gym", daemon=True).start()
        return _wait(self._loop, work)

    def _text(self) -> str:
        assert self._seen is not None
        self.action_space.offered = self._seen.actions  # type: ignore[attr-defined]
        actions = "\n".join(["You can:", *(f"- {action}" for action in self._seen.actions)])
        parts = [self._seen.instruction, self._seen.text, actions if self._seen.actions else ""]
        return "\n\n".join(part for part in parts if part)

    def _info(self, result: StepResult | None = None) -> JSON:
        assert self._seen is not None and self._task is not None
        info: JSON = {"task_id": self._task.id, **self._seen.model_dump(mode="json", exclude={"artifacts"})}
        if result is not None:
            info |= {"success": result.success, "cost": result.cost, "violation": result.violation, **result.info}
        return info


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _wait(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run_coroutine_threadsafe(work, loop).result()


if ID not in gymnasium.registry:
    gymnasium.register(id=ID, entry_point=f"{__name__}:{GymEnv.__name__}")
