"""Evolution of a model that cannot be trained from here: over real HTTP, only its memory changes."""

import json
import re
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from tests.support.fake_openai import KEY, Answer, FakeOpenAI, error, reply
from tests.support.levers import Levers, LeverSuite
from wisen.core.errors import ModelFault, SettingsError
from wisen.core.records import (
    Action,
    Note,
    Phase,
    ProgressEvent,
    Recall,
    ReleaseEventKind,
    RunReport,
    StepResult,
    VerdictSource,
)
from wisen.core.settings import load
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.environments import registry
from wisen.evolution.crediting import standings_of
from wisen.evolution.evolve import evolve
from wisen.evolution.play import play
from wisen.evolution.settings import EpisodeSettings, EvolveSettings, RunSettings
from wisen.memory.bank import Bank
from wisen.memory.curation import entries

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
    assert any(note.startswith(f"{MODEL}: {asked:,} answers, ") for note in notes)
    assert report.spent and (report.spent.model, report.spent.calls) == (MODEL, asked)
    assert report.spent.usage.prompt_tokens == 1000 * asked and report.spent.usage.seconds > 0
    by_name = {arm.name: arm for arm in report.arms}
    assert list(by_name) == ["random", "model", "release"]
    assert len(promoted) >= 2, [gate.reason for gate in report.gates]  # r0, and what the memory brought
    assert by_name["model"].families["levers/stop"] < by_name["release"].families["levers/stop"] == 1.0
    assert all(point.rows == point.tokens == 0 for point in report.curve)
    assert asked == sum(len(one.steps) for one in played if one.arm != "random")
    assert without_time(again) == without_time(report)
    assert any(one.phase is Phase.COLLECT and one.arm == "collect-2" for one in played)


@pytest.mark.usefixtures("levers")
async def test_evaluation_can_hold_back_whole_templates(tmp_path: Path) -> None:
    """Also: the ranker of the settings ranks, by what was known when the bank version began."""
    chosen = {"leakage": "template", "ranker": "ucb", "value": "evolver", "k": 2, "floor": -1, "recording_floor": -1}
    small = {
        "collect": {"first": 4, "per_template": 4, "weak_extra": 0},
        "gate": {"per_template": 2},
        "report": {"per_template": 1},
    }
    with Obedient() as server:
        report = await evolve(settings(server, recall=chosen, **small), Workspace(tmp_path))
    assert report.leakage_guard.startswith("by template")
    with Store.open(Workspace(tmp_path).store_url) as store:
        bank, templates = Bank(store), store.templates()
        played = {one.id: one for one in store.trajectories()}
        recalls = store.recalls()
        known = {cycle: standings_of(store, bank.snapshot(version), "evolver") for cycle, version in versions(store)}

    def own(recall: Recall) -> list[str]:
        """Items that stem from the template of the task."""
        mine = played[recall.trajectory_id].task.template_id
        found = bank.snapshot().items
        return [
            one.item_id
            for one in recall.ranked
            if mine in {templates[task] for task in found[one.item_id].source_tasks}
        ]

    by_phase: dict[Phase, list[Recall]] = {phase: [] for phase in Phase}
    for recall in recalls:
        by_phase[played[recall.trajectory_id].phase].append(recall)
    assert any(own(recall) for recall in by_phase[Phase.COLLECT])
    evaluated = by_phase[Phase.GATE] + by_phase[Phase.REPORT]
    assert evaluated and not any(own(recall) for recall in evaluated)
    assert any(recall.info["excluded"]["leakage"] for recall in evaluated)
    assert {recall.ranker for recall in recalls} == {"ucb"}
    assert sum(one.shown for one in known[1].values()) == 0 < sum(one.shown for one in known[2].values())


def versions(store: Store) -> list[tuple[int, int]]:
    """(cycle, the bank version that it came to)."""
    (run,) = store.runs()
    return [(cycle, store.marks(run.id)[f"cycle/{cycle}/bank"]["version"]) for cycle in (1, 2)]


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


