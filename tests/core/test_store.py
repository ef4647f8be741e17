"""What the store promises, on every database it runs on."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from wisen.core.errors import StoreError
from wisen.core.records import (
    Checkpoint,
    Episode,
    EventKind,
    GateAnswer,
    GateDecision,
    LedgerEvent,
    MemoryItem,
    Phase,
    Release,
    ReleaseEventKind,
    Verdict,
    VerdictSource,
)
from wisen.core.store import Store

Episodes = Callable[..., Episode]


# Runs and marks


def test_runs_are_listed_newest_last_and_starting_again_changes_nothing(store: Store) -> None:
    store.start_run("another", {"b": [1, {"c": None}]}, title="Another")
    before = store.runs()
    store.start_run("run", {"seed": 0}, title="renamed")
    assert store.runs() == before
    assert [run.id for run in before] == ["run", "another"]
    assert before[1].settings == {"b": [1, {"c": None}]} and before[1].title == "Another"
    assert before[0].created_at.utcoffset() is not None and before[0].created_at <= before[1].created_at
    assert store.run("nobody") is None


def test_a_run_cannot_be_resumed_with_other_settings(store: Store) -> None:
    with pytest.raises(StoreError, match=r"other settings \(seed\)"):
        store.start_run("run", {"seed": 1})
    with pytest.raises(StoreError, match="extra"):
        store.start_run("run", {"seed": 0, "extra": True})


def test_finishing_a_run_is_noted_once(store: Store) -> None:
    assert store.run("run").finished_at is None  # type: ignore[union-attr]
    store.finish_run("run")
    first = store.run("run")
    store.finish_run("run")
    assert first is not None and first.finished_at is not None and store.run("run") == first
    with pytest.raises(StoreError, match="no run 'nobody'"):
        store.finish_run("nobody")


def test_marks_are_written_once(store: Store) -> None:
    store.mark("run", "cycle/1/trained", {"name": "tiny-1", "loss": 0.5})
    store.mark("run", "cycle/1/trained", {"loss": 0.5, "name": "tiny-1"})
    with pytest.raises(StoreError, match="contradicts"):
        store.mark("run", "cycle/1/trained", {"name": "tiny-2"})
    store.mark("run", "empty", {})
    with pytest.raises(StoreError, match="contradicts"):
        store.mark("run", "empty", {"a": 1})
    assert store.marked("run", "cycle/1/trained") == {"name": "tiny-1", "loss": 0.5}
    assert store.marked("run", "never") is None
    assert store.marks("run") == {"cycle/1/trained": {"name": "tiny-1", "loss": 0.5}, "empty": {}}
    with pytest.raises(StoreError, match="no run"):
        store.mark("nobody", "key", {})


# Episodes


def test_an_episode_comes_back_as_it_was(store: Store, episode: Episodes) -> None:
    one = episode(1)
    assert store.add_episode(one) is True
    id = one.trajectory.id
    assert store.trajectory(id) == one.trajectory
    assert store.verdicts([id]) == {id: one.verdicts}
    assert store.recalls([id]) == (one.recall,)
    assert store.proposals([id]) == {id: one.proposals}
    assert store.trajectory("nothing") is None


def test_an_episode_that_asked_its_memory_again_keeps_all_recalls_in_their_turn(
    store: Store, episode: Episodes
) -> None:
    one = episode(1)
    assert one.recall is not None
    later = [
        one.recall.model_copy(update={"id": f"recall-{letter}", "number": n}) for n, letter in ((1, "b"), (2, "a"))
    ]
    assert store.add_episode(one.model_copy(update={"later_recalls": tuple(later)}))
    assert store.recalls([one.trajectory.id]) == store.recalls() == (one.recall, *later)
    astray = episode(2).model_copy(update={"later_recalls": tuple(later)})
    with pytest.raises(StoreError, match="parts of traj-0001"):
        store.add_episode(astray)
    task = one.trajectory.task
    assert store.templates() == {task.id: task.template_id}


def test_an_episode_is_taken_once(store: Store, episode: Episodes) -> None:
    store.add_episode(episode(1))
    assert store.add_episode(episode(1, success=False, judged=(False, False), proposals=5)) is False
    assert store.trajectory("traj-0001") == episode(1).trajectory
    assert store.verdicts(["traj-0001"]) == {"traj-0001": episode(1).verdicts}
    assert store.proposals(["traj-0001"]) == {"traj-0001": episode(1).proposals}


def test_an_episode_is_taken_whole_or_not_at_all(store: Store, episode: Episodes) -> None:
    store.add_episode(episode(1))
    taken = episode(1).recall
    assert taken is not None
    clash = episode(2).model_copy(update={"recall": taken.model_copy(update={"trajectory_id": "traj-0002"})})
    with pytest.raises(StoreError, match="doubles"):
        store.add_episode(clash)
    assert store.present(["traj-0001", "traj-0002"]) == {"traj-0001"}
    assert store.verdicts(["traj-0002"]) == {}
    assert store.add_episode(episode(2)) is True


def test_parts_of_another_trajectory_and_unknown_runs_are_refused(store: Store, episode: Episodes) -> None:
    with pytest.raises(StoreError, match="has parts of traj-0002"):
        store.add_episode(episode(1).model_copy(update={"verdicts": episode(2).verdicts}))
    with pytest.raises(StoreError, match="no run 'nobody'"):
        store.add_episode(episode(1, run_id="nobody"))
    assert store.trajectories() == ()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_cannot_hold_is_refused_at_the_door(store: Store, episode: Episodes, number: float) -> None:
    one = episode(1)
    broken = one.trajectory.model_copy(update={"reward": number})
    with pytest.raises(StoreError, match="episode traj-0001"):
        store.add_episode(one.model_copy(update={"trajectory": broken}))
    assert store.trajectories() == ()


def test_trajectories_are_chosen_and_ordered(store: Store, episode: Episodes) -> None:
    store.start_run("other", {})
    store.add_episode(episode(3, release_id="rel-1"))
    store.add_episode(episode(1, success=False))
    store.add_episode(episode(4, run_id="other"))
    store.add_episode(episode(2, success=None, phase=Phase.GATE))

    def ids(*args: list[str], **where: object) -> list[str]:
        return [trajectory.id[-1] for trajectory in store.trajectories(*args, **where)]  # type: ignore[arg-type]

    assert ids() == ["1", "2", "3", "4"]
    assert ids(["traj-0003", "nothing", "traj-0001", "traj-0003"]) == ["3", "1"]
    assert ids([]) == []
    assert ids(run_id="run") == ["1", "2", "3"]
    assert ids(run_id="run", phase=Phase.COLLECT) == ["1", "3"]
    assert ids(release_id="rel-1") == ["3"]
    assert ids(success=True) == ["3", "4"]
    assert ids(success=False) == ["1"]
    assert ids(["traj-0004", "traj-0003"], run_id="run") == ["3"]
    assert [recall.id for recall in store.recalls(run_id="run", phase=Phase.COLLECT)] == ["recall-1", "recall-3"]
    assert [recall.id for recall in store.recalls()] == ["recall-1", "recall-2", "recall-3", "recall-4"]


def test_more_ids_than_fit_in_one_query(store: Store, episode: Episodes) -> None:
    for number in range(3):
        store.add_episode(episode(number))
    many = [f"traj-{number:04d}" for number in range(2500, -1, -1)]
    assert store.present(many) == {"traj-0000", "traj-0001", "traj-0002"}
    assert list(store.outcomes(many)) == ["traj-0002", "traj-0001", "traj-0000"]
    assert [trajectory.id for trajectory in store.trajectories(many)] == ["traj-0002", "traj-0001", "traj-0000"]


@pytest.mark.parametrize(
    ("own", "judged", "later", "expected"),
    [
        (True, (), [], True),
        (False, (), [], False),
        (None, (), [], False),
        (None, (), [("judge", True)], True),
        (False, (), [("judge", False), ("person", True)], True),
        (False, (), [("person", True), ("judge", False)], False),
        (True, (False,), [], False),
        (True, (False, True), [], True),
        (None, (False,), [("judge", True), ("person", True)], False),
        (None, (False,), [("judge", False), ("environment", True)], True),
    ],
)
def test_success_is_the_newest_verdict_with_the_environment_first(
    store: Store,
    episode: Episodes,
    own: bool | None,
    judged: tuple[bool, ...],
    later: list[tuple[str, bool]],
    expected: bool,
) -> None:
    one = episode(1, success=own, judged=judged)
    store.add_episode(one)
    for source, success in later:
        store.add_verdict(Verdict(trajectory_id="traj-0001", source=VerdictSource(source), success=success, score=0.5))
    outcome = store.outcomes(["traj-0001"])["traj-0001"]
    assert outcome.success is expected
    assert (outcome.task_id, outcome.template_id, outcome.arm) == ("task-1", "template-1", "arm")
    assert (outcome.reward, outcome.steps, outcome.end, outcome.seconds) == (1.0, 1, one.trajectory.end, 0.25)


def test_outcomes_read_no_bodies(store: Store, episode: Episodes) -> None:
    store.add_episode(episode(1))
    said: list[str] = []
    event.listen(store._engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    store.outcomes(["traj-0001"])
    store.present(["traj-0001"])
    assert any("trajectories" in statement for statement in said)
    assert not any("body" in statement for statement in said)


def test_a_verdict_is_added_beside_the_earlier_ones_and_a_repeated_one_is_not(store: Store, episode: Episodes) -> None:
    store.add_episode(episode(1, judged=()))

    def by_person(success: bool) -> Verdict:
        return Verdict(
            trajectory_id="traj-0001", source=VerdictSource.PERSON, author="ann", success=success, score=float(success)
        )

    assert store.add_verdict(by_person(True)) is True
    assert store.add_verdict(by_person(True)) is False
    assert store.add_verdict(by_person(False)) is True
    assert store.add_verdict(by_person(True)) is True  # a change of mind, back to what it was
    assert [verdict.success for verdict in store.verdicts(["traj-0001"])["traj-0001"]] == [True, False, True]
    with pytest.raises(StoreError, match="no trajectory 'nothing'"):
        store.add_verdict(by_person(True).model_copy(update={"trajectory_id": "nothing"}))


# The ledger


def _proposed(item: MemoryItem) -> LedgerEvent:
    return LedgerEvent(seq=99, kind=EventKind.PROPOSED, item_id=item.id, item=item)


def test_the_ledger_counts_without_holes(store: Store, item: Callable[..., MemoryItem]) -> None:
    assert store.bank_version() == 0 and store.events() == ()
    assert store.append_events([]) == 0
    assert store.append_events([_proposed(item("a")), _proposed(item("b"))]) == 2
    assert store.append_events([_proposed(item("c"))]) == 3
    assert [(event.seq, event.item_id) for event in store.events()] == [(1, "a"), (2, "b"), (3, "c")]
    assert store.events(2) == store.events()[:2] and store.events(0) == ()
    assert store.events()[0].item == item("a")
    assert store.bank_version() == 3


def test_marked_events_are_appended_once(store: Store, item: Callable[..., MemoryItem]) -> None:
    mark = ("run", "cycle/1/bank", {"items": 1})
    assert store.append_events([_proposed(item("a"))], mark=mark) == 1
    assert store.append_events([_proposed(item("a"))], mark=mark) == 1
    assert store.append_events([], mark=("run", "cycle/2/bank", {"items": 0})) == 1
    assert store.append_events([_proposed(item("z"))], mark=("run", "cycle/2/bank", {"items": 0})) == 1
    assert set(store.marks("run")) == {"cycle/1/bank", "cycle/2/bank"}


def test_events_and_their_mark_stand_or_fall_together(store: Store, item: Callable[..., MemoryItem]) -> None:
    with pytest.raises(StoreError, match="no run"):
        store.append_events([_proposed(item("a"))], mark=("nobody", "key", {}))
    assert store.bank_version() == 0
    unwritable = _proposed(item("a")).model_copy(update={"reason": "\ud83e"})  # half an owl
    with pytest.raises(StoreError):
        store.append_events([_proposed(item("a")), unwritable], mark=("run", "key", {}))
    assert store.bank_version() == 0 and store.marks("run") == {}
    assert store.append_events([_proposed(item("a"))], mark=("run", "key", {})) == 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["k1", "k2", "k3", None]), st.booleans()), max_size=12))
def test_any_history_of_the_ledger_is_gapless(batches: list[tuple[int, str | None, bool]]) -> None:
    """Against a model in three lines: a list, and the set of marks seen."""
    with Store.open("sqlite://") as store:
        store.start_run("run", {})
        expected: list[str] = []
        seen: set[str] = set()
        for number, (size, key, broken) in enumerate(batches):
            names = [f"{number}-{k}" for k in range(size)]
            events = [LedgerEvent(seq=0, kind=EventKind.STATUS, item_id=name) for name in names]
            run = "nobody" if broken else "run"
            repeated = key is not None and not broken and key in seen
            try:
                version = store.append_events(events, mark=None if key is None else (run, key, {}))
            except StoreError:
                assert broken and key is not None
                continue
            if not repeated:
                expected += names
            if key is not None:
                seen.add(key)
            assert version == len(expected) == store.bank_version()
        assert [(event.seq, event.item_id) for event in store.events()] == list(enumerate(expected, start=1))


# Checkpoints, releases, gates


def test_a_checkpoints_name_is_never_reused(store: Store) -> None:
    first = Checkpoint(name="tiny-1", path="weights/tiny-1", sha256="aa", recipe={"lr": 0.002})
    second = Checkpoint(name="tiny-0", path="weights/tiny-0", sha256="bb", parent="tiny-1")
    assert store.add_checkpoint(first) is True and store.add_checkpoint(second) is True
    assert store.add_checkpoint(first) is False
    with pytest.raises(StoreError, match="another checkpoint named tiny-1"):
        store.add_checkpoint(first.model_copy(update={"sha256": "cc"}))
    assert store.checkpoint("tiny-1") == first and store.checkpoint("none") is None
    assert store.checkpoints() == (first, second)


def test_releases_are_created_once_and_found_by_id_or_name(store: Store, release: Callable[[int], Release]) -> None:
    assert store.add_release(release(0), "the first") is True
    assert store.add_release(release(0), "again") is False
    assert store.add_release(release(1)) is True
    assert store.releases() == (release(0), release(1))
    assert store.release("rel-1") == store.release("r1") == release(1)
    assert store.release("r9") is None
    assert [(event.seq, event.kind, event.release_id, event.reason) for event in store.release_events()] == [
        (1, ReleaseEventKind.CREATED, "rel-0", "the first"),
        (2, ReleaseEventKind.CREATED, "rel-1", ""),
    ]
    for change in ({"id": "rel-9"}, {"name": "r9"}):
        with pytest.raises(StoreError, match="never change"):
            store.add_release(release(1).model_copy(update=change))


def test_the_present_release_is_the_last_promoted_or_rolled_back_to(
    store: Store, release: Callable[[int], Release]
) -> None:
    for number in range(3):
        store.add_release(release(number))
    assert store.current_release() is None
    promoted = store.append_release_event(ReleaseEventKind.PROMOTED, "rel-0")
    assert (promoted.seq, promoted.gate_id) == (4, None)
    assert store.current_release() == release(0)
    store.append_release_event(ReleaseEventKind.PROMOTED, "rel-1", gate_id="gate-1", reason="better")
    store.append_release_event(ReleaseEventKind.REJECTED, "rel-2")
    assert store.current_release() == release(1)
    store.append_release_event(ReleaseEventKind.ROLLED_BACK, "rel-0")
    assert store.current_release() == release(0)
    with pytest.raises(StoreError, match="no release 'rel-9'"):
        store.append_release_event(ReleaseEventKind.PROMOTED, "rel-9")


def test_a_decision_and_what_follows_from_it_are_one(
    store: Store, release: Callable[[int], Release], decision: Callable[..., GateDecision]
) -> None:
    for number in range(4):
        store.add_release(release(number))
    store.append_release_event(ReleaseEventKind.PROMOTED, "rel-0")
    promote = decision(1, GateAnswer.PROMOTE)
    assert store.add_gate(promote, run_id="run") is True
    assert store.current_release() == release(1)
    events = store.release_events()
    assert (events[-1].kind, events[-1].gate_id, events[-1].reason) == (ReleaseEventKind.PROMOTED, "gate-1", "because")

    store.append_release_event(ReleaseEventKind.ROLLED_BACK, "rel-0")
    assert store.add_gate(promote, run_id="run") is False  # a resumed run must not promote a second time
    assert store.current_release() == release(0)
    with pytest.raises(StoreError, match="another gate decision"):
        store.add_gate(decision(1, GateAnswer.KEEP), run_id="run")

    store.add_gate(decision(2, GateAnswer.KEEP, use=2), run_id="run")
    store.add_gate(decision(3, GateAnswer.NOT_ENOUGH_EVIDENCE, panel="other"), run_id="run")
    assert [event.kind for event in store.release_events()[-2:]] == [ReleaseEventKind.REJECTED] * 2
    assert (
        [gate.id for gate in store.gates()]
        == [gate.id for gate in store.gates("run")]
        == ["gate-1", "gate-2", "gate-3"]
    )
    assert store.gates("other") == () and store.gates()[0] == promote
    assert [store.panel_uses(panel) for panel in ("digest", "other", "none")] == [2, 1, 0]


def test_a_decision_that_cannot_be_recorded_leaves_no_event(
    store: Store, release: Callable[[int], Release], decision: Callable[..., GateDecision]
) -> None:
    store.add_release(release(1))
    before = store.release_events()
    with pytest.raises(StoreError, match="no run 'nobody'"):
        store.add_gate(decision(1, GateAnswer.PROMOTE), run_id="nobody")
    with pytest.raises(StoreError, match="no release 'rel-7'"):
        store.add_gate(decision(7, GateAnswer.PROMOTE), run_id="run")
    endless = decision(1, GateAnswer.PROMOTE).model_copy(update={"p_value": float("nan")})
    with pytest.raises(StoreError):
        store.add_gate(endless, run_id="run")
    assert store.release_events() == before and store.gates() == () and store.current_release() is None
