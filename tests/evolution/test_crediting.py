"""Credit within the loop: what was measured moves items, once, and a run that is killed there comes to the same."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support.evolving import Host, differing, result
from wisen.app.commands.memory import app
from wisen.core.errors import SettingsError
from wisen.core.records import ItemStatus, LedgerEvent
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.evolution.crediting import collected, largest, move_items
from wisen.evolution.settings import CreditSettings
from wisen.memory.bank import Bank
from wisen.memory.lifecycle import ACTOR

pytestmark = pytest.mark.timeout(300)

# Retire whatever is not worth 99 points for certain: some fifty appearances are enough for that.
EAGER = """
seed = 2
suite = "levers"
suite_options = {templates = ["stop"]}
workers = 4
threads = 1
trainer = "none"
backbone = "tiny"
tiny = {vocab_size = 300, hidden_size = 32, layers = 1, heads = 2, feed_forward = 64, context = 1024}
warmup = {pages = 8, threads = 1}
collect = {first = 12, per_template = 90, weak_extra = 0}
credit = {moves = true, margin = 0.99}
gate = {per_template = 2, alpha = 0.49, uses = 2, resamples = 200}
report = {per_template = 2}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("host"), EAGER)
    yield made
    made.close()


@pytest.fixture(scope="module")
def undisturbed(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    assert host.evolve(root) == 0, host.said()
    return root


def test_items_move_by_what_was_seen_of_them(undisturbed: Path) -> None:
    with Store.open(Workspace(undisturbed).store_url) as store:
        (run,) = store.runs()
        events = [event for event in store.events() if event.actor == ACTOR]
        (account,) = collected(store, run.id)  # the weights stay the same, so two cycles are one account
        bank = Bank(store)
        credits = largest(account.credits(store, bank.snapshot().items))
        marks = store.marks(run.id)
        recalls = store.recalls()
        move_items(store, run.id, 2, CreditSettings(moves=True, margin=0.99))  # again: nothing is done twice
        assert [event for event in store.events() if event.actor == ACTOR] == events
    assert events and all(event.status is ItemStatus.RETIRED for event in events)
    assert len(account.outcomes) == 12 + 90
    assert {"cycle/1/credit", "cycle/2/credit"} <= marks.keys()
    for event in events:
        one = credits[event.item_id]
        assert one.lift is not None and one.lift.high < 0.99
        assert str(one.appearances) in event.reason and event.figures["log_e"] == one.log_e
        assert bank.snapshot(event.seq).statuses[event.item_id] is ItemStatus.RETIRED
        # what was retired is recalled no more, and that it was there is counted
        later = [recall for recall in recalls if recall.bank_version >= event.seq]
        assert all(event.item_id not in {one.item_id for one in recall.ranked} for recall in later)


def test_a_run_that_is_killed_around_it_comes_to_the_same(host: Host, undisturbed: Path, tmp_path: Path) -> None:
    for when in ("before", "after"):  # the third change of the ledger: credit, lessons, and then credit in cycle 2
        nth = 3 if when == "before" else 1  # which is the first of those that are left
        code = host.evolve(tmp_path, kill={"when": when, "write": "the ledger", "nth": nth})
        assert code == -signal.SIGKILL, host.said()
        with Store.open(Workspace(tmp_path).store_url) as store:
            moved: list[LedgerEvent] = [event for event in store.events() if event.actor == ACTOR]
        assert bool(moved) == (when == "after")
    assert host.evolve(tmp_path) == 0, host.said()
    assert not differing(result(tmp_path), result(undisturbed))


def test_the_report_shows_the_interval_that_may_be_read_at_any_time(undisturbed: Path) -> None:
    (path,) = undisturbed.glob("runs/*/report.json")
    report = json.loads(path.read_text())
    listed = report["best_items"] + report["worst_items"]
    assert listed and all(-1 <= one["lift"]["low"] <= one["lift"]["high"] <= 1 for one in listed)
    assert all(one["lift"]["high"] - one["lift"]["low"] > 0.3 for one in listed)  # 100 appearances tell little


def test_the_commands_tell_what_was_measured(undisturbed: Path) -> None:
    def said(*words: str) -> str:
        found = CliRunner().invoke(app, [*words, "--workspace", str(undisturbed)])
        assert found.exit_code == 0, found.output
        return found.output

    with Store.open(Workspace(undisturbed).store_url) as store:
        (run,) = store.runs()
        (account,) = collected(store, run.id)
        one = next(iter(account.credits(store, Bank(store).snapshot().items)))
        recall = next(recall for recall in account.recalls if recall.shown)
        held_out = next(
            recall
            for recall in account.recalls
            if recall.arm == "on" and any(place.propensity and not place.shown for place in recall.ranked)
        )
    stats = said("stats")
    assert one.item.id in stats and f"{one.appearances} appearances" in stats and "by distiller:" in stats
    assert "retired" in stats and "extractive" in stats
    shown = said("show", one.item.id)
    assert f"{one.shown} shown, {one.held_out} held out" in shown and "it does not help" in shown
    why = said("why", recall.trajectory_id)
    assert recall.query in why and recall.shown[0] in why and "shown (to be shown with probability 0.5)" in why
    assert "held out (to be shown with probability 0.5)" in said("why", held_out.trajectory_id)
    wrong = CliRunner().invoke(app, ["why", "nothing", "--workspace", str(undisturbed)])
    assert isinstance(wrong.exception, SettingsError) and "nothing" in str(wrong.exception)
