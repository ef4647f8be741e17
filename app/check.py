"""What one check of `wisen doctor` found."""

from collections.abc import Callable

from wisen.core.errors import WisenError
from wisen.core.records import Record

SET_UP = "run script/setup"


class Check(Record):
    """One part and how it is. `ok`: True, False (something that the main job needs is missing or broken), or None
    (it is missing, and only some commands need it). `advice` says what to do, and is empty where nothing is."""

    part: str
    ok: bool | None
    found: str
    advice: str = ""


def guarded(part: str, check: Callable[[], Check]) -> Check:
    """The check's finding. Whatever goes wrong inside is what the person asked about, so nothing escapes from here."""
    try:
        return check()
    except WisenError as error:
        return Check(part=part, ok=False, found=error.problem, advice=error.hint)
    except Exception as error:
        found = " ".join(f"the check broke: {type(error).__name__}: {error}".split())
        return Check(part=part, ok=False, found=found, advice=SET_UP)


def healthy(checks: tuple[Check, ...]) -> bool:
    """Nothing that the main job needs is missing. Parts that only some commands need do not count."""
    return all(check.ok is not False for check in checks)
