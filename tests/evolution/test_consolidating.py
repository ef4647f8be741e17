"""Consolidation on trial: the gate lets a tidied bank in, or the bank is what it was."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.evolution.test_memory_only import Obedient, levers, settings
from wisen.app.commands.memory import app
from wisen.core.records import ItemStatus, Note, Phase, ReleaseEventKind
from wisen.core.statistics import loss_bound
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.evolution.evolve import evolve
from wisen.memory.bank import Bank, Snapshot, compare

__all__ = ["levers"]

ONE = {"cycles": 1, "gate": {"per_template": 12, "alpha": 0.4, "uses": 2, "resamples": 200}}


async def run(root: Path, **consolidate: Any) -> list[str]:
    notes: list[str] = []
    with Obedient() as server:
        await evolve(
            settings(server, **ONE, consolidate={"every": 1, **consolidate}),
            Workspace(root),
            on_event=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
        )
    return [note for note in notes if note.startswith("consolidation:")]


def same(one: Snapshot, other: Snapshot) -> bool:
    difference = compare(one, other)
    return not (difference.added or difference.removed or difference.changed)


@pytest.mark.usefixtures("levers")
async def test_the_gate_accepts_a_tidier_bank_that_costs_little(tmp_path: Path) -> None:
    (note,) = await run(tmp_path, near=0.9, tolerance=0.3)
    assert "accepted" in note and "points are lost" in note
    with Store.open(Workspace(tmp_path).store_url) as store:
        bank, present = Bank(store), store.current_release()
        assert present is not None and present.name == "r1c" and present.parent_id is not None
        before = store.release(present.parent_id)
        assert before is not None and before.model == present.model
        old, new = bank.snapshot(before.bank_version), bank.snapshot(present.bank_version)
        assert new.version == bank.version and 0 < len(new.recallable) < len(old.recallable)
        assert new.items.keys() == old.items.keys()  # the rest has retired; nothing is gone
        assert {key for item in new.recallable for key in item.evidence} >= {
            key for item in old.recallable for key in item.evidence
        }
        episodes = store.count_trajectories()
        assert all(store.trajectory(key) is not None for item in new.items.values() for key in item.evidence)
    assert await run(tmp_path, near=0.9, tolerance=0.3) == []  # done is done
    with Store.open(Workspace(tmp_path).store_url) as store:
        assert store.count_trajectories() == episodes


@pytest.mark.usefixtures("levers")
async def test_the_gate_refuses_one_that_loses_what_helped_and_the_bank_is_restored(tmp_path: Path) -> None:
    """At a cosine of 0.05 everything says the same: what is left knows nothing of the red lever."""
    (note,) = await run(tmp_path, near=0.05, tolerance=0.05)
    assert "restored" in note
    with Store.open(Workspace(tmp_path).store_url) as store:
        bank, present = Bank(store), store.current_release()
        assert present is not None and present.name == "r1"
        assert same(bank.snapshot(), bank.snapshot(present.bank_version)) and bank.version > present.bank_version
        (rejected,) = [one for one in store.release_events() if one.kind is ReleaseEventKind.REJECTED]
        tried = store.release(rejected.release_id)
        assert tried is not None and tried.name == "r1c"
        tidied = bank.snapshot(tried.bank_version)
        assert len(tidied.recallable) < len(bank.snapshot().recallable)
        assert ItemStatus.RETIRED in tidied.statuses.values()
        gates = {gate.candidate_id: gate for gate in store.gates()}
        assert sum(pair.old and not pair.new for pair in gates[tried.id].outcomes) > 0  # it lost tasks
        played = {one.release_id for one in store.trajectories() if one.phase is Phase.GATE}
        assert {tried.id, present.id} <= played
    words = ["consolidate", "--near", "0.05", "--workspace", str(tmp_path)]
    said = await asyncio.to_thread(lambda: CliRunner().invoke(app, words))
    assert said.exit_code == 0, said.output
    assert "would absorb" in said.output and "nothing was changed" in said.output
    with Store.open(Workspace(tmp_path).store_url) as store:
        assert same(Bank(store).snapshot(), bank_of(tmp_path, present.bank_version))


def bank_of(root: Path, version: int) -> Snapshot:
    with Store.read(Workspace(root).store_url) as store:
        return Bank(store).snapshot(version)


@pytest.mark.usefixtures("levers")
async def test_it_is_off_unless_asked_for(tmp_path: Path) -> None:
    with Obedient() as server:
        report = await evolve(settings(server, **ONE | {"cycles": 0}), Workspace(tmp_path))
    assert report.settings["consolidate"]["every"] == 0
    assert json.dumps(report.settings)  # what a run is made of stays plain


def test_what_a_change_costs_at_most() -> None:
    """Exact bounds: no loss in n tasks bounds the losses at 1 - (alpha / 2) ** (1 / n)."""
    assert loss_bound(0, 0, 100, 0.05) == pytest.approx(1 - 0.025 ** (1 / 100))
    assert loss_bound(0, 5, 100, 0.05) > loss_bound(0, 0, 100, 0.05) > loss_bound(10, 0, 100, 0.05)
    assert loss_bound(0, 4, 4, 0.05) == 1.0
    with pytest.raises(ValueError, match="do not fit"):
        loss_bound(3, 3, 5, 0.05)
