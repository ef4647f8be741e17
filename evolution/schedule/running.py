"""A schedule at work. The clock is given, so that a test needs no patience."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Protocol

from wisen.core.errors import SettingsError, WisenError
from wisen.core.records import Advanced, Note, Phase, ProgressEvent, RunReport, Usage, utcnow
from wisen.core.store import OlderSchema, Store
from wisen.core.workspace import Workspace
from wisen.evolution.evolve import evolved
from wisen.evolution.schedule.deciding import Begin, GoOn, Over, Wait, decide, exceeded
from wisen.evolution.schedule.possible import require_possible
from wisen.evolution.schedule.settings import ScheduleSettings
from wisen.evolution.schedule.state import End, State, Taken, Turn, only_one, read_state, write_state
from wisen.evolution.schedule.times import zone_named
from wisen.evolution.settings import EvolveSettings
from wisen.evolution.workbench import Bench

SAVE_EVERY = 5.0  # seconds of work between two notes of what it took: so much a kill may forget
LONGEST_SLEEP = 30.0  # seconds: a machine that slept, or a clock that was set, is noticed then


class Clock(Protocol):
    def now(self) -> datetime:
        """In UTC, as the calendar has it."""
        ...

    def elapsed(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    async def until(self, moment: datetime) -> None: ...


class Machine:
    """Implements `Clock`."""

    def now(self) -> datetime:
        return utcnow()

    def elapsed(self) -> float:
        return time.monotonic()

    async def until(self, moment: datetime) -> None:
        while (left := (moment - utcnow()).total_seconds()) > 0:  # noqa: ASYNC110 (time is no event)
            await asyncio.sleep(min(left, LONGEST_SLEEP))


class OverBudget(Exception):
    """A turn has come to the end of what it may take."""


async def run_schedule(
    settings: EvolveSettings,
    workspace: Workspace,
    *,
    once: bool = False,
    on_event: Callable[[ProgressEvent], None] = lambda event: None,
    on_report: Callable[[RunReport], None] = lambda report: None,
    command: str = "wisen schedule",
    clock: Clock | None = None,
) -> str:
    """Run cycles as `settings.schedule` has it, until it is at its end; returns why. Each turn goes on with the run
    that the settings name: one more cycle, from the release that is present then, on tasks that nobody learned from.

    once: do what is due now and return. Cancelled or killed, the same call goes on with the turn that had begun. Raises
    `StoreError` at once where another schedule works on the workspace, and `SettingsError` for settings that cannot
    work; what may pass by itself (a server that is down, a workspace in use) is tried again.
    """
    plan = settings.schedule
    require_possible(settings)
    workspace.create()
    with only_one(workspace.root):
        work = _Work(settings, workspace, on_event, on_report, command, clock or Machine())
        if work.state.handled is None:
            work.save(handled=work.clock.now())
        work.save(plan=plan)
        return await work.go(once)


class _Work:
    def __init__(
        self,
        settings: EvolveSettings,
        workspace: Workspace,
        on_event: Callable[[ProgressEvent], None],
        on_report: Callable[[RunReport], None],
        command: str,
        clock: Clock,
    ) -> None:
        self.settings, self.workspace, self.clock = settings, workspace, clock
        self.plan: ScheduleSettings = settings.schedule
        self.zone = zone_named(self.plan.timezone)
        self._emit, self._on_report, self._command = on_event, on_report, command
        self.state: State = read_state(workspace.root)
        self._said = ""

    def save(self, **changes: object) -> None:
        self.state = self.state.model_copy(update=changes)
        write_state(self.workspace.root, self.state)

    def save_turn(self, turn: Turn) -> None:
        self.state = self.state.with_turn(turn)
        write_state(self.workspace.root, self.state)

    async def go(self, once: bool) -> str:
        while True:
            now, others = self.clock.now(), self._others()
            match decide(self.state, self.plan, self.zone, now, others):
                case Over(why):
                    return why
                case Wait(until, why):
                    self._say(why)
                    if once:
                        return why
                    await self.clock.until(until)
                case Begin(due, why):
                    number = len(self.state.turns) + 1
                    turn = Turn(number=number, due=due, why=why, begun=now)
                    self.state = self.state.model_copy(update={"handled": now, "seen": others})
                    self.save_turn(turn)
                case GoOn(turn):
                    if owner := self.workspace.owner():
                        why = f"turn {turn.number} waits: another wisen process (pid {owner}) is using the workspace"
                        self._say(why)
                        if once:
                            return why
                        await self.clock.until(now + timedelta(seconds=self.plan.poll))
                        continue
                    await self._tried(turn, once)
                    if once:
                        return f"turn {turn.number}: {self.state.turns[-1].end}"

    def _others(self) -> int:
        if not self.plan.trajectories:
            return self.state.seen
        if self.workspace.store_server is None and not self.workspace.database.exists():
            return 0
        try:
            store = self.workspace.read_store()
        except OlderSchema:
            with self.workspace.lock(), self.workspace.open_store():
                pass
            store = self.workspace.read_store()
        with store:
            return teaching(store)

    async def _tried(self, turn: Turn, once: bool) -> None:
        """Work on the turn; what may pass by itself is noted, and tried again later."""
        self._say(f"turn {turn.number}: {turn.why}" if turn.cycle is None else f"turn {turn.number} goes on")
        try:
            await self._worked(turn)
        except SettingsError:
            raise
        except WisenError as error:
            turn = self.state.turns[-1]
            failures, now = turn.failures + 1, self.clock.now()
            given_up = failures > self.plan.retries
            self.save_turn(
                turn.model_copy(
                    update={
                        "failures": failures,
                        "fault": str(error),
                        "next_try": None if given_up else now + timedelta(minutes=self.plan.wait),
                        "end": End.FAILED if given_up else None,
                        "ended": now if given_up else None,
                    }
                )
            )
            if once:
                raise
            self._say(f"turn {turn.number} failed: {error}")

    async def _worked(self, turn: Turn) -> None:
        """One try at the turn, noting what it takes while it works, also where it is stopped in the middle."""
        start, before, saved = self.clock.elapsed(), turn.taken, 0.0
        bench: Bench | None = None

        def taken() -> Taken:
            used = bench.took if bench is not None else Usage()
            return before + Taken(
                seconds=self.clock.elapsed() - start,
                tokens=used.prompt_tokens + used.completion_tokens,
                dollars=used.cost_usd,
            )

        def watch(event: ProgressEvent) -> None:
            nonlocal turn, saved
            self._emit(event)
            if not isinstance(event, Advanced):
                return
            turn = turn.model_copy(update={"taken": taken()})
            if self.clock.elapsed() - saved >= SAVE_EVERY:
                saved = self.clock.elapsed()
                self.save_turn(turn)
            self._require_price(turn.taken)
            rest = self.state.with_turn(turn).taken
            if why := exceeded(turn.taken, self.plan.turn) or exceeded(rest, self.plan.total):
                raise OverBudget(why)

        try:
            async with Bench("evolve", self.settings, self.workspace, watch) as bench:
                turn = self._aimed(turn, bench)
                try:
                    report = await evolved(bench, turn.cycle or 1, command=self._command, started=time.monotonic())
                except OverBudget as over:
                    self._require_progress(turn, bench)
                    turn = self._ended(turn, End.CUT, taken(), fault=str(over))
                    return
                end = End.DONE if len(report.curve) >= (turn.cycle or 1) else End.USED_UP
                turn = self._ended(turn, end, taken())
        finally:
            if turn.end is None:
                self.save_turn(turn.model_copy(update={"taken": taken()}))
        self._on_report(report)

    def _aimed(self, turn: Turn, bench: Bench) -> Turn:
        """The turn with its cycle, which is noted before anything is done for it: after a kill it is the same one."""
        if turn.cycle is None:
            cycle = next(number for number in count(1) if not bench.store.marked(bench.run_id, f"cycle/{number}/done"))
            turn = turn.model_copy(update={"cycle": cycle, "held": _held(bench)})
            self.save_turn(turn)
        self._say(f"turn {turn.number}: cycle {turn.cycle}")
        return turn

    def _ended(self, turn: Turn, end: End, taken: Taken, fault: str = "") -> Turn:
        ended = {"end": end, "ended": self.clock.now(), "taken": taken, "fault": fault, "next_try": None}
        turn = turn.model_copy(update=ended)
        self.save_turn(turn)
        self._say(f"turn {turn.number}: {end}{f' ({fault})' if fault else ''}, after {turn.taken.told()}")
        return turn

    def _require_progress(self, turn: Turn, bench: Bench) -> None:
        if _held(bench) <= turn.held:
            raise SettingsError(
                f"turn {turn.number} used its whole budget, and brought cycle {turn.cycle} no further",
                "give schedule.turn more: training is not cut in two",
            )

    def _require_price(self, taken: Taken) -> None:
        limited = self.plan.turn.dollars or self.plan.total.dollars
        if limited and self.settings.remote_model and taken.tokens and not taken.dollars:
            raise SettingsError(
                f"the price of {self.settings.model} is not known, so dollars cannot be limited",
                "limit schedule.turn.tokens or hours",
            )

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._emit(Note(text=text))


def _held(bench: Bench) -> int:
    """What the store holds of the run: it grows with all that a cycle does."""
    return bench.store.count_trajectories(run_id=bench.run_id) + len(bench.store.marks(bench.run_id))


def teaching(store: Store) -> int:
    """How many trajectories teach something that no run of `wisen evolve` played."""
    own = (run.id for run in store.runs() if run.id.startswith("evolve-"))
    everyones = store.count_trajectories(phase=Phase.COLLECT)
    return everyones - sum(store.count_trajectories(run_id=key, phase=Phase.COLLECT) for key in own)