class Contrasting(Obedient):
    """Compares attempts when it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.contrasts: list[str] = []

    def _next(self, body: dict[str, Any], key: str) -> Answer:
        prompt = body["messages"][-1]["content"]
        if "Possible actions" in prompt:
            return super()._next(body, key)
        self.contrasts.append(prompt)
        return reply(json.dumps({"items": [LESSON]}))


@pytest.mark.usefixtures("levers")
async def test_all_attempts_at_a_task_are_distilled_in_one_contrast(tmp_path: Path) -> None:
    small = {"collect": {"first": 2, "attempts": 3}, "gate": {"per_template": 2}, "report": {"per_template": 1}}
    workspace = Workspace(tmp_path)
    with Contrasting() as server:
        await evolve(settings(server, cycles=1, distiller="matts", **small), workspace)
        await evolve(settings(server, cycles=1, distiller="matts", **small), workspace)  # nothing is played again
    with Store.open(workspace.store_url) as store:
        items = Bank(store).snapshot().items.values()
        played = [one for one in store.trajectories() if one.phase is Phase.COLLECT and one.arm == "collect-1"]
        draws = {one.trajectory_id: one.arm for one in store.recalls()}
    tasks = {one.task.id for one in played}
    assert sorted((one.task.id, one.attempt) for one in played) == [(key, n) for key in sorted(tasks) for n in range(3)]
    assert len({draws[one.id] for one in played}) > 1  # each attempt draws for itself
    assert len(server.contrasts) == len(tasks) == 6
    assert all("ATTEMPT 3" in prompt and "ATTEMPT 4" not in prompt for prompt in server.contrasts)
    assert {item.author.distiller for item in items} == {"matts"}
    assert {key for item in items for key in item.evidence} == {one.id for one in played}


def test_checks_name_another_harness_and_none_name_the_same_as_ever() -> None:
    assert EpisodeSettings().limits == {"max_steps": 10, "max_seconds": 60.0}
    assert EpisodeSettings(checks=1).limits == {"max_steps": 10, "max_seconds": 60.0, "checks": 1}


def test_what_compares_attempts_asks_for_several() -> None:
    with pytest.raises(SettingsError, match="matts compares attempts"):
        load(EvolveSettings, overrides={**SETTINGS, "distiller": "matts"})


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


def test_who_names_no_suite_gets_the_demos_pages() -> None:
    assert load(EvolveSettings).suite_options == {"families": "demo"}
    assert load(EvolveSettings, overrides={"suite": "miniwob"}).suite_options == {}
    given = {"families": ["click-button"]}
    assert load(EvolveSettings, overrides={"suite_options": given}).suite_options == given


def test_the_built_in_backbone_explores_and_is_trained_unless_told_otherwise() -> None:
    built_in = load(EvolveSettings)
    assert built_in.trains and (built_in.exploration(1), built_in.exploration(2)) == (0.15, 0.05)
    assert not load(EvolveSettings, overrides={"trainer": "none"}).trains
    remote = load(EvolveSettings, overrides={"model": MODEL})
    assert not remote.trains and (remote.exploration(1), remote.exploration(2)) == (0.0, 0.0)


def without_time(report: RunReport) -> dict[str, Any]:
    return json.loads(report.model_dump_json(exclude={"seconds"}))


class Curating(Obedient):
    """Keeps a playbook in ACE's way: adds to it while it is short, merges what it has when it is long. Of the replies
    to what it is asked about the playbook, number `breaks` is an error of the server, and number `babbles` no JSON."""

    def __init__(self, breaks: int = 0, babbles: int = 0) -> None:
        super().__init__()
        self.asked, self._breaks, self._babbles = 0, breaks, babbles

    def _next(self, body: dict[str, Any], key: str) -> Answer:
        prompt = body["messages"][1]["content"]
        if "Possible actions" in body["messages"][-1]["content"]:
            return super()._next(body, key)
        self.asked += 1
        if self.asked == self._breaks:
            return error(401, "Incorrect API key provided.", code="invalid_api_key")
        if self._babbles and self.asked in (self._babbles, self._babbles + 1):
            return reply("I would rather not.")
        told, _, rest = prompt.partition("\n\n")
        lines = re.findall(r"^(\d+)\. ", told, flags=re.MULTILINE)
        if "BULLETS" in told:
            helped = "VERDICT of the environment: succeeded" in rest
            tags = [{"number": int(one), "tag": "helpful" if helped else "harmful"} for one in lines]
            return reply(json.dumps({"cause": "That lever.", "lesson": "Press another.", "tags": tags}))
        content = f'press lever "red", {crc32(prompt.encode())}'  # no two are the same
        said = {"when_to_use": "the task says to make it stop", "content": content}
        if len(lines) < 3:
            operation: dict[str, Any] = {"do": "ADD", "kind": "strategy", **said}
        else:
            operation = {"do": "MERGE", "numbers": [1, 2], **said}
        return reply(json.dumps({"operations": [operation]}))


SMALL = {
    "collect": {"first": 2, "per_template": 2, "weak_extra": 0},
    "gate": {"per_template": 2},
    "report": {"per_template": 1},
}


@pytest.mark.usefixtures("levers")
async def test_a_curator_rewrites_its_list_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """The list after a run that broke in the middle of a cycle's curation is that of one that did not."""
    small = {**SMALL, "distiller": "ace", "workers": 1, "recall": {"arm_propensity": 1.0, "propensity": 1.0}}
    with Curating() as server:
        await evolve(settings(server, **small), Workspace(tmp_path / "whole"))
        whole = server.asked
    with Store.open(Workspace(tmp_path / "whole").store_url) as store:
        events, snapshot = store.events(), Bank(store).snapshot()
        collected = store.trajectories(phase=Phase.COLLECT)
        marks = [key for run in store.runs() for key in store.marks(run.id) if "/curated/" in key]
    assert whole == 2 * len(collected) == 2 * len(marks)  # a reflection and a curation for each
    assert {item.author.distiller for item in snapshot.items.values()} == {"ace"}
    held = entries("ace", "levers", snapshot, events, {})
    present = [entry for entry in held if entry.present]
    assert 0 < len(present) <= 3 < len(held)  # what was merged rests
    assert any(entry.item.parent_id for entry in present)
    assert any(entry.counts for entry in present)  # what an episode was told was tagged, and merging kept it

    breaks = 17  # in the third batch of the second cycle
    with Curating(breaks) as server, pytest.raises(ModelFault):
        await evolve(settings(server, **small), Workspace(tmp_path / "broken"))
    with Curating() as server:
        await evolve(settings(server, **small), Workspace(tmp_path / "broken"))
        assert server.asked == whole - (breaks - 1)  # no batch is read again
    with Store.open(Workspace(tmp_path / "broken").store_url) as store:
        assert store.events() == events


@pytest.mark.usefixtures("levers")
async def test_a_failed_curation_is_on_record_and_the_others_go_on(tmp_path: Path) -> None:
    with Curating(babbles=3) as server:
        await evolve(settings(server, cycles=1, distiller="ace", workers=1, **SMALL), Workspace(tmp_path))
    with Store.open(Workspace(tmp_path).store_url) as store:
        (run,) = store.runs()
        marks = {key: value for key, value in store.marks(run.id).items() if "/curated/" in key}
        items = Bank(store).snapshot().items
    failed = {key: value["failed"] for key, value in marks.items() if value}
    assert list(failed) == ["cycle/1/curated/1"] and "I would rather not." in failed["cycle/1/curated/1"]
    assert len(marks) == 6 and items
