"""WebArena-Verified: the suite `webarena-verified`. Its own package scores the answer and the recorded traffic."""

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from wisen.core.errors import EnvironmentFault
from wisen.core.records import SuiteCard
from wisen.environments.web.benchmarks.listing import Entry, listed, read, understood, version_of
from wisen.environments.web.benchmarks.places import Places
from wisen.environments.web.benchmarks.verified_package import VerifiedPackage
from wisen.environments.web.benchmarks.webarena import Arenas
from wisen.environments.web.ending import Ending, Scored
from wisen.environments.web.goal import SiteGoal
from wisen.environments.web.sites import ACTS

SUITE = "webarena-verified"
# Without double quotes: what a goal quotes is offered as a text to type.
HOW_TO_END = """End with stop. Its answer is one JSON object with these keys:
- task_type: RETRIEVE where something is asked, NAVIGATE where a page is to be shown, MUTATE where something is changed
- status: SUCCESS, or NOT_FOUND_ERROR, ACTION_NOT_ALLOWED_ERROR, PERMISSION_DENIED_ERROR, DATA_VALIDATION_ERROR,
  UNKNOWN_ERROR where it cannot be done
- retrieved_data: the list of what was asked, with numbers and booleans as such; null unless task_type is RETRIEVE
- error_details: null, or why it cannot be done"""


class VerifiedTask(BaseModel):
    """A task as the file has it, but for what only the package reads."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: int
    sites: tuple[str, ...]
    start_urls: tuple[str, ...] = Field(min_length=1)
    intent: str
    intent_template_id: int


class WebArenaVerifiedSuite(Arenas):
    """python: the interpreter of an environment that has the package webarena-verified. tasks: a file in its format,
    instead of its own. sites, storage_state, ids, origins, reset, reset_at, reset_seconds: as for webarena.
    """

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="WebArena, audited: scored by rule alone.",
        licence="Apache-2.0 (tasks and package); the sites have licences of their own",
        acts=ACTS,
        reward="0 or 1 at the end",
        success="the package's evaluator scores 1",
        max_steps=30,
        max_seconds=900,
        needs=("Chromium", "webarena-verified in an environment of its own", "its sites, as Docker images"),
    )

    def __init__(
        self,
        python: str,
        tasks: str = "",
        sites: Mapping[str, str] | None = None,
        storage_state: str | Mapping[str, str] = "",
        ids: Sequence[int] = (),
        origins: Sequence[str] = (),
        reset: str | Sequence[str] = (),
        reset_at: Literal["start", "episode"] = "start",
        reset_seconds: float = 600.0,
    ) -> None:
        self._package = VerifiedPackage(python)
        self._file = tasks or self._package.tasks
        self._places = Places(SUITE, sites, storage_state, origins)
        rows = read(self._file, f"{SUITE}: tasks")
        found = understood(VerifiedTask, rows, "task_id", f"{SUITE}: {self._file}")
        entries = [self._entry(task, version_of(row)) for task, row in zip(found, rows, strict=True)]
        self._sites = {str(task.task_id): task.sites for task in found}
        super().__init__(
            listed(SUITE, entries, ids, by_template=True),
            self._places,
            self._scored,
            reset=reset,
            reset_at=reset_at,
            reset_seconds=reset_seconds,
            bodies=True,
        )

    def _entry(self, task: VerifiedTask, version: str) -> Entry:
        missing = self._places.missing(task.sites)
        goal = None
        if not missing:
            first, *behind = (self._places.filled(url) for url in task.start_urls)
            goal = SiteGoal(
                name=str(task.task_id),
                url=first,
                goal=f"{task.intent}\n\n{HOW_TO_END}",
                origins=self._places.origins(task.sites),
                behind=tuple(behind),
                storage_state=self._places.states(task.sites),
            )
        return Entry(
            id=str(task.task_id),
            template=str(task.intent_template_id),
            environment="+".join(sorted(task.sites)),
            version=f"{self._package.version}-{version}",
            goal=goal,
            reason=f"there is no address for {missing}" if missing else "",
        )

    async def _scored(self, ending: Ending) -> Scored:
        """The package's word: 0 also where one of its evaluators stumbles over what was answered. That it cannot score
        at all is a fault, unless the answer has not the form that was asked for."""
        ending.keep("agent_response.json", ending.answer)
        name = ending.goal.name
        found = await self._package.score(
            tasks=self._file,
            task_id=int(name),
            answer=ending.answer,
            traffic=str((await ending.traffic()).resolve()),
            sites={site: self._places.urls[site] for site in self._sites[name]},
        )
        if found["error"] and has_form(ending.answer):
            raise EnvironmentFault(f"{SUITE}: task {name} cannot be scored: {found['error']}")
        info = {"evaluators": found["parts"], "package": f"{SUITE} {self._package.version}"}
        return Scored(success=found["score"] == 1.0, info=info)


def has_form(answer: str) -> bool:
    """Whether an answer is the object that was asked for, whatever it says."""
    try:
        given = json.loads(answer)
    except ValueError:
        return False
    return isinstance(given, dict) and all(isinstance(given.get(key), str) for key in ("task_type", "status"))
