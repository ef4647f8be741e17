"""WebVoyager on live sites, for a judge to decide: the suite `webvoyager`."""

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from wisen.core.errors import SettingsError
from wisen.core.records import FOR_THE_JUDGE, SuiteCard
from wisen.core.records.base import utcnow
from wisen.environments.web.benchmarks.listing import Entry, listed, read, understood, version_of
from wisen.environments.web.ending import Ending, Scored
from wisen.environments.web.gate import origin
from wisen.environments.web.goal import SiteGoal
from wisen.environments.web.sites import ACTS, Sites

SUITE = "webvoyager"
HOW_TO_END = "End with stop and the answer."


class Errand(BaseModel):
    """A task as the file has it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    web_name: str
    id: str
    ques: str
    web: str


class WebVoyagerSuite(Sites):
    """tasks: the benchmark's file, WebVoyager_data.jsonl. day: the day that is played on, as 2027-03-01: sites change,
    so it is part of each task's version. origins: what may be reached besides a task's site and the hosts below it, for
    all tasks or by web_name; `https://*` is everything. references: its reference_answer.json, shown to the judge. ids:
    some of the tasks only.
    """

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="WebVoyager: questions to live sites.",
        licence="MIT (tasks); what the sites show is theirs",
        acts=ACTS,
        reward="none",
        success="a judge says so",
        max_steps=15,
        max_seconds=600,
        needs=("Chromium", "its WebVoyager_data.jsonl", "the internet, without a proxy", "a judge model"),
    )

    def __init__(
        self,
        tasks: str,
        day: str,
        origins: Sequence[str] | Mapping[str, Sequence[str]] = (),
        references: str = "",
        ids: Sequence[str] = (),
        har: bool = True,
    ) -> None:
        self._day = _day(day)
        rows = read(tasks, f"{SUITE}: tasks", lines=True)
        found = understood(Errand, rows, "id", f"{SUITE}: {tasks}")
        entries = [
            self._entry(task, version_of(row), _beyond(origins, task)) for task, row in zip(found, rows, strict=True)
        ]
        self._listing = listed(SUITE, entries, ids, by_template=False)
        self._errands = {task.id: task for task in found}
        self._references = _references(references) if references else {}
        super().__init__(self._listing.goals, self._listing.tasks, har=har, score=self._kept)

    def card(self) -> SuiteCard:
        card = super().card()
        return card.model_copy(update={"summary": f"{card.summary} {self._listing.summary}, on {self._day}."})

    def _entry(self, task: Errand, version: str, beyond: Sequence[str]) -> Entry:
        return Entry(
            id=task.id,
            template=task.web_name,
            environment=task.web_name,
            version=f"{self._day}-{version}",
            goal=SiteGoal(
                name=task.id, url=task.web, goal=f"{task.ques}\n\n{HOW_TO_END}", origins=(*below(task.web), *beyond)
            ),
        )

    async def _kept(self, ending: Ending) -> Scored:
        """Everything that a judge may want is kept; nothing is decided."""
        errand, now = self._errands[ending.goal.name], utcnow().isoformat(timespec="seconds")
        answer = {"answer": ending.answer, "url": ending.url, "ended": now}
        ending.keep("answer.json", json.dumps(errand.model_dump() | answer, ensure_ascii=False, indent=1))
        info: dict[str, Any] = {"ended": now}
        if reference := self._references.get(errand.id):
            info[FOR_THE_JUDGE] = f"{reference}\nThe site may have changed since, as of {now[:10]}."
        return Scored(success=None, info=info)


def below(url: str) -> tuple[str, str]:
    """The host of an address without `www.`, and all hosts below it."""
    here = origin(url)
    host = (urlsplit(here).netloc).removeprefix("www.")
    scheme = urlsplit(here).scheme
    return f"{scheme}://{host}", f"{scheme}://*.{host}"


def _beyond(origins: Sequence[str] | Mapping[str, Sequence[str]], task: Errand) -> tuple[str, ...]:
    given = origins.get(task.web_name, ()) if isinstance(origins, Mapping) else origins
    if isinstance(given, str):
        raise SettingsError(f"{SUITE}: origins is a list, or lists by web_name", 'such as ["https://cdn.example.org"]')
    return tuple(origin(one) for one in given)


def _day(given: str) -> str:
    try:
        return datetime.date.fromisoformat(given).isoformat()
    except ValueError as error:
        raise SettingsError(f"{SUITE}: day = {given!r} is no date", "write it as 2027-03-01") from error


def _references(path: str) -> dict[str, str]:
    """The file's answers by task id, with what it says of their worth. Raises `SettingsError`."""
    try:
        sites = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        return {
            f"{site}--{one['id']}": f"An answer that was right once ({one.get('type', 'possible')}): {one['ans']}"
            for site, about in sites.items()
            for one in about["answers"]
        }
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise SettingsError(f"{SUITE}: references = {path!r}: {error!r}", "name reference_answer.json") from error
