"""The schedule: what is due when, what is written down, and cycles that go on one after another, or after a kill."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.evolution.test_memory_only import SETTINGS, Obedient, answered
from tests.support.clock import NOON, Turned
from tests.support.fake_openai import KEY, Answer, reply
from tests.support.levers import LeverSuite
from wisen.core.errors import SettingsError, StoreError, WisenError
from wisen.core.records import (
    Advanced,
    Episode,
    Note,
    Phase,
    PhaseStarted,
    ProgressEvent,
    Release,
    ReleaseEventKind,
    RunReport,
)
from wisen.core.settings import load
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.environments import registry
from wisen.evolution.schedule import running
from wisen.evolution.schedule.deciding import Begin, GoOn, Over, Wait, decide
from wisen.evolution.schedule.running import run_schedule
from wisen.evolution.schedule.settings import Budget, ScheduleSettings
from wisen.evolution.schedule.state import FILE, End, State, Taken, Turn, only_one, read_state, working, write_state
from wisen.evolution.schedule.times import following, upcoming
from wisen.evolution.settings import EvolveSettings
from wisen.evolution.workbench import Bench

pytestmark = pytest.mark.timeout(300)
CALL = 1100  # tokens, as the server tells them
NIGHTLY = "0 2 * * *"
BUDAPEST = ZoneInfo("Europe/Budapest")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2030, 1, day, hour, minute, tzinfo=UTC)


def turn(number: int = 1, **fields: Any) -> Turn:
    return Turn(number=number, due=NOON, why="cron", begun=NOON, **fields)


def step(state: State, now: datetime, others: int = 0, **plan: Any) -> object:
    return decide(state, ScheduleSettings(**{"cron": NIGHTLY, **plan}), UTC, now, others)


def test_a_turn_is_due_at_its_time_and_not_before() -> None:
    state = State(handled=at(1, 12))
    assert step(state, at(1, 13)) == Wait(at(2, 2), "the next turn is due at 2030-01-02 02:00:00 UTC")
    assert step(state, at(2, 2)) == Begin(at(2, 2), "cron 0 2 * * *")


def test_what_was_missed_runs_once_and_never_twice() -> None:
    """A machine that was off for a week; then the state that the shell writes when a turn begins."""
    back = at(9, 10)
    assert step(State(handled=at(1, 12)), back) == Begin(at(2, 2), "cron 0 2 * * *")
    done = State(handled=back, turns=(turn(end=End.DONE),))
    assert step(done, back) == Wait(at(10, 2), "the next turn is due at 2030-01-10 02:00:00 UTC")
    # The clock is set back behind a turn that was begun: its due time does not come again.
    assert isinstance(step(done, at(9, 1)), Wait)
    assert isinstance(step(State(handled=at(9, 2), turns=(turn(end=End.DONE),)), at(9, 1, 59)), Wait)


def test_a_turn_that_has_begun_comes_before_everything_that_is_due() -> None:
    begun = State(handled=at(1, 2), turns=(turn(cycle=1),))
    assert step(begun, at(5, 2)) == GoOn(begun.turns[0])
    failed = State(handled=at(1, 2), turns=(turn(fault="no server", next_try=at(5, 3)),))
    assert step(failed, at(5, 2)) == Wait(at(5, 3), "turn 1 failed: no server")
    assert step(failed, at(5, 3)) == GoOn(failed.turns[0])


def test_new_trajectories_start_a_turn_with_and_without_cron() -> None:
    state = State(handled=at(1, 12), seen=40)
    assert step(state, at(1, 13), others=49, trajectories=10) == Wait(
        at(1, 13, 1), "the next turn is due at 2030-01-02 02:00:00 UTC"
    )
    assert step(state, at(1, 13), others=50, trajectories=10) == Begin(at(1, 13), "10 new trajectories")
    only = step(state, at(1, 13), others=49, trajectories=10, cron="")
    assert only == Wait(at(1, 13, 1), "9 of 10 new trajectories are in")


def test_limits_end_it() -> None:
    taken = Taken(seconds=7200, tokens=1000, dollars=1.5)
    state = State(handled=at(1, 12), turns=(turn(end=End.DONE, taken=taken),))
    for budget, told in (({"hours": 2}, "2 hours"), ({"tokens": 1000}, "1,000 tokens"), ({"dollars": 1.5}, "$1.5 ")):
        found = step(state, at(2, 2), total=Budget(**budget))
        assert isinstance(found, Over) and told in found.why
    assert isinstance(step(state, at(2, 2), total=Budget(hours=2.1, tokens=1001, dollars=1.6)), Begin)
    assert step(state, at(2, 2), turns=1) == Over("1 turns are done")
    nothing = State(handled=at(1, 12), turns=(turn(end=End.USED_UP),))
    assert step(nothing, at(2, 2)) == Over("nothing left to learn from")


def test_where_clocks_change_each_night_has_one_turn() -> None:
    """In Budapest 02:30 is left out on 31 March 2030, and comes twice on 27 October."""
    for first in (datetime(2030, 3, 29, 12, tzinfo=UTC), datetime(2030, 10, 25, 12, tzinfo=UTC)):
        days = [due.astimezone(BUDAPEST).date() for due in upcoming("30 2 * * *", BUDAPEST, first, 4)]
        assert days == [days[0] + timedelta(days=number) for number in range(4)]
    assert following("* * * * * *", UTC, NOON) == NOON + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"cron": "61 * * * *"}, "'61 \\* \\* \\* \\*' is no cron expression: Bad minute"),
        ({"cron": "nightly"}, "no cron expression: Wrong number of fields"),
        ({"cron": "0 0 30 2 *"}, "no cron expression"),
        ({"timezone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
    ],
)
def test_what_is_no_time_is_refused(fields: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load(EvolveSettings, overrides={"schedule": fields})


def test_the_state_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    state = State(handled=NOON, seen=3, turns=(turn(end=End.DONE, cycle=1, taken=Taken(seconds=1.5)),))
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state and [path.name for path in tmp_path.iterdir()] == [FILE]
    (tmp_path / f"{FILE}.part").write_text("{")  # a kill came while the next one was written
    assert read_state(tmp_path) == state
    (tmp_path / FILE).write_text('{"turns": 3}')
    with pytest.raises(StoreError, match="not what a schedule writes"):
        read_state(tmp_path)


def test_one_schedule_at_a_time(tmp_path: Path) -> None:
    assert not working(tmp_path)
    with only_one(tmp_path):
        with pytest.raises(StoreError, match="another wisen schedule"), only_one(tmp_path):
            pass
        assert working(tmp_path)
    assert not working(tmp_path)


# From here on: real cycles of a model behind real HTTP, whose memory evolves.


@pytest.fixture(autouse=True)
def levers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "create", lambda name, **options: LeverSuite(**options))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def server() -> Iterator[Obedient]:
    with Obedient() as running:
        yield running


class Unpriced(Obedient):
    def _next(self, body: dict[str, Any], key: str) -> Answer:
        return reply(answered(body["messages"][-1]["content"]), model="nobodys-model")


class Night:
    """A workspace with a schedule, and all that it said."""

    def __init__(self, root: Path, url: str) -> None:
        self.workspace, self.url = Workspace(root), url
        self.events: list[ProgressEvent] = []
        self.reports: list[RunReport] = []

    def settings(self, **plan: Any) -> EvolveSettings:
        changes = {
            "remote": {**SETTINGS["remote"], "api_base": self.url},
            "suite_options": {"templates": ["stop"]},
            "collect": {"first": 2, "per_template": 2, "weak_extra": 1},
            "gate": {"per_template": 2, "alpha": 0.2, "uses": 2, "resamples": 200},
            "report": {"per_template": 1},
            "schedule": {"cron": NIGHTLY, "timezone": "UTC", **plan},
        }
        return load(EvolveSettings, overrides={**SETTINGS, **changes})

    async def run(
        self,
        clock: Turned,
        on_event: Callable[[ProgressEvent], None] = lambda event: None,
        once: bool = False,
        **plan: Any,
    ) -> str:
        def told(event: ProgressEvent) -> None:
            self.events.append(event)
            on_event(event)

        return await run_schedule(
            self.settings(**plan), self.workspace, once=once, on_event=told, on_report=self.reports.append, clock=clock
        )

    @property
    def state(self) -> State:
        return read_state(self.workspace.root)

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]

    def store(self) -> Store:
        return self.workspace.read_store()


@pytest.fixture
def night(tmp_path: Path, server: Obedient) -> Night:
    return Night(tmp_path / "ws", server.url)


async def test_each_night_is_one_more_cycle_of_the_same_run_on_tasks_that_nobody_learned_from(night: Night) -> None:
    clock = Turned()
    assert await night.run(clock, turns=3) == "3 turns are done"
    assert clock.waits == [at(2, 2), at(3, 2), at(4, 2)]
    assert [(one.cycle, one.end, one.begun) for one in night.state.turns] == [
        (number, End.DONE, at(number + 1, 2)) for number in (1, 2, 3)
    ]
    assert all(one.taken.tokens > 0 for one in night.state.turns)
    assert [len(report.curve) for report in night.reports] == [1, 2, 3]
    with night.store() as store:
        (run,) = store.runs()
        collected = [store.marked(run.id, f"cycle/{number}/collected") for number in (1, 2, 3)]
        tasks = [{one.task.id for one in store.trajectories(each["ids"])} for each in collected if each]
        assert all(tasks) and len(set.union(*tasks)) == sum(map(len, tasks))
        uses: dict[str, list[int]] = {}
        for gate in store.gates():
            uses.setdefault(gate.panel_digest, []).append(gate.use)
        assert uses and all(used == list(range(1, len(used) + 1)) and len(used) <= 2 for used in uses.values())
        names = {release.id: release.name for release in store.releases()}
        assert {names[gate.candidate_id] for gate in store.gates()} <= {"r1", "r2", "r3"}


async def test_a_turn_that_is_killed_goes_on_with_its_cycle_and_plays_nothing_twice(
    night: Night, server: Obedient, tmp_path: Path
) -> None:
    """Stopped in the collection, at the gate and in the report; a due time passes meanwhile."""

    class Kill(BaseException):
        pass

    def at_phase(phase: str) -> Callable[[ProgressEvent], None]:
        def on_event(event: ProgressEvent) -> None:
            if isinstance(event, PhaseStarted) and event.phase.startswith(phase):
                raise Kill

        return on_event

    asked = len(server.requests)
    clock = Turned(at(2, 1, 59))
    for phase in ("collect", "gate", "report"):
        with pytest.raises(Kill):
            await night.run(clock, at_phase(phase), turns=2)
        assert night.state.open and night.state.open.cycle == 1 and len(night.state.turns) == 1
        clock.forth(timedelta(hours=26))
    assert await night.run(clock, turns=2) == "2 turns are done"
    disturbed = len(server.requests) - asked
    assert [(one.cycle, one.end) for one in night.state.turns] == [(1, End.DONE), (2, End.DONE)]

    other = Night(tmp_path / "other", server.url)
    await other.run(Turned(), turns=2)
    assert disturbed == len(server.requests) - asked - disturbed
    with night.store() as one, other.store() as two:
        assert {each.id for each in one.trajectories()} == {each.id for each in two.trajectories()}
        assert [gate.id for gate in one.gates()] == [gate.id for gate in two.gates()]
        assert one.events() == two.events()


async def test_a_cycle_begins_from_whatever_release_is_present(night: Night) -> None:
    clock = Turned()
    await night.run(clock, turns=1)
    with night.workspace.lock(), night.workspace.open_store() as store:
        first = store.release("r0")
        assert first
        mine = Release(
            id="release-mine", name="mine", model=first.model, bank_version=store.bank_version(), harness=first.harness
        )
        store.add_release(mine)
        store.append_release_event(ReleaseEventKind.PROMOTED, mine.id, reason="promoted by hand: no gate decided")
    await night.run(clock, turns=2)
    with night.store() as store:
        (run,) = store.runs()
        assert store.marked(run.id, "cycle/2/start") == {"release": mine.id}
        r2 = store.release("r2")
        assert r2 is None or r2.parent_id == mine.id


async def test_a_turns_budget_cuts_it_off_and_the_next_one_goes_on(night: Night) -> None:
    clock = Turned()
    assert await night.run(clock, turns=2, turn={"tokens": CALL}) == "2 turns are done"
    first, second = night.state.turns
    assert (first.end, first.cycle, first.fault) == (End.CUT, 1, "1,100 tokens are used")
    assert CALL <= first.taken.tokens <= 8 * CALL and second.cycle == 1  # what the other workers had begun is paid for
    with night.store() as store:
        played = store.count_trajectories()
    why = await night.run(clock, turns=9, total={"tokens": night.state.taken.tokens + CALL})
    assert "tokens are used in all" in why
    with night.store() as store:
        assert store.count_trajectories() > played


async def test_hours_are_of_work_and_not_of_waiting(night: Night) -> None:
    clock = Turned(step=60.0)  # each look at the clock finds a minute gone
    why = await night.run(clock, turns=4, turn={"hours": 0.1}, total={"hours": 0.2})
    assert why.startswith("0.2 hours are used in all")
    assert [one.end for one in night.state.turns] == [End.CUT, End.CUT]
    assert 0.2 <= night.state.taken.seconds / 3600 < 0.4


async def test_a_budget_that_is_too_small_for_training_ends_with_what_to_do(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def trains(bench: Bench, cycles: int, **_: Any) -> RunReport:
        bench.emit(Advanced(phase="train-1", done=1))
        raise AssertionError("a turn that is over its budget does not come here")

    monkeypatch.setattr(running, "evolved", trains)
    with pytest.raises(SettingsError, match="turn 1 used its whole budget, and brought cycle 1 no further"):
        await night.run(Turned(step=3600.0), turn={"hours": 0.5})
    assert night.state.open and night.state.open.taken.seconds > 1800  # with more it goes on


async def test_a_server_that_is_down_is_tried_again_and_then_left_until_the_next_time(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    clock = Turned(at(2, 1, 59))
    done = night.run(clock, turns=2, retries=2, wait=10)

    def mended() -> bool:
        return bool(night.state.turns) and night.state.turns[-1].number == 2

    until = clock.until

    async def watched(moment: datetime) -> None:
        await until(moment)
        if moment == at(3, 2):
            monkeypatch.setenv("OPENAI_API_KEY", KEY)

    monkeypatch.setattr(clock, "until", watched)
    assert await done == "2 turns are done" and mended()
    first, second = night.state.turns
    assert (first.end, first.failures) == (End.FAILED, 3) and "key" in first.fault.lower()
    assert clock.waits == [at(2, 2), at(2, 2, 10), at(2, 2, 20), at(3, 2)]
    assert (second.end, second.cycle, second.failures) == (End.DONE, 1, 0)


async def test_once_does_what_is_due_and_ends(night: Night) -> None:
    clock = Turned()
    assert "the next turn is due at 2030-01-02 02:00:00" in await night.run(clock, once=True)
    assert night.state.turns == () and clock.waits == []
    clock.forth(timedelta(days=3))
    assert await night.run(clock, once=True) == "turn 1: done"
    assert "the next turn is due at 2030-01-05" in await night.run(clock, once=True)
    assert len(night.state.turns) == 1


async def test_a_workspace_that_is_in_use_is_waited_for(night: Night) -> None:
    clock = Turned(at(2, 1, 59))
    held = night.workspace.lock()
    held.__enter__()
    until = clock.until

    async def released(moment: datetime) -> None:
        await until(moment)
        if len(clock.waits) == 3:
            held.__exit__(None, None, None)

    clock.until = released  # type: ignore[method-assign]
    assert await night.run(clock, turns=1, poll=30) == "1 turns are done"
    assert clock.waits == [at(2, 2), at(2, 2) + timedelta(seconds=30), at(2, 2) + timedelta(seconds=60)]
    assert any("is using the workspace" in note for note in night.notes) and night.state.turns[0].failures == 0


async def test_what_an_application_lived_through_starts_a_turn(night: Night) -> None:
    clock = Turned()
    await night.run(clock, turns=1)
    with night.workspace.lock(), night.workspace.open_store() as store:
        lived = store.trajectories(phase=Phase.COLLECT)
        store.start_run("application-x", {"application": "x"}, title="x")
        assert len(lived) == 2
        for number, one in enumerate(lived):
            mine = one.model_copy(update={"id": f"lived-{number}", "run_id": "application-x"})
            store.add_episode(Episode(trajectory=mine, verdicts=(), recall=None, proposals=(), seconds=0.0))
    before = clock.now()
    assert await night.run(clock, turns=2, cron="", trajectories=2) == "2 turns are done"
    assert clock.now() == before and night.state.turns[1].why == "2 new trajectories" and night.state.seen == 2
    waiting = asyncio.create_task(night.run(clock, turns=3, cron="", trajectories=2))
    for _ in range(10):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(night.state.turns) == 2 and "0 of 2 new trajectories are in" in night.notes


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({"cron": ""}, "nothing says when a cycle is due"),
        ({"turn": {"hours": -1}}, "schedule.turn.hours"),
    ],
)
async def test_settings_that_cannot_work_are_refused_at_once(night: Night, plan: dict[str, Any], told: str) -> None:
    with pytest.raises(WisenError, match=told):
        await night.run(Turned(), **plan)
    assert not night.workspace.root.exists()


async def test_dollars_cut_a_turn_off_where_a_price_is_known_and_are_refused_where_none_is(night: Night) -> None:
    assert await night.run(Turned(), turns=1, turn={"dollars": 0.0002}) == "1 turns are done"
    (cut,) = night.state.turns
    assert (cut.end, cut.fault) == (End.CUT, "$0.0002 are spent") and 0.0002 <= cut.taken.dollars < 0.01
    local = load(EvolveSettings, overrides={"schedule": {"cron": NIGHTLY, "total": {"dollars": 1}}})
    with pytest.raises(SettingsError, match="means nothing to models of this machine"):
        await run_schedule(local, night.workspace, clock=Turned())
    with Unpriced() as server:
        night.url = server.url
        with pytest.raises(SettingsError, match="the price of openai/obedient is not known"):
            await night.run(Turned(), turns=2, turn={"dollars": 1.0})


def test_the_schedule_names_no_run(night: Night) -> None:
    one, other = (
        Bench("evolve", night.settings(**plan), night.workspace, lambda e: None) for plan in ({}, {"turns": 3})
    )
    assert one.run_id == other.run_id and "schedule" not in json.dumps(one.identity)
