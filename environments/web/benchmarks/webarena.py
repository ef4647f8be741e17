"""WebArena by its own task file and rules: the suite `webarena`."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from wisen.core.errors import SettingsError
from wisen.core.records import SuiteCard
from wisen.environments.web.benchmarks import webarena_programs as programs
from wisen.environments.web.benchmarks.listing import Entry, Listing, listed, read, understood, version_of
from wisen.environments.web.benchmarks.places import Places
from wisen.environments.web.benchmarks.reset import Reset
from wisen.environments.web.benchmarks.webarena_score import Arena, Rules, Target
from wisen.environments.web.ending import Scoring
from wisen.environments.web.goal import SiteGoal
from wisen.environments.web.sites import ACTS, Sites

SUITE = "webarena"
NEXT_WINDOW = " |AND| "
HOW_TO_END = "End with stop and, where something was asked, the answer. If it cannot be done, the answer is N/A."


class ArenaTask(BaseModel):
    """A task as the file has it; fields that are not used here are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_id: int
    sites: tuple[str, ...]
    start_url: str
    intent: str
    intent_template_id: int
    eval: Rules


class Arenas(Sites):
    """What WebArena and WebArena-Verified share: some of their tasks are not offered, and their sites may be reset."""

    def __init__(
        self,
        listing: Listing,
        places: Places,
        score: Scoring,
        *,
        reset: str | Sequence[str],
        reset_at: str,
        reset_seconds: float,
        har: bool = True,
        bodies: bool = False,
    ) -> None:
        if reset_at not in ("start", "episode"):
            raise SettingsError(f"{self.name}: reset_at = {reset_at!r}", "start or episode")
        self._reset = Reset(reset, tuple(places.urls.values()), reset_seconds) if reset else None
        each = self._reset is not None and reset_at == "episode"
        self._once = self._reset is not None and not each
        self._listing, self.not_offered = listing, listing.not_offered
        super().__init__(
            listing.goals,
            listing.tasks,
            har=har,
            bodies=bodies,
            score=score,
            before=self._again if each else None,
            alone=each,
        )

    def card(self) -> SuiteCard:
        card = super().card()
        return card.model_copy(update={"summary": f"{card.summary} {self._listing.summary}."})

    async def start(self) -> None:
        """Raises `EnvironmentFault` where the sites cannot be reset."""
        if self._once:
            await self._again()
        await super().start()

    async def _again(self, goal: SiteGoal | None = None) -> None:
        assert self._reset is not None
        await self._reset.run()


class WebArenaSuite(Arenas):
    """tasks: the benchmark's file, test.raw.json. sites: addresses, as {shopping = "http://..."}; without them those of
    WA_SHOPPING, SHOPPING and so on. storage_state: who is logged in: a folder of SITE_state.json, or files by site.
    judge: offer the tasks that only a judge can score. ids: some of the tasks only. origins: what may be reached
    besides the sites. reset: a command, or GET or POST and an address, or several; reset_at: start or episode.
    """

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="WebArena: errands on a shop, a forum, GitLab, a map.",
        licence="Apache-2.0 (tasks); the sites have licences of their own",
        acts=ACTS,
        reward="0 or 1 at the end",
        success="all of the task's rules hold; where these ask for it, a judge agrees",
        max_steps=30,
        max_seconds=900,
        needs=("Chromium", "WebArena's sites, as Docker images or elsewhere", "its test.raw.json"),
    )

    def __init__(
        self,
        tasks: str,
        sites: Mapping[str, str] | None = None,
        storage_state: str | Mapping[str, str] = "",
        judge: bool = False,
        ids: Sequence[int] = (),
        origins: Sequence[str] = (),
        har: bool = True,
        reset: str | Sequence[str] = (),
        reset_at: Literal["start", "episode"] = "start",
        reset_seconds: float = 600.0,
    ) -> None:
        places = Places(SUITE, sites, storage_state, origins)
        rows = read(tasks, f"{SUITE}: tasks")
        found = understood(ArenaTask, rows, "task_id", f"{SUITE}: {tasks}")
        entries = [_entry(task, version_of(row), places, judge) for task, row in zip(found, rows, strict=True)]
        rules = {str(task.task_id): _filled(task.eval, places) for task in found}
        intents = {str(task.task_id): task.intent for task in found}
        super().__init__(
            listed(SUITE, entries, ids, by_template=True),
            places,
            Arena(rules, intents, places.urls.get("shopping", "")).score,
            reset=reset,
            reset_at=reset_at,
            reset_seconds=reset_seconds,
            har=har,
        )


def _entry(task: ArenaTask, version: str, places: Places, judge: bool) -> Entry:
    reason = _not_offered(task, places, judge)
    goal = None
    if not reason:
        first, *behind = (places.filled(url) for url in task.start_url.split(NEXT_WINDOW))
        goal = SiteGoal(
            name=str(task.task_id),
            url=first,
            goal=f"{task.intent}\n\n{HOW_TO_END}",
            origins=places.origins(task.sites),
            behind=tuple(behind),
            storage_state=places.states(task.sites),
        )
    return Entry(
        id=str(task.task_id),
        template=str(task.intent_template_id),
        environment="+".join(sorted(task.sites)),
        version=version,
        goal=goal,
        reason=reason,
    )


def _not_offered(task: ArenaTask, places: Places, judge: bool) -> str:
    """Why a task cannot be played or scored here; empty if it can."""
    if site := places.missing(task.sites):
        return f"there is no address for {site}"
    if reason := task.eval.unknown:
        return reason
    if task.eval.judged and not judge:
        return "only a judge can score them (judge = true, and a judge model)"
    if not task.eval.programs & programs.ADMINISTRATOR:
        return ""
    if "shopping" not in places.urls:
        return "there is no address for shopping"
    if not programs.administrates():
        return f"the shop's administrator is asked for ({programs.USER}, {programs.PASSWORD})"
    return ""


def _filled(rules: Rules, places: Places) -> Rules:
    """With addresses instead of the sites' names."""
    targets = tuple(
        Target.model_validate(target.model_dump() | {"url": places.filled(target.url)}) for target in rules.program_html
    )
    url = places.filled(rules.reference_url or "")
    return rules.model_copy(update={"program_html": targets, "reference_url": url})
