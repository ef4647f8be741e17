"""A suite with few tasks: nothing is played twice to learn from, and the run ends in good order where they do."""

from pathlib import Path
from typing import Any

import pytest

from tests.evolution.test_memory_only import MODEL, Obedient
from tests.support.fake_openai import KEY
from tests.support.levers import LeverSuite
from wisen.core.errors import SettingsError
from wisen.core.records import Note, Phase, ProgressEvent, RunReport, Split, Task
from wisen.core.settings import load
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.environments import registry
from wisen.evolution.evolve import evolve
from wisen.evolution.panels import limited
from wisen.evolution.play import play
from wisen.evolution.settings import EvolveSettings, RunSettings


class FewLevers(LeverSuite):
    """So many tasks of each template in each split; `few` has fewer of one."""

    def __init__(self, learn: int, gate: int = 5, report: int = 3, few: int = 99) -> None:
        super().__init__()
        self._sizes = {Split.LEARN: learn, Split.GATE: gate, Split.REPORT: report}
        self._few = few

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        end = min(self._sizes[split], offset + per_template)
        found = super().tasks(split, max(0, end - offset), offset=offset)
        first = super().tasks(split, 1)[0].seed
        return tuple(task for task in found if task.template_id != "levers/two" or task.seed - first < self._few)


@pytest.fixture
def levers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "create", lambda name, **options: FewLevers(**options))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


async def run(server: Obedient, root: Path, options: dict[str, int], **changed: Any) -> tuple[RunReport, list[str]]:
    settings: dict[str, Any] = {
        "model": MODEL,
        "suite": "levers",
        "suite_options": options,
        "cycles": 9,
        "collect": {"first": 2, "per_template": 1, "weak_extra": 1},
        "gate": {"per_template": 2, "alpha": 0.2, "uses": 8, "resamples": 200},
        "report": {"per_template": 9},
        "remote": {"retries": 0, "api_base": server.url},
        **changed,
    }
    told: list[ProgressEvent] = []
    report = await evolve(load(EvolveSettings, overrides=settings), Workspace(root), on_event=told.append)
    return report, [event.text for event in told if isinstance(event, Note)]


def test_limited_is_what_has_fewer_far_away() -> None:
    assert not limited(LeverSuite()) and limited(FewLevers(50)) and limited(FewLevers(10**7, few=50))


@pytest.mark.usefixtures("levers")
async def test_learning_tasks_run_out(tmp_path: Path) -> None:
    with Obedient() as server:
        report, notes = await run(server, tmp_path, {"learn": 4, "few": 3, "report": 2})
        again, told = await run(server, tmp_path, {"learn": 4, "few": 3, "report": 2})
    ended = "all tasks of levers that there are to learn from have been played: the run ends after 2 of 9 cycles"
    assert ended in notes and len(report.curve) == 2 and report.curve[0].collected == 6
    with Store.open(Workspace(tmp_path).store_url) as store:
        played = [one.task.id for one in store.trajectories() if one.phase is Phase.COLLECT]
    assert len(played) == len(set(played))  # none was learned from twice
    assert set(played) >= {task.id for task in FewLevers(2).tasks(Split.LEARN, 2)}
    assert report.arms[0].tasks == 6 and report.arms[0].families.keys() == {
        f"levers/{one}" for one in ("one", "two", "stop")
    }
    assert [point.cycle for point in again.curve] == [1, 2] and any("ends after 2" in note for note in told)


@pytest.mark.usefixtures("levers")
async def test_gate_tasks_run_out(tmp_path: Path) -> None:
    """Two panels' worth of gate tasks, the second smaller, each good for one use: two gates, and then the end."""
    with Obedient() as server:
        settings = {"gate": {"per_template": 3, "alpha": 0.2, "uses": 1, "resamples": 200}}
        report, notes = await run(server, tmp_path, {"learn": 10**6, "gate": 5}, **settings)
    assert [len(gate.outcomes) for gate in report.gates] == [9, 6] and len(report.curve) == 2
    assert any("the gate tasks of levers are used up" in note and "after 2 of 9 cycles" in note for note in notes)


@pytest.mark.usefixtures("levers")
async def test_a_run_beyond_the_last_task_is_refused(tmp_path: Path) -> None:
    settings = {"model": "uniform", "suite": "levers", "suite_options": {"learn": 5, "report": 2}, "offset": 2}
    with pytest.raises(SettingsError, match="has no tasks under report from 2 on"):
        await play(load(RunSettings, overrides=settings), Workspace(tmp_path))


@pytest.mark.usefixtures("levers")
@pytest.mark.parametrize("split", ["learn", "gate", "report"])
async def test_a_suite_with_nothing_for_a_panel_is_refused(tmp_path: Path, split: str) -> None:
    options = {"learn": 5, "gate": 5, "report": 5, split: 0}
    with Obedient() as server, pytest.raises(SettingsError, match=f"has no tasks under {split}"):
        await run(server, tmp_path, options)
