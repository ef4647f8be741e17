"""Evolution of a model that cannot be trained from here: over real HTTP, only its memory changes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_openai import KEY, Answer, FakeOpenAI, error, reply
from tests.support.levers import Levers, LeverSuite
from wisen.core.errors import SettingsError
from wisen.core.records import (
    Action,
    Note,
    Phase,
    ProgressEvent,
    ReleaseEventKind,
    RunReport,
    StepResult,
    VerdictSource,
)
from wisen.core.settings import load
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.environments import registry
from wisen.evolution.evolve import evolve
from wisen.evolution.play import play
from wisen.evolution.settings import EvolveSettings, RunSettings
from wisen.memory.bank import Bank

MODEL = "openai/obedient"
SETTINGS: dict[str, Any] = {
    "model": MODEL,
    "suite": "levers",
    "cycles": 2,
    "collect": {"first": 8, "per_template": 4, "weak_extra": 2},
    "gate": {"per_template": 12, "alpha": 0.2, "uses": 2, "resamples": 200},
    "report": {"per_template": 4},
    "remote": {"retries": 0},
}


class Obedient(FakeOpenAI):
    """A model that does what the task names, else what it is advised, else the first that comes to hand."""

    def _next(self, body: dict[str, Any], key: str) -> Answer:
        with self._lock:
            self.requests.append(body)
        if key != f"Bearer {KEY}":
            return error(401, "Incorrect API key provided.", code="invalid_api_key")
        return reply(answered(body["messages"][-1]["content"]))


def answered(prompt: str) -> str:
    listed = prompt.rpartition("Possible actions:\n")[2].splitlines()
    task = re.search(r"Task: (.*)", prompt)
    assert task
    done = prompt.count("\n1. press") + prompt.count("\n2. press")
    named = [f'press lever "{name}"' for name in re.findall(r'"(\w+)"', task[1])][done:]
    advised = re.findall(r'press lever "\w+"', prompt.partition("Task: ")[0])
    return next((action for action in [*named, *advised] if action in listed), listed[0])


@pytest.fixture
def levers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "create", lambda name, **options: LeverSuite(**options))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def settings(server: FakeOpenAI, **changes: Any) -> EvolveSettings:
    remote = {**SETTINGS["remote"], "api_base": server.url}
    return load(EvolveSettings, overrides={**SETTINGS, "remote": remote, **changes})


@pytest.mark.usefixtures("levers")
async def test_a_remote_model_evolves_by_its_memory_alone(tmp_path: Path) -> None:
    events: list[ProgressEvent] = []
    workspace = Workspace(tmp_path)
    with Obedient() as server:
        report = await evolve(settings(server), workspace, on_event=events.append)
        asked = len(server.requests)
    with Obedient() as elsewhere:  # the same run, at another address
        again = await evolve(settings(elsewhere), workspace)
        assert not elsewhere.requests
    with Store.open(workspace.store_url) as store:
        played = store.trajectories()
        promoted = [event for event in store.release_events() if event.kind is ReleaseEventKind.PROMOTED]
        assert not store.checkpoints()
        assert {release.model for release in store.releases()} <= {MODEL, "uniform"}
        assert store.recalls()
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any("trainer: none" in note and "remote" in note for note in notes)
    by_name = {arm.name: arm for arm in report.arms}
    assert list(by_name) == ["random", "model", "release"]
    assert len(promoted) >= 2, [gate.reason for gate in report.gates]  # r0, and what the memory brought
    assert by_name["model"].families["levers/stop"] < by_name["release"].families["levers/stop"] == 1.0
    assert all(point.rows == point.tokens == 0 for point in report.curve)
    assert asked == sum(len(one.steps) for one in played if one.arm != "random")
    assert without_time(again) == without_time(report)
    assert any(one.phase is Phase.COLLECT and one.arm == "collect-2" for one in played)


LESSON = {
    "title": "Stopping",
    "when_to_use": "the task says to make it stop",
    "when_not": "a colour is named",
    "content": 'press lever "red"',
}


class Writing(Obedient):
    """Writes a lesson when it is asked to distil, and breaks its JSON the first time."""

    def _next(self, body: dict[str, Any], key: str) -> Answer:
        if "Possible actions" in body["messages"][-1]["content"]:
            return super()._next(body, key)
        again = body["messages"][-2]["role"] == "assistant"
        return reply(json.dumps({"items": [LESSON]}) if again else '{"items": [')


@pytest.mark.usefixtures("levers")
async def test_a_remote_model_writes_its_own_memory(tmp_path: Path) -> None:
    small = {"collect": {"first": 2}, "gate": {"per_template": 2}, "report": {"per_template": 1}}
    with Writing() as server:
        await evolve(settings(server, cycles=1, distiller="reasoningbank", **small), Workspace(tmp_path))
    with Store.open(Workspace(tmp_path).store_url) as store:
        items = Bank(store).snapshot().items.values()
    assert {item.author.distiller for item in items} == {"reasoningbank"}
    assert {item.author.model for item in items} == {MODEL}
    assert {item.title for item in items} == {"Stopping"}


class Undecided(LeverSuite):
    """Levers that never say whether the right ones were pressed."""

    async def create(self) -> Levers:
        class Silent(Levers):
            async def step(self, action: Action) -> StepResult:
                return (await super().step(action)).model_copy(update={"success": None, "reward": 0.0})

        return Silent()


class Judging(Obedient):
    """Judges as well: whoever pressed blue did well."""

    def _next(self, body: dict[str, Any], key: str) -> Answer:
        if "Possible actions" in body["messages"][-1]["content"]:
            return super()._next(body, key)
        done = 'press lever "blue"' in body["messages"][-1]["content"]
        return reply(json.dumps({"success": done, "confidence": 0.9, "reason": "that is what the record shows"}))


@pytest.mark.parametrize("judge", ["", "openai/wise"])
async def test_a_model_judges_what_the_environment_leaves_open(
    judge: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "create", lambda name, **options: Undecided(**options))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Judging() as server:
        changes = {"model": MODEL, "suite": "levers", "per_template": 4, "judge": judge}
        await play(load(RunSettings, overrides={**changes, "remote": {"api_base": server.url}}), Workspace(tmp_path))
    with Store.open(Workspace(tmp_path).store_url) as store:
        played = store.trajectories()
        verdicts = {key: found[-1] for key, found in store.verdicts([one.id for one in played]).items()}
    assert all(one.success is None for one in played) and len(played) == 12
    pressed = {one.id: any("blue" in str(step.action) for step in one.steps) for one in played}
    assert len(set(pressed.values())) == 2
    assert {key: verdict.success for key, verdict in verdicts.items()} == {
        key: bool(judge) and blue for key, blue in pressed.items()
    }
    assert {verdict.source for verdict in verdicts.values()} == {
        VerdictSource.JUDGE if judge else VerdictSource.ENVIRONMENT
    }


async def test_the_built_in_backbone_cannot_write_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a language model"):
        await evolve(load(EvolveSettings, overrides={"distiller": "reasoningbank"}), Workspace(tmp_path))


@pytest.mark.usefixtures("levers")
async def test_where_nothing_was_promoted_the_model_is_the_release(tmp_path: Path) -> None:
    with Obedient() as server:
        await evolve(settings(server, cycles=0), Workspace(tmp_path))
        report = await evolve(settings(server, cycles=0), Workspace(tmp_path))
    assert [arm.name for arm in report.arms] == ["random", "model", "release"]
    assert report.arms[1].success == report.arms[2].success and report.release_name == "r0"
    with Store.open(Workspace(tmp_path).store_url) as store:
        assert len(store.trajectories()) == 2 * report.arms[2].tasks


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trainer": "rft"}, "cannot be trained from here"),
        ({"model": "gpt-x"}, "PROVIDER/NAME"),
        ({"collect": {"explore": 0.1}}, "cannot be made to act at random"),
    ],
)
def test_what_a_remote_model_cannot_do_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        load(EvolveSettings, overrides={"model": MODEL, **changes})


def test_the_built_in_backbone_explores_and_is_trained_unless_told_otherwise() -> None:
    built_in = load(EvolveSettings)
    assert built_in.trains and (built_in.exploration(1), built_in.exploration(2)) == (1.0, 0.05)
    assert not load(EvolveSettings, overrides={"trainer": "none"}).trains
    remote = load(EvolveSettings, overrides={"model": MODEL})
    assert not remote.trains and (remote.exploration(1), remote.exploration(2)) == (0.0, 0.0)


def without_time(report: RunReport) -> dict[str, Any]:
    return json.loads(report.model_dump_json(exclude={"seconds"}))
