"""Due times of a cron expression. Pure but for the machine's time zone."""

import os
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wisen.core.errors import SettingsError

LOCALTIME = Path("/etc/localtime")


def check(cron: str, timezone: str) -> None:
    """Raises `SettingsError` for an expression, or the name of a zone, that is none."""
    if timezone:
        zone_named(timezone)
    if not cron:
        return
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise SettingsError(
            f"{cron!r} is no cron expression: {str(error) or 'it never comes'}",
            'minute, hour, day, month, weekday: "0 2 * * *" is each night at two',
        ) from error


def following(cron: str, zone: tzinfo, after: datetime) -> datetime:
    """The first due time after that moment, in UTC. Where clocks change, as Debian's cron does: what falls into the
    hour that is left out comes right after it, and what falls into the one that comes twice comes once."""
    from cronsim import CronSim

    due: datetime = next(CronSim(cron, after.astimezone(zone)))
    return due.astimezone(UTC)


def upcoming(cron: str, zone: tzinfo, after: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    while len(found) < count:
        found.append(following(cron, zone, found[-1] if found else after))
    return found


def zone_named(name: str) -> tzinfo:
    """The zone, or the machine's where the name is empty: by its name where that can be found out, so that its changes
    of the clock are known. Raises `SettingsError`."""
    if not name:
        return _local()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(f"there is no time zone {name!r}", "a name such as Europe/Budapest, or UTC") from error


def _local() -> tzinfo:
    named = os.environ.get("TZ", "").lstrip(":")
    if not named and LOCALTIME.is_symlink():
        named = str(LOCALTIME.resolve()).partition("zoneinfo/")[2]
    try:
        return ZoneInfo(named or "UTC") if named else datetime.now().astimezone().tzinfo or UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return datetime.now().astimezone().tzinfo or UTC
