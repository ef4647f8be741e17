"""A candidate at its gate, with episodes that are really played: a remote model, a suite of levers, a store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.evolution.test_memory_only import KEY, MODEL, Obedient, settings
from tests.support.levers import STOP, Levers, LeverSuite
from wisen.core.errors import SettingsError
from wisen.core.records import (
    Action,
    GateAnswer,
    ItemKind,
    MemoryItem,
    Phase,
    Release,
    ReleaseEventKind,
    StepResult,
    Trust,
)
from wisen.core.workspace import Workspace
from wisen.environments import registry
from wisen.evolution.gates.settings import GateSettings
from wisen.evolution.gating import batches, gated, in_order
from wisen.evolution.panels import refuse_overlap
from wisen.evolution.run_panels import all_panels, gate_panel
from wisen.evolution.workbench import RANDOM_POLICY, Bench

FIXED = {"per_template": 12, "alpha": 0.1, "uses": 2, "resamples": 200}
ADVICE = MemoryItem(
    id="red",
    kind=ItemKind.STRATEGY,
    title="Make it stop",
    when_to_use="Make it stop.",
    content=f'press lever "{STOP}"',
    trust=Trust.PERSON,
)


class Alarming(Levers):
    """Pressing the red lever sets off an alarm, which is a violation."""

    async def step(self, action: Action) -> StepResult:
        result = await super().step(action)
        return result.model_copy(update={"violation": "alarm" if STOP in action.text else ""})


class AlarmingSuite(LeverSuite):
    async def create(self) -> Levers:
        return Alarming()


@pytest.fixture(autouse=True)
def levers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "create", lambda name, **options: AlarmingSuite(**options))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@asynccontextmanager
async def faced(root: Path, gate: dict[str, Any], acting: str = RANDOM_POLICY) -> AsyncIterator[tuple[Bench, Any]]:
    """(a bench, what makes a release of a model, with the advice or without). `acting` is what is present."""
    with Obedient() as server:
        async with Bench(
            "evolve", settings(server, gate={**FIXED, **gate}), Workspace(root), lambda event: None
        ) as bench:
            bench.store.start_run(bench.run_id, bench.identity, title="gate")
            bench.bank.propose([ADVICE], actor="person")

            def release(name: str, model: str, advised: bool) -> Release:
                made = bench.release(name, model, bench.bank.version if advised else 0)
                bench.store.add_release(made)
                return made

            yield bench, release


def played(bench: Bench) -> int:
    return sum(one.phase is Phase.GATE for one in bench.store.trajectories())


async def test_the_anytime_gate_stops_early_and_says_of_how_many(tmp_path: Path) -> None:
    async with faced(tmp_path, {"kind": "anytime", "batch": 10}) as (bench, release):
        old, new = release("old", RANDOM_POLICY, False), release("new", MODEL, False)
        decision = await gated(bench, "cycle/1", new, old)
        assert decision.answer is GateAnswer.PROMOTE and (decision.kind, decision.of) == ("anytime", 36)
        n = len(decision.outcomes)
        assert n % 10 == 0 and 10 <= n < 36 and played(bench) == 2 * n
        assert f"stopped early, of {decision.of}" in decision.reason
        assert len({one.family for one in decision.outcomes}) > 1  # not the first template alone
        assert await gated(bench, "cycle/1", new, old) == decision and played(bench) == 2 * n
        worse = await gated(bench, "cycle/2", release("again", RANDOM_POLICY, True), new)
        assert worse.answer is GateAnswer.KEEP and len(worse.outcomes) < 36 and worse.use == 2
        assert gate_panel(bench)[0].generation == 1  # both uses are spent: a panel that nobody has played
        assert not {task.id for task in gate_panel(bench)[0].tasks} & {one.task_id for one in decision.outcomes}


async def test_a_better_candidate_that_breaks_rules_is_refused(tmp_path: Path) -> None:
    rule = {"noninferior": {"alarms": {"measure": "violation", "margin": 0.1}}}
    async with faced(tmp_path, rule) as (bench, release):
        old, new = release("old", RANDOM_POLICY, False), release("new", MODEL, True)
        decision = await gated(bench, "cycle/1", new, old)
        (alarms,) = decision.noninferior
        assert decision.lower_bound > 0 and decision.p_value <= decision.alpha
        assert alarms.answer is GateAnswer.KEEP and decision.answer is GateAnswer.KEEP
        assert sum(one.old and not one.new for one in alarms.outcomes) >= 6
        assert "alarms:" in decision.reason and decision.reason.endswith("the present release stays")
        assert bench.store.release_events()[-1].kind is ReleaseEventKind.REJECTED


async def test_another_suite_must_not_get_worse_and_a_small_panel_is_never_enough(tmp_path: Path) -> None:
    other = {"suite": "levers", "suite_options": {"templates": ["elsewhere"]}, "margin": 0.3}
    rule = {"noninferior": {"far": {**other, "per_template": 30}, "small": {**other, "per_template": 3}}}
    async with faced(tmp_path, rule) as (bench, release):
        old, new = release("old", RANDOM_POLICY, False), release("new", MODEL, True)
        decision = await gated(bench, "cycle/1", new, old)
        far, small = decision.noninferior
        assert (len(far.outcomes), len(small.outcomes)) == (30, 3)
        assert far.answer is GateAnswer.PROMOTE and far.difference.mean > 0  # the advice helps there too
        assert small.answer is GateAnswer.NOT_ENOUGH_EVIDENCE is decision.answer
        assert small.tasks_needed is not None and f"about {small.tasks_needed - 3} more tasks" in decision.reason
        assert len({far.panel_digest, small.panel_digest, decision.panel_digest}) == 3
        with pytest.raises(SettingsError, match="elsewhere"):
            refuse_overlap(all_panels(bench))  # these two have tasks in common


async def test_parts_of_the_candidate_are_shown_and_decide_nothing(tmp_path: Path) -> None:
    async with faced(tmp_path, {"ablation": "shown"}) as (bench, release):
        old, new = release("old", RANDOM_POLICY, False), release("new", MODEL, True)
        decision = await gated(bench, "cycle/1", new, old)
        both, weights, memory = decision.ablation
        assert decision.answer is GateAnswer.PROMOTE and decision.candidate_id == new.id == both.release_id
        assert (both.parts, weights.parts) == ("new weights, new memory", "new weights, old memory")
        assert memory.parts == "old weights, new memory" and memory.difference.mean == 0  # it draws what it draws
        assert both.difference.mean > weights.difference.mean > 0
        assert decision.p_value == both.p_value and both.outcomes == decision.outcomes


async def test_the_part_that_does_best_is_promoted_where_they_compete(tmp_path: Path) -> None:
    """The memory is what helps, and the new weights are the random policy's."""
    async with faced(tmp_path, {"ablation": "compete"}) as (bench, release):
        old, new = release("old", MODEL, False), release("r1", RANDOM_POLICY, True)
        decision = await gated(bench, "cycle/1", new, old)
        winner = bench.store.release(decision.candidate_id)
        assert decision.answer is GateAnswer.PROMOTE and winner is not None and winner.name == "r1m"
        assert (winner.model, winner.bank_version) == (MODEL, new.bank_version)
        assert bench.store.current_release() == winner
        assert await gated(bench, "cycle/1", new, old) == decision and len(bench.store.gates()) == 1


async def test_the_order_of_an_anytime_panel_keeps_families_together_where_they_are_what_counts(tmp_path: Path) -> None:
    async with faced(tmp_path, {}) as (bench, _):
        panel, _ = gate_panel(bench)
    by_task, by_family = (GateSettings(kind="anytime", claim=claim, batch=2) for claim in ("tasks", "families"))
    shuffled = in_order(panel, by_task, 0)
    assert sorted(task.id for task in shuffled) == sorted(task.id for task in panel.tasks)
    assert shuffled != panel.tasks and in_order(panel, by_task, 0) == shuffled != in_order(panel, by_task, 1)
    assert [len(part) for part in batches(shuffled, by_task)] == [2] * 18
    parts = batches(in_order(panel, by_family, 0), by_family)
    assert [len(part) for part in parts] == [24, 12] and len({task.template_id for task in parts[1]}) == 1
    assert in_order(panel, GateSettings(), 0) == panel.tasks
