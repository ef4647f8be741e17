"""What a task on a site is, and how its end is looked at."""

import re
from typing import Any

from pydantic import ValidationError

from wisen.core.errors import SettingsError
from wisen.core.records import Split
from wisen.core.records.base import Record
from wisen.environments.web.gate import origin


class Check(Record):
    """What must hold when the agent stops; what is left empty is not asked. None of it can be seen by the agent.

    url, text: regular expressions, searched in the address and in the text of the page it stops on.
    answer: what it must answer, but for case and space.
    """

    url: str = ""
    text: str = ""
    answer: str = ""

    def holds(self, *, url: str, text: str, answer: str) -> bool:
        """Whether an end is a success."""
        said, wanted = (" ".join(one.split()).casefold() for one in (answer, self.answer))
        return bool(re.search(self.url, url) and re.search(self.text, text)) and (not wanted or said == wanted)


class SiteGoal(Record):
    """A task on a site. `origins`: what may be reached besides the origin of `url`; `gate.allows` knows patterns.
    `behind`: addresses in windows behind the first. `storage_state`: Playwright's files of cookies and local storage to
    begin with, read at each reset. Without a check, only a judge can say how it went."""

    name: str
    url: str
    goal: str
    origins: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    storage_state: tuple[str, ...] = ()
    check: Check | None = None
    split: Split = Split.LEARN

    @property
    def allowed(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(origin(url) for url in (self.url, *self.behind, *self.origins)))


def goal_from(table: Any) -> SiteGoal:
    """A goal from a table of settings. Raises `SettingsError` that names what is wrong."""
    if isinstance(table, SiteGoal):
        return table
    name = table.get("name", "?") if isinstance(table, dict) else "?"
    try:
        found = SiteGoal.model_validate(table)
        for pattern in (found.check.url, found.check.text) if found.check else ():
            re.compile(pattern)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"web: task {name}: {where}: {first['msg']}") from error
    except re.error as error:
        raise SettingsError(f"web: task {name}: its check is no regular expression: {error}") from error
    if not re.fullmatch(r"[\w.-]+", found.name):
        raise SettingsError(f"web: task {found.name!r}: a name is letters, digits, dots and dashes")
    found.allowed  # noqa: B018 - raises for what is no address
    return found
