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
    EpisodeEnd,
    ItemKind,
    ItemStatus,
    MemoryItem,
    ModelRequest,
    Phase,
    PhaseEnded,
    ProgressEvent,
    Purpose,
    Split,
    Step,
    StepResult,
    Task,
    Trajectory,
    Verdict,
    VerdictSource,
)
from wisen.core.settings import load
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.environments import registry
from wisen.evolution.admitting import admit, trial
from wisen.evolution.evolve import evolve
from wisen.evolution.settings import EvolveSettings
from wisen.evolution.workbench import Workbench
from wisen.memory.bank import Bank
from wisen.memory.distillers import make_distiller
from wisen.memory.distillers.skills import Skills
from wisen.memory.items import identified
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


class Writer(ScriptedModel):
    """Plays what the task names, else the first lever, and writes skills: good ones of pairs, and of "stop" one that
    works on its own page only by chance."""

    def __init__(self) -> None:
        super().__init__(self._answer)

    def _answer(self, request: ModelRequest) -> str:
        text = request.messages[1].text
        if request.purpose is Purpose.DISTIL:
            instruction = text.partition("TASK\n")[2].partition("\n")[0]
            return written(instruction, re.findall(r"Action: (.*)", text))
        task = text.rpartition("Task: ")[2].partition("\n")[0]
        listed = text.rpartition("Possible actions:\n")[2].splitlines()
        way = [f'press lever "{name}"' for name in named(task)]
        return way[min(text.count(". press"), len(way) - 1)] if way else listed[0]


async def test_evolve_lets_in_what_passed_and_quarantines_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    class Suspicious(Levers):
        """Pairs cannot be pressed once the first pages were collected: whatever was learned of them does not pass."""

        async def reset(self, task: Task, **options: Any) -> Any:
            tried.append(task.id)
            return await super().reset(task, **options)

        async def step(self, action: Action) -> StepResult:
            result = await super().step(action)
            pairs = len(self._goal) == 2 and tried.count(tried[-1]) > 1
            return result.model_copy(update={"success": False}) if pairs and result.terminated else result

    monkeypatch.setattr(registry, "create", lambda name, **options: _suite(Suspicious))
    writer = Writer()
    monkeypatch.setattr(Workbench, "_open", lambda bench, name: writer)
    values = {
        "model": "openai/writer",
        "suite": "levers",
        "distiller": "skills",
        "cycles": 1,
        "workers": 1,
        "collect": {"first": 4},
        "gate": {"per_template": 2, "resamples": 100},
        "report": {"per_template": 1},
    }
    events: list[ProgressEvent] = []
    workspace = Workspace(tmp_path)
    await evolve(load(EvolveSettings, overrides=values), workspace, on_event=events.append)
    with Store.open(workspace.store_url) as store:
        bank, ledger = Bank(store).snapshot(), store.events()
        collected = {one.task.id for one in store.trajectories() if one.phase is Phase.COLLECT}
    skills = {key: item for key, item in bank.items.items() if item.kind is ItemKind.SKILL}
    ones = [key for key, item in skills.items() if "lever_0" in item.content and "lever_1" not in item.content]
    twos = [key for key, item in skills.items() if "lever_1" in item.content]
    assert ones and twos
    assert {bank.statuses[key] for key in ones} == {ItemStatus.PROBATION}
    assert {bank.statuses[key] for key in twos} == {ItemStatus.QUARANTINED}
    (why,) = [event for event in ledger if event.item_id == twos[0] and event.status is ItemStatus.QUARANTINED]
    assert "it did not pass in its environment" in why.reason and why.figures["task"] in collected
    (told,) = [event for event in events if isinstance(event, PhaseEnded) and event.phase == "admit-1"]
    assert re.fullmatch(r"\d of \d admitted", told.summary)


def _suite(kind: type[Levers]) -> LeverSuite:
    suite = LeverSuite()
    suite.create = _makes(kind)  # type: ignore[method-assign]
    return suite
