"""What benchmarks on sites share: files are read, tasks dealt to the panels, or not offered for a reason."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from wisen.core.errors import SettingsError
from wisen.core.records import Split, Task
from wisen.environments.plugs.listed import deal
from wisen.environments.web.goal import SiteGoal

Row = TypeVar("Row", bound=BaseModel)


@dataclass(frozen=True)
class Entry:
    """A task of a benchmark. `goal` is None where it is not offered, for `reason`."""

    id: str
    template: str
    environment: str
    version: str
    goal: SiteGoal | None = None
    reason: str = ""


@dataclass(frozen=True)
class Listing:
    """goals: by task id. not_offered: task id -> why."""

    goals: dict[str, SiteGoal]
    tasks: tuple[Task, ...]
    not_offered: dict[str, str]

    @property
    def summary(self) -> str:
        """How many are offered, and why the others are not."""
        counts = Counter(self.not_offered.values())
        told = "; ".join(f"{count} because {reason}" for reason, count in counts.most_common())
        return f"{len(self.tasks)} tasks" + (f" ({len(self.not_offered)} are not offered: {told})" if told else "")


def read(path: str, what: str, *, lines: bool = False) -> list[dict[str, Any]]:
    """The tables of a JSON list, or of a file with one in each line. Raises `SettingsError`."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
        found = [json.loads(line) for line in text.splitlines() if line.strip()] if lines else json.loads(text)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{what} = {path!r}: {error}", "name the benchmark's own task file") from error
    if not isinstance(found, list) or not found or not all(isinstance(row, dict) for row in found):
        raise SettingsError(f"{what} = {path!r} is no list of tasks", "name the benchmark's own task file")
    return found


def understood(kind: type[Row], rows: Sequence[Mapping[str, Any]], name: str, what: str) -> list[Row]:
    """Rows as records; `name` is the field that names a row. Raises `SettingsError` for the first that is none."""
    found = []
    for number, row in enumerate(rows):
        try:
            found.append(kind.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise SettingsError(f"{what}: task {row.get(name, f'number {number}')}: {where}: {first['msg']}") from error
    return found


def version_of(row: Mapping[str, Any]) -> str:
    """Of a task: eight letters that change when anything of it does. Addresses of sites are no part of it."""
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:8]


def listed(suite: str, entries: Sequence[Entry], ids: Sequence[str | int] = (), *, by_template: bool) -> Listing:
    """Tasks dealt to the panels, by all names in the file, so that no option moves a task to another panel; then those
    with a goal, and of these those in `ids`, if any are named. Raises `SettingsError`."""
    names = [entry.id for entry in entries]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise SettingsError(f"{suite}: two tasks are {twice[0]}")
    wanted = {str(one) for one in ids}
    if unknown := sorted(wanted - set(names)):
        raise SettingsError(f"{suite}: there is no task {unknown[0]}")
    splits = deal({entry.id: entry.template for entry in entries}, by_template=by_template)
    entries = [entry for entry in entries if not wanted or entry.id in wanted]
    offered = [entry for entry in entries if entry.goal is not None]
    listing = Listing(
        goals={entry.id: entry.goal for entry in offered if entry.goal is not None},
        tasks=tuple(_task(suite, entry, splits[entry.id]) for entry in offered),
        not_offered={entry.id: entry.reason for entry in entries if entry.goal is None},
    )
    if not listing.tasks:
        raise SettingsError(f"{suite}: {listing.summary}")
    return listing


def _task(suite: str, entry: Entry, split: Split) -> Task:
    return Task(
        id=f"{suite}/{entry.id}",
        suite=suite,
        environment=entry.environment,
        template_id=f"{suite}/{entry.template}",
        split=split,
        seed=0,
        params={"goal": entry.id},
        version=entry.version,
    )
