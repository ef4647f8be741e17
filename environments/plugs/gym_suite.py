"""Environments of gymnasium as a suite, by their ids: those that can be told in words."""

import asyncio
import importlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import JSON, Action, Acts, Observation, Split, StepResult, SuiteCard, Task
from wisen.environments.plugs.threads import OwnThread
from wisen.environments.tasks import FIRST_SEED, refuse_closed
from wisen.environments.tool.calls import shortened

if TYPE_CHECKING:
    import gymnasium

SUITE = "gymnasium"
MOST_SHOWN = 20_000  # characters of an observation
_COLOUR = re.compile(r"\x1b\[[0-9;]+m(.*?)\x1b\[0m", re.DOTALL)
_LISTS = (
    "admissible_commands",
    "actions",
    "valid_actions",
)  # of info, by which text environments name what can be done


class GymSuite:
    """id: an environment's id, or several; `module:id` imports the module that registers it. kwargs: for
    `gymnasium.make`. instruction: what to do, where no observation says it. actions: names for the numbers of a
    discrete action space. success_reward: an episode has succeeded whose last step is paid at least that, unless `info`
    says `success` or `is_success`. seconds: for one call.

    Each episode is `reset(seed=...)` of the task's seed. An environment that draws from elsewhere is not repeatable.
    """

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Any environment of gymnasium that can be told in words.",
        licence="the environment's",
        acts=(Acts.CHOICE, Acts.TEXT),
        reward="as the environment pays",
        success="a last reward of 1, or of the option success_reward",
        extra="gymnasium",
        needs=("the environment's package",),
    )

    def __init__(
        self,
        id: str | Sequence[str],
        kwargs: Mapping[str, Any] | None = None,
        instruction: str = "",
        actions: Sequence[str] = (),
        success_reward: float = 1.0,
        seconds: float = 60.0,
    ) -> None:
        self._ids = (id,) if isinstance(id, str) else tuple(map(str, id))
        if not self._ids or not all(self._ids):
            raise SettingsError(f"{SUITE}: id = {id!r} names no environment", 'write id="FrozenLake-v1"')
        self._kwargs = dict(kwargs or {})
        self._told = Told(instruction, tuple(actions), float(success_reward))
        self._seconds = float(seconds)

    def card(self) -> SuiteCard:
        success = f"a last reward of at least {self._told.success_reward:g}"
        changed = {"summary": f"gymnasium: {', '.join(self._ids)}", "templates": len(self._ids), "success": success}
        return self.about.model_copy(update=changed)

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        version = _gymnasium().__version__
        first = FIRST_SEED[split] + offset
        return tuple(
            Task(
                id=f"{SUITE}/{name}/{seed}",
                suite=SUITE,
                environment=SUITE,
                template_id=f"{SUITE}/{name}",
                split=split,
                seed=seed,
                params={"id": name, "kwargs": self._kwargs},
                version=version,
            )
            for seed in range(first, first + per_template)
            for name in self._ids
        )

    async def start(self) -> None:
        """Raises `SettingsError` for an id that gymnasium does not know."""
        for name in self._ids:
            find(name)

    async def create(self) -> "GymEnvironment":
        def make(task: Task) -> "gymnasium.Env[Any, Any]":
            return made(task.params["id"], task.params["kwargs"])

        return GymEnvironment(make, self._told, seconds=self._seconds)

    async def stop(self) -> None:
        """Nothing is shared."""


class Told:
    """How an environment of gymnasium reads in words. Adapters override what is different in theirs."""

    def __init__(self, instruction: str = "", names: tuple[str, ...] = (), success_reward: float = 1.0) -> None:
        self.instruction, self.names, self.success_reward = instruction, names, success_reward

    def observation(self, env: "gymnasium.Env[Any, Any]", seen: Any, info: Mapping[str, Any]) -> Observation:
        text = shortened(self._text(env, seen), MOST_SHOWN)
        return Observation(instruction=self.instruction, text=text, actions=self._actions(env.action_space, info))

    def action(self, env: "gymnasium.Env[Any, Any]", action: Action) -> Any:
        """What the environment takes. Raises `ValueError` with words for whoever acts."""
        from gymnasium.spaces import Discrete

        space, text = env.action_space, str(action)
        if _speaks(space):
            return text
        if isinstance(space, Discrete) and text in self.names:
            return space.start + self.names.index(text)
        try:
            value = json.loads(text)
            chosen = space.from_jsonable([value])[0]
            if chosen in space and (type(value) is int or not isinstance(space, Discrete)):
                return chosen
        except Exception:
            pass  # gymnasium's spaces raise anything for what they cannot read
        wanted = ", ".join(self.names) or f"JSON of {space}"
        raise ValueError(f"{shortened(text, 80)!r} is no action here; write {shortened(wanted, 300)}")

    def success(self, reward: float, terminated: bool, info: Mapping[str, Any]) -> bool:
        said = info.get("success", info.get("is_success"))
        if said is not None and not isinstance(said, str):
            return bool(said)
        return terminated and reward >= self.success_reward

    def _text(self, env: "gymnasium.Env[Any, Any]", seen: Any) -> str:
        if isinstance(seen, str):
            return seen
        if env.render_mode == "ansi":
            return _COLOUR.sub(r"[\1]", str(env.render()))  # what a terminal shows by colour, in brackets
        return str(seen)

    def _actions(self, space: Any, info: Mapping[str, Any]) -> tuple[str, ...]:
        from gymnasium.spaces import Discrete

        for name in _LISTS:
            listed = info.get(name)
            if isinstance(listed, (list, tuple)) and all(isinstance(one, str) for one in listed):
                return tuple(listed)
        if not isinstance(space, Discrete):
            return ()
        count, start = int(space.n), int(space.start)
        return self.names[:count] or tuple(str(start + number) for number in range(min(count, 200)))


