"""A clock that a test turns."""

import asyncio
from datetime import UTC, datetime, timedelta

NOON = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)


class Turned:
    """Implements `wisen.evolution.schedule.running.Clock`: waiting takes no time, and work takes what `step` says each
    time that somebody asks how long it took. `waits` are the moments that were waited for."""

    def __init__(self, now: datetime = NOON, step: float = 0.0) -> None:
        self.at, self.step = now, step
        self._elapsed = 0.0
        self.waits: list[datetime] = []

    def now(self) -> datetime:
        return self.at

    def elapsed(self) -> float:
        self._elapsed += self.step
        return self._elapsed

    async def until(self, moment: datetime) -> None:
        await asyncio.sleep(0)  # whoever wants to stop it gets a turn
        self.waits.append(moment)
        self.forth(max(timedelta(), moment - self.at))

    def forth(self, by: timedelta) -> None:
        self.at += by
