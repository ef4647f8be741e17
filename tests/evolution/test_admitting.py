"""Skills are tried in a real suite, and only what passed is let in."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.levers import Levers, LeverSuite
from wisen.agent.experience import Experience
from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import (
    Action,
    Episode,
    EpisodeEnd,
    ItemStatus,
    MemoryItem,
    Phase,
    PhaseEnded,
    ProgressEvent,
    Split,
    Step,
    StepResult,
    Task,
    Trajectory,
    Verdict,
    VerdictSource,
)
from wisen.core.settings import load
from wisen.core.workspace import Workspace
from wisen.environments import registry
from wisen.evolution.admitting import admit, trial, unproven
from wisen.evolution.cycle import _distil
from wisen.evolution.settings import EvolveSettings
from wisen.evolution.workbench import Bench, Workbench
from wisen.memory.distillers import make_distiller
from wisen.memory.distillers.skills import Skills
from wisen.memory.items import identified
from wisen.memory.outbox import Outbox
from wisen.models.scripted import ScriptedModel


async def success(task: Task, way: list[str]) -> tuple[Trajectory, Verdict]:
    """The task, played by that way in its environment."""
    environment = Levers()
    first = seen = await environment.reset(task)
    steps = []
    for index, text in enumerate(way):
        result = await environment.step(Action(text=text))
        steps.append(Step(index=index, observation=seen, calls=(), action=Action(text=text), result=result))
        seen = result.observation
    assert result.success
    played = Trajectory(
        id=f"traj-{task.id}",
        run_id="run",
        task=task,
        phase=Phase.COLLECT,
        release_id="rel",
        attempt=0,
        arm="",
        instruction=first.instruction,
        steps=tuple(steps),
        end=EpisodeEnd.TERMINATED,
        reward=1.0,
        success=True,
        final=seen,
    )
    return played, Verdict(trajectory_id=played.id, source=VerdictSource.ENVIRONMENT, success=True, score=1.0)


def named(task: str) -> list[str]:
    return re.findall(r'"(\w+)"', task)


def written(instruction: str, taken: list[str]) -> str:
    """The skill that a good writer makes of a way to press what the task names."""
    names = named(instruction)
    parameters = [{"name": f"lever_{n}", "meaning": "a lever", "value": name} for n, name in enumerate(names)]
    steps = [f'press lever "{{lever_{n}}}"' for n in range(len(names))] or taken
    skill = {"name": "press", "description": "Presses.", "when_to_use": "Levers.", "parameters": parameters}
    return json.dumps({"skill": {**skill, "steps": steps}})


async def made(template: str) -> tuple[MemoryItem, list[Trajectory]]:
    """A skill from the first task of the template, and successes at its first three tasks."""
    played = []
    for task in LeverSuite([template]).tasks(Split.LEARN, 3):
        seen = await Levers().reset(task)
        way = [f'press lever "{name}"' for name in named(seen.instruction) or ["red"]]
        played.append(await success(task, way))
    one = played[0][0]
    model = ScriptedModel([written(one.instruction, [str(step.action) for step in one.steps])])
    (item,) = await Skills(model).distil([played[0]])
    return item, [trajectory for trajectory, _ in played]


@pytest.mark.parametrize("template", ["one", "two", "stop"])
async def test_a_skill_that_works_passes_on_another_task_of_its_template(template: str) -> None:
    item, played = await made(template)
    task = trial(item, played)
    assert task.id != played[0].task.id and task.template_id == played[0].task.template_id
    verdict = await admit(item, LeverSuite(), task)
    assert verdict.success and verdict.source is VerdictSource.ENVIRONMENT and not verdict.reason
    assert verdict == await admit(item, LeverSuite(), task)


async def test_it_is_tried_on_its_own_task_where_no_other_has_its_words() -> None:
    item, played = await made("one")
    elsewhere, others = await made("two")
    assert trial(item, [*others, played[0]]) == played[0].task
    with pytest.raises(ValueError, match="was not collected"):
        trial(elsewhere, played)


def changed(item: MemoryItem, old: str, new: str) -> MemoryItem:
    assert old in item.content
    return identified(item.model_copy(update={"content": item.content.replace(old, new)}))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("1. press lever", "1. pull lever", "step 1 is not offered: pull lever"),
        ('2. press lever "{lever_1}"', '2. press lever "{lever_0}"', "ended it at step 2 without success"),
        ('\n2. press lever "{lever_1}"', "", "does not say that the task is done"),
        ("For: Press", "For: Pull", "do not give its arguments"),
        ("For: ", "Of: ", "does not say for which tasks"),
    ],
)
async def test_a_skill_that_does_not_pass_is_refused_with_the_reason(old: str, new: str, why: str) -> None:
    item, played = await made("two")
    verdict = await admit(changed(item, old, new), LeverSuite(), played[1].task)
    assert not verdict.success and verdict.score == 0.0
    assert why in verdict.reason


async def test_an_environment_that_breaks_or_hangs_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    item, played = await made("one")
    closed = []

    class Broken(Levers):
        async def step(self, action: Action) -> StepResult:
            raise EnvironmentFault("the page is gone")

        async def close(self) -> None:
            closed.append(self)

    class Hanging(Broken):
        async def step(self, action: Action) -> StepResult:
            await asyncio.sleep(60)
            raise AssertionError

    for kind, why in ((Broken, "the page is gone"), (Hanging, "longer than 0.05 s")):
        suite = LeverSuite()
        monkeypatch.setattr(suite, "create", _makes(kind))
        verdict = await admit(item, suite, played[1].task, seconds=0.05)
        assert not verdict.success and why in verdict.reason
    assert len(closed) == 2


def _makes(kind: type[Levers]) -> Any:
    async def create() -> Levers:
        return kind()

    return create


async def test_an_application_has_nowhere_to_try_a_skill(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="an application has none"):
        Experience(tmp_path, name="desk", distiller=make_distiller("skills", ScriptedModel([])))


async def test_a_cycle_lets_in_what_passed_and_quarantines_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    class Watched(LeverSuite):
        async def create(self) -> Levers:
            tried.append("trial")
            return Levers()

    async def undelivered(outbox: Outbox) -> None:
        """The index is not at issue, and its embedder is slow to load."""

    monkeypatch.setattr(registry, "create", lambda name, **options: Watched())
    monkeypatch.setattr(Outbox, "deliver", undelivered)
    monkeypatch.setattr(Workbench, "_open", lambda bench, name: ScriptedModel([]))
    good, ones = await made("one")
    pair, twos = await made("two")
    bad = changed(pair, '2. press lever "{lever_1}"', '2. press lever "{lever_0}"')
    events: list[ProgressEvent] = []
    settings = load(EvolveSettings, overrides={"model": "openai/writer", "suite": "levers", "distiller": "skills"})
    async with Bench("evolve", settings, Workspace(tmp_path), events.append) as bench:
        bench.store.start_run(bench.run_id, bench.identity)
        for played, proposals in ((ones[0], (good,)), (ones[1], (good,)), (twos[0], (bad,)), (twos[1], ())):
            mine = played.model_copy(update={"run_id": bench.run_id})
            verdict = Verdict(trajectory_id=mine.id, source=VerdictSource.ENVIRONMENT, success=True, score=1.0)
            bench.store.add_episode(Episode(trajectory=mine, verdicts=(verdict,), proposals=proposals))
        collected = bench.store.outcomes([one.id for one in (*ones[:2], *twos[:2])])
        version = await _distil(bench, 1, collected)
        assert await _distil(bench, 1, collected) == version
        bank, ledger = bench.bank.snapshot(), bench.store.events()
        again = await unproven(bench, 2, [good, bad], list(collected))
    assert bank.statuses == {good.id: ItemStatus.PROBATION, bad.id: ItemStatus.QUARANTINED}
    assert again == {} and tried == ["trial"] * 2  # once each; what the bank knows is not tried again
    (why,) = [event for event in ledger if event.item_id == bad.id and event.status is ItemStatus.QUARANTINED]
    assert "it did not pass in its environment: the environment ended it at step 2" in why.reason
    assert why.figures == {"task": twos[1].task.id}
    (told,) = [event for event in events if isinstance(event, PhaseEnded)]
    assert (told.phase, told.summary) == ("admit-1", "1 of 2 admitted")
