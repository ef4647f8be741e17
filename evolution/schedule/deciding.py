"""What a schedule does next: a pure function of what it has done, its settings, the time and what is new."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from wisen.evolution.schedule.settings import Budget, ScheduleSettings
from wisen.evolution.schedule.state import End, State, Taken, Turn
from wisen.evolution.schedule.times import following


@dataclass(frozen=True)
class Begin:
    """A turn."""

    due: datetime
    why: str


@dataclass(frozen=True)
class GoOn:
    """With the turn that has not ended."""

    turn: Turn


@dataclass(frozen=True)
class Wait:
    """And look again then."""

    until: datetime
    why: str


@dataclass(frozen=True)
class Over:
    """The schedule is at its end."""

    why: str


Step = Begin | GoOn | Wait | Over


def decide(state: State, settings: ScheduleSettings, zone: tzinfo, now: datetime, others: int) -> Step:
    """others: how many trajectories there are that the run did not play. A due time that passed is dealt with once,
    however many there were: `state.handled` is the moment up to which all are. It must be set."""
    assert state.handled is not None, "a schedule that begins has dealt with all before"
    if why := exceeded(state.taken, settings.total):
        return Over(f"{why} in all, in {len(state.turns)} turns")
    if (turn := state.open) is not None:
        if turn.next_try is not None and now < turn.next_try:
            return Wait(turn.next_try, f"turn {turn.number} failed: {turn.fault}")
        return GoOn(turn)
    if state.turns and state.turns[-1].end is End.USED_UP:
        return Over(End.USED_UP.value)
    if settings.turns is not None and len(state.turns) >= settings.turns:
        return Over(f"{settings.turns} turns are done")
    new = others - state.seen
    if settings.trajectories and new >= settings.trajectories:
        return Begin(now, f"{new} new trajectories")
    look = now + timedelta(seconds=settings.poll)
    if not settings.cron:
        return Wait(look, f"{new} of {settings.trajectories} new trajectories are in")
    due = following(settings.cron, zone, state.handled)
    if due <= now:
        return Begin(due, f"cron {settings.cron}")
    return Wait(
        min(due, look) if settings.trajectories else due, f"the next turn is due at {due:%Y-%m-%d %H:%M:%S} UTC"
    )


def exceeded(taken: Taken, budget: Budget) -> str:
    """Which limit was reached, in words; empty if none."""
    if budget.hours is not None and taken.seconds >= 3600 * budget.hours:
        return f"{budget.hours:g} hours are used"
    if budget.tokens is not None and taken.tokens >= budget.tokens:
        return f"{budget.tokens:,} tokens are used"
    if budget.dollars is not None and taken.dollars >= budget.dollars:
        return f"${budget.dollars:g} are spent"
    return ""