class GymEnvironment:
    """One environment of gymnasium, in a thread of its own or in one that it shares. It is made anew when the next task
    asks for another."""

    def __init__(
        self,
        make: Callable[[Task], "gymnasium.Env[Any, Any]"],
        told: Told,
        *,
        seconds: float,
        thread: OwnThread | None = None,
    ) -> None:
        self._make, self._told, self._seconds = make, told, seconds
        self._thread = thread or OwnThread(SUITE)
        self._shared = thread is not None
        self._env: Any = None
        self._for: JSON | None = None
        self._seen: Observation | None = None  # None: no episode is open
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        refuse_closed(self._closed)
        self._seen = None

        def begin() -> Observation:
            if self._env is None or self._for != task.params:
                self._shut()
                self._env, self._for = self._make(task), task.params
            seen, info = self._env.reset(seed=task.seed)
            return self._told.observation(self._env, seen, info)

        observation = await self._done(begin, f"{task.id} did not start")
        if task.instruction and not observation.instruction:
            observation = observation.model_copy(update={"instruction": task.instruction})
        self._seen = observation
        return observation

    async def step(self, action: Action) -> StepResult:
        if self._seen is None:
            raise EnvironmentFault("no episode is running", "call reset first")
        seen, self._seen = self._seen, None  # until the environment has answered

        def act() -> StepResult:
            try:
                chosen = self._told.action(self._env, action)
            except ValueError as why:
                return _not_done(seen, str(why))
            return self._result(*self._env.step(chosen), instruction=seen.instruction)

        result = await self._done(act, "the environment broke")
        if not (result.terminated or result.truncated):
            self._seen = seen if result.info.get("refused") else result.observation
        return result

    async def close(self) -> None:
        if not self._closed:
            self._closed, self._seen = True, None
            await self._thread.run(self._shut, seconds=self._seconds)
            if not self._shared:
                self._thread.leave()

    def _result(
        self, seen: Any, reward: Any, terminated: Any, truncated: Any, info: Mapping[str, Any], *, instruction: str
    ) -> StepResult:
        paid = float(reward)
        if not math.isfinite(paid):
            raise EnvironmentFault(f"the environment pays {paid}")
        observation = self._told.observation(self._env, seen, info)
        over = bool(terminated or truncated)
        return StepResult(
            observation=observation.model_copy(update={"instruction": observation.instruction or instruction}),
            reward=paid,
            terminated=bool(terminated),
            truncated=bool(truncated) and not terminated,
            info={key: value for key, value in info.items() if isinstance(value, (bool, int, float, str))},
            success=self._told.success(paid, bool(terminated), info) if over else None,
        )

    async def _done(self, work: Callable[[], Any], what: str) -> Any:
        try:
            return await self._thread.run(work, seconds=self._seconds)
        except (EnvironmentFault, SettingsError):
            self._forget()
            raise
        except asyncio.CancelledError:
            self._env = None  # its thread is busy with it
            raise
        except Exception as error:
            self._forget()
            raise EnvironmentFault(f"{what}: {type(error).__name__}: {str(error)[:200]}") from error

    def _forget(self) -> None:
        """The next task gets another one: what raised may be in any state."""
        self._for = None

    def _shut(self) -> None:
        env, self._env = self._env, None
        if env is not None:
            with suppress(Exception):  # it is gone either way
                env.close()


def find(name: str) -> Any:
    """gymnasium's entry for an id. Raises `SettingsError`."""
    gymnasium = _gymnasium()
    module, colon, inner = name.rpartition(":")
    try:
        if colon:
            importlib.import_module(module)
        return gymnasium.spec(inner)
    except (gymnasium.error.Error, ImportError) as error:
        raise SettingsError(f"gymnasium has no {name}: {error}", "install its package, or write module:id") from error


def made(name: str, kwargs: Mapping[str, Any]) -> "gymnasium.Env[Any, Any]":
    """The environment; drawn in characters where it can be and nothing else is asked for."""
    gymnasium = _gymnasium()
    spec = find(name)
    modes = _modes(spec)
    given = {"render_mode": "ansi", **kwargs} if "ansi" in modes else dict(kwargs)
    return gymnasium.make(spec, disable_env_checker=True, **given)


def _modes(spec: Any) -> Sequence[str]:
    from gymnasium.envs.registration import load_env_creator

    creator = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    found = getattr(creator, "metadata", None) or {}
    return found.get("render_modes") or ()


def _speaks(space: Any) -> bool:
    """Whether actions are texts."""
    from gymnasium.spaces import Text

    return isinstance(space, Text) or space.dtype is str or getattr(space, "dtype", None) == "str"


def _gymnasium() -> Any:
    try:
        import gymnasium
    except ImportError as error:
        raise SettingsError("gymnasium is not installed", "pip install 'wisen[gymnasium]'") from error
    return gymnasium


def _not_done(seen: Observation, told: str) -> StepResult:
    observation = seen.model_copy(update={"text": f"{seen.text}\n\n{told}"})
    return StepResult(observation=observation, info={"note": told, "refused": True})
