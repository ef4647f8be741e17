"""Suites of tasks on sites: what they share, and `web`, whose tasks are given one by one."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

from wisen.core.errors import SettingsError
from wisen.core.records import Acts, Split, SuiteCard, Task
from wisen.environments.plugs.listed import chosen, sizes
from wisen.environments.web.browser import SharedBrowser
from wisen.environments.web.ending import Scoring, by_check
from wisen.environments.web.goal import SiteGoal, goal_from
from wisen.environments.web.site import SiteEnvironment

ACTS = (Acts.CHOICE, Acts.TEXT, Acts.TOOLS)


class Sites:
    """A list of tasks over one browser; a task's `params["goal"]` names its goal. The options are those of
    `SiteEnvironment`. alone: the sites bear one episode at a time."""

    name = ""
    about: ClassVar[SuiteCard]

    def __init__(
        self,
        goals: Mapping[str, SiteGoal],
        tasks: Sequence[Task],
        *,
        har: bool = True,
        bodies: bool = False,
        score: Scoring = by_check,
        before: Callable[[SiteGoal], Awaitable[None]] | None = None,
        alone: bool = False,
    ) -> None:
        self._goals, self._tasks, self._alone = goals, tuple(tasks), alone
        self._har, self._bodies, self._score, self._before = har, bodies, score, before
        self._browser = SharedBrowser()
        self._last: SiteEnvironment | None = None

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return chosen(self._tasks, split, per_template, offset)

    def card(self) -> SuiteCard:
        return self.about.model_copy(
            update={"templates": len({task.template_id for task in self._tasks}), "sizes": sizes(self._tasks)}
        )

    async def start(self) -> None:
        await self._browser.start()

    async def create(self) -> SiteEnvironment:
        """Raises `SettingsError` for a second one where episodes would disturb one another."""
        if self._alone and self._last is not None and not self._last.closed:
            raise SettingsError(f"{self.name}: the sites are reset before each episode", "play with workers = 1")
        self._last = SiteEnvironment(
            self._browser, self._goals, har=self._har, bodies=self._bodies, score=self._score, before=self._before
        )
        return self._last

    async def stop(self) -> None:
        await self._browser.stop()


class SiteSuite(Sites):
    """tasks: a table for each: name, url, goal, and as needed origins, behind, storage_state, check and split (see
    `goal.SiteGoal`). har: record each episode's traffic beside its pictures."""

    name = "web"
    about: ClassVar = SuiteCard(
        summary="Tasks on any sites, each within the origins that it allows.",
        licence="the sites' own",
        acts=ACTS,
        reward="0 or 1 at the end; without a check a judge decides",
        success="the check holds",
        max_steps=30,
        max_seconds=300,
        needs=("Chromium", "the sites"),
    )

    def __init__(self, tasks: Sequence[Any] = (), har: bool = True) -> None:
        if isinstance(tasks, str | Mapping) or not tasks:
            raise SettingsError("web: tasks is a list of tables, at least one", "each has a name, a url and a goal")
        goals = {goal.name: goal for goal in map(goal_from, tasks)}
        if len(goals) < len(tasks):
            raise SettingsError("web: two tasks have the same name")
        super().__init__(goals, [_task(goal) for goal in goals.values()], har=har)


def _task(goal: SiteGoal) -> Task:
    """Each goal is a template of one task, in its own split."""
    return Task(
        id=f"web/{goal.name}",
        suite=SiteSuite.name,
        environment="web",
        template_id=f"web/{goal.name}",
        split=goal.split,
        seed=0,
        params={"goal": goal.name},
        version=hashlib.sha256(goal.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:12],
    )
