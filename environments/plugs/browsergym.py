"""BrowserGym's benchmarks (browsergym-core 0.14.3) as suites: WebArena, WorkArena, MiniWoB and others by their ids.

An action is a line of BrowserGym's high-level calls, such as `click('12')`; its own parser reads it. The observation
is the accessibility tree with those numbers. The package, the sites and their accounts are the user's to set up.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from wisen.core.errors import SettingsError
from wisen.core.records import Acts, Observation, Split, SuiteCard, Task
from wisen.environments.plugs.gym_suite import GymEnvironment, Told, find, made
from wisen.environments.plugs.listed import chosen, named_splits, sizes
from wisen.environments.plugs.threads import OwnThread
from wisen.environments.tool.calls import shortened

if TYPE_CHECKING:
    import gymnasium

SUITE = "browsergym"
MOST_SHOWN = 20_000  # characters of an accessibility tree
_PACKAGES = {"webarena": "browsergym-webarena", "workarena": "browsergym-workarena", "miniwob": "browsergym-miniwob"}


class BrowserGymSuite:
    """tasks: ids without `browsergym/`, such as `["webarena.0", "webarena.1"]`, dealt to the panels, or lists under
    learn, gate and report. benchmark: the module that registers them; left out, the id's first part. seeds: for tasks
    that have them, how many of each. kwargs: for `gymnasium.make`, such as `{headless = true}`. seconds: for one call.

    BrowserGym drives one Playwright from one thread for all its environments, so more workers are no faster.
    """

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="BrowserGym's benchmarks: WebArena, WorkArena and others.",
        licence="Apache-2.0 (browsergym); sites and data have their own",
        acts=(Acts.TEXT,),
        reward="as the task pays",
        success="a last reward above 0",
        needs=("browsergym-core and the benchmark's package", "the benchmark's sites"),
    )

    def __init__(
        self,
        tasks: Sequence[str] | Mapping[str, Sequence[str]],
        benchmark: str = "",
        seeds: int = 1,
        kwargs: Mapping[str, Any] | None = None,
        seconds: float = 300.0,
    ) -> None:
        splits = named_splits(tasks, f"{SUITE}: tasks")
        self._benchmark = benchmark or next(iter(splits)).partition(".")[0]
        self._kwargs = {"slow_mo": 0, **(kwargs or {})}
        self._seconds = float(seconds)
        self._thread = OwnThread(SUITE)
        self._tasks = tuple(
            Task(
                id=f"{SUITE}/{name}/{seed}",
                suite=SUITE,
                environment=self._benchmark,
                template_id=f"{SUITE}/{name}",
                split=split,
                seed=seed,
                params={"id": f"browsergym/{name}", "kwargs": self._kwargs},
                version=_version(),
            )
            for name, split in splits.items()
            for seed in range(max(1, seeds))
        )

    def card(self) -> SuiteCard:
        return self.about.model_copy(
            update={
                "summary": f"BrowserGym: {self._benchmark}",
                "templates": len({task.template_id for task in self._tasks}),
                "sizes": sizes(self._tasks),
                "needs": (_PACKAGES.get(self._benchmark, f"browsergym.{self._benchmark}"), "the benchmark's sites"),
            }
        )

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return chosen(self._tasks, split, per_template, offset)

    async def start(self) -> None:
        """Raises `SettingsError` when the benchmark is not installed, or an id is not one of its tasks."""
        try:
            importlib.import_module(f"browsergym.{self._benchmark}")
        except (ImportError, RuntimeError) as error:  # WorkArena refuses another Playwright with a RuntimeError
            package = _PACKAGES.get(self._benchmark, "its package")
            raise SettingsError(
                f"BrowserGym's {self._benchmark} cannot be loaded: {error}", f"install {package}"
            ) from error
        for name in {task.params["id"] for task in self._tasks}:
            find(name)

    async def create(self) -> GymEnvironment:
        def make(task: Task) -> "gymnasium.Env[Any, Any]":
            return made(task.params["id"], {**task.params["kwargs"], "action_mapping": _calls().to_python_code})

        return GymEnvironment(make, BrowserTold(), seconds=self._seconds, thread=self._thread)

    async def stop(self) -> None:
        self._thread.leave()


class BrowserTold(Told):
    """BrowserGym's observations in words."""

    def observation(self, env: "gymnasium.Env[Any, Any]", seen: Any, info: Mapping[str, Any]) -> Observation:
        goal = "\n".join(part["text"] for part in seen["goal_object"] if part.get("type") == "text")
        tree = shortened(_flattened(seen), MOST_SHOWN)
        parts = [f"page: {seen['url']}", tree]
        if wrong := seen.get("last_action_error"):
            parts.append(f"The last action failed: {shortened(str(wrong), 500)}")
        return Observation(instruction=goal, text="\n\n".join(parts))

    def action(self, env: "gymnasium.Env[Any, Any]", action: Any) -> str:
        return str(action)

    def success(self, reward: float, terminated: bool, info: Mapping[str, Any]) -> bool:
        return terminated and reward > 0


def _flattened(seen: Mapping[str, Any]) -> str:
    from browsergym.utils.obs import flatten_axtree_to_str

    found = flatten_axtree_to_str(seen["axtree_object"], extra_properties=seen.get("extra_element_properties"))
    return str(found)


def _calls() -> Any:
    from browsergym.core.action.highlevel import HighLevelActionSet

    return HighLevelActionSet(multiaction=False, strict=False)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"browsergym-core {version('browsergym-core')}"
    except PackageNotFoundError as error:
        raise SettingsError("BrowserGym is not installed", "pip install browsergym-core and the benchmark") from error
