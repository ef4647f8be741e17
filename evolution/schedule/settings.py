"""When cycles run, and what they may take. None of it names a run: the same run goes on under another schedule."""

from typing import Self

from pydantic import Field, model_validator

from wisen.core.records import Record


class Budget(Record):
    """Limits; None for none. hours: of work, not of waiting. tokens: that models read and wrote, training not counted.
    dollars: by the providers' list prices."""

    hours: float | None = Field(None, gt=0)
    tokens: int | None = Field(None, ge=1)
    dollars: float | None = Field(None, gt=0)

    @property
    def empty(self) -> bool:
        return self.hours is None and self.tokens is None and self.dollars is None


class ScheduleSettings(Record):
    """`wisen schedule`: a turn is work on one cycle, from its collection to its report.

    cron: five fields (minute, hour, day of month, month, day of week), or six with the second first. timezone: an IANA
    name; empty: this machine's. trajectories: a turn is due, too, when so many new ones are in that teach something and
    that the run did not play itself (of your application, through the memory); 0: they start nothing. poll: seconds
    between two looks at them, and at a workspace that is in use. turn: the budget of one turn; a cycle that is cut off
    by it goes on in the next. total: of all turns together. turns: how many in all. retries: further tries of a turn
    after a fault such as a server that is down, `wait` minutes apart.
    """

    cron: str = ""
    timezone: str = ""
    trajectories: int = Field(0, ge=0)
    poll: float = Field(60.0, gt=0)
    turn: Budget = Budget()
    total: Budget = Budget()
    turns: int | None = Field(None, ge=1)
    retries: int = Field(3, ge=0)
    wait: float = Field(10.0, ge=0)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        from wisen.evolution.schedule.times import check

        check(self.cron, self.timezone)
        return self
