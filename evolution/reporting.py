"""The end of a run: arms on the report panel, credits, showcases, all in one record."""

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from wisen.core.ids import derived_seed
from wisen.core.records import (
    ArmResult,
    CurvePoint,
    ItemCredit,
    MemoryMode,
    Outcome,
    Panel,
    Phase,
    Recall,
    Release,
    RunReport,
    Showcase,
)
from wisen.core.statistics import paired_bootstrap
from wisen.evolution.arms import arm_result
from wisen.evolution.backbone import backbone
from wisen.evolution.crediting import collected, largest
from wisen.evolution.spending import acting
from wisen.evolution.workbench import RANDOM_POLICY, Bench

LISTED_ITEMS = 5
LEAST_APPEARANCES = 10  # below this an interval spans everything
LEAKAGE_GUARDS = {
    "task": "by task. No item is recalled on a task that it stems from, and report tasks are never learned from",
    "template": "by template. Gate and report recall no item that stems from a task of the same template, and report "
    "tasks are never learned from",
}
VERSIONED = ("wisen", "torch", "transformers", "langgraph", "chromadb", "playwright", "miniwob")


async def make_report(
    bench: Bench, curve: Sequence[CurvePoint], panel: Panel, *, command: str, started: float
) -> RunReport:
    """Play the arms on the report panel, and put everything that the run has to show into one record."""
    final = bench.store.current_release()
    first = bench.store.release("r0")
    assert final is not None and first is not None, "a run has a first release before it reports"
    played = {}
    arms_to_play = _arms(bench, first, final, _lists_actions(bench))
    for name, label, release, memory in arms_to_play:
        # Where nothing was promoted the arm without training is the release, and is not played again.
        pictured = (release, memory) == arms_to_play[-1][2:]
        played[name] = (label, await _play_arm(bench, panel, name, label, release, memory, pictured=pictured))
    newest = played["release"][1]
    arms = tuple(
        _arm(bench, panel, name, label, outcomes, newest if name != "release" else None)
        for name, (label, outcomes) in played.items()
    )
    ranked = _credits(bench, len(curve))
    half = (len(ranked) + 1) // 2
    return RunReport(
        run_id=bench.run_id,
        title=f"wisen evolve on {bench.settings.suite}, seed {bench.settings.seed}",
        command=command,
        settings=bench.identity | {"cycles": len(curve)},
        suite=bench.settings.suite,
        release_name=final.name,
        arms=arms,
        curve=tuple(curve),
        gates=bench.store.gates(bench.run_id),
        release_names={release.id: release.name for release in bench.store.releases()},
        best_items=tuple(ranked[: min(LISTED_ITEMS, half)]),
        worst_items=tuple(reversed(ranked[max(half, len(ranked) - LISTED_ITEMS) :])),
        bank_size=len(bench.bank.snapshot()),
        showcases=_showcases(bench, final, newest, played["random"][1] if "random" in played else {}),
        leakage_guard=LEAKAGE_GUARDS[bench.settings.recall.leakage],
        seconds=time.monotonic() - started,
        versions=_versions(),
        spent=acting(bench.store, bench.run_id, bench.settings.model) if bench.settings.remote_model else None,
    )


def _arms(bench: Bench, first: Release, final: Release, offers: bool) -> list[tuple[str, str, Release, MemoryMode]]:
    """(name, label, release, memory): the promoted release, and what it is compared with. Controls take one part of it
    away: the memory, or the training where there was any."""
    random_policy = ("random", "random policy", bench.release("random", RANDOM_POLICY, 0), MemoryMode.OFF)
    if not bench.settings.trains:
        model = bench.settings.model or backbone(bench).title
        arms = [
            ("model", f"{model}, no memory", final, MemoryMode.OFF),
            ("release", f"release {final.name} ({model} + memory)", final, MemoryMode.FROZEN),
        ]
        if final.bank_version == 0:  # nothing was promoted: the release is the model, and is not played again
            arms[-1] = ("release", f"release {final.name} ({model}, nothing promoted)", final, MemoryMode.OFF)
        return [random_policy, *arms] if offers else arms
    memory_only = bench.release("memory-only", first.model, final.bank_version)
    untrained = backbone(bench).title
    model = untrained if final.model == first.model else "trained model"
    return [
        random_policy,
        ("untrained", untrained, first, MemoryMode.OFF),
        ("untrained-memory", f"{untrained} + memory", memory_only, MemoryMode.FROZEN),
        ("trained", f"{model}, no memory", final, MemoryMode.OFF),
        ("release", f"release {final.name} ({model} + memory)", final, MemoryMode.FROZEN),
    ]


def _lists_actions(bench: Bench) -> bool:
    """Whether the environment names its admissible actions, without which there is no random policy."""
    collected = (bench.store.marked(bench.run_id, "cycle/1/collected") or {"ids": []})["ids"]
    seen = bench.store.trajectories(collected[:LISTED_ITEMS])
    return not seen or any(step.observation.actions for one in seen for step in one.steps)


async def _play_arm(
    bench: Bench, panel: Panel, name: str, label: str, release: Release, memory: MemoryMode, *, pictured: bool
) -> dict[str, Outcome]:
    """One arm's outcomes by task id. `pictured`: the first task of each template is played with screenshots."""
    shown: set[str] = set()
    requests = []
    for task in panel.tasks:
        requests.append(
            bench.request(
                task,
                release,
                Phase.REPORT,
                memory,
                arm=name,
                screenshots=pictured and task.template_id not in shown,
            )
        )
        shown.add(task.template_id)
    outcomes = await bench.play(requests, phase=f"report-{name}", title=f"report panel: {label}")
    return {outcome.task_id: outcome for outcome in outcomes.values()}


def _arm(
    bench: Bench,
    panel: Panel,
    name: str,
    label: str,
    outcomes: Mapping[str, Outcome],
    release: Mapping[str, Outcome] | None,
) -> ArmResult:
    versus = None
    if release is not None:
        differences = [float(release[key].success) - float(outcomes[key].success) for key in outcomes]
        seed = derived_seed(bench.settings.seed, "report", name)
        versus = paired_bootstrap(differences, resamples=bench.settings.gate.resamples, seed=seed)
    return arm_result(name, label, panel.tasks, list(outcomes.values()), versus)


def _credits(bench: Bench, cycles: int) -> list[ItemCredit]:
    """Items with enough randomised appearances to say anything, best first, each with its largest account."""
    items = bench.bank.snapshot().items
    accounts = collected(bench.store, bench.run_id, cycle=cycles)
    found = largest(one for account in accounts for one in account.credits(bench.store, items))
    enough = [one for one in found.values() if one.lift is not None and one.appearances >= LEAST_APPEARANCES]
    return sorted(enough, key=lambda one: (-one.lift.mean if one.lift else 0.0, one.item.id))


def _showcases(
    bench: Bench, release: Release, outcomes: Mapping[str, Outcome], random_policy: Mapping[str, Outcome]
) -> tuple[Showcase, ...]:
    """Three of the trajectories with screenshots, of three templates: the longest success with memory that the random
    policy failed, the longest other success, and the first failure."""
    shown: dict[str, Outcome] = {}
    for outcome in outcomes.values():
        shown.setdefault(outcome.template_id, outcome)
    found = bench.store.recalls([one.trajectory_id for one in shown.values()])
    recalls: dict[str, Recall] = {}
    for one in sorted(found, key=lambda one: (not one.shown, one.number)):  # the first that showed anything
        recalls.setdefault(one.trajectory_id, one)
    advised = {recall.trajectory_id for recall in found if recall.shown}
    solved = sorted((one for one in shown.values() if one.success), key=lambda one: (-one.steps, one.template_id))
    failed = [one for one in shown.values() if not one.success]
    lost = {key for key, outcome in random_policy.items() if not outcome.success}
    against = [one for one in solved if one.task_id in lost and one.trajectory_id in advised]
    picked: list[tuple[Outcome, str]] = []
    for candidates, why in (
        (against, "The longest success with advice from memory on a task that the random policy failed."),
        (solved, "The longest other success."),
        (failed, "A failure."),
        (solved, "A success."),
    ):
        taken = {one.template_id for one, _ in picked}
        picked += [(one, why) for one in candidates if one.template_id not in taken][:1]
    # What the release recalls from: since then a person may have set the bank back.
    items = bench.bank.snapshot(release.bank_version).items
    showcases = []
    for outcome, why in picked[:3]:
        trajectory = bench.store.trajectory(outcome.trajectory_id)
        assert trajectory is not None
        recall = recalls.get(outcome.trajectory_id)
        told = dict.fromkeys(key for one in found if one.trajectory_id == trajectory.id for key in one.shown)
        known = tuple(items[key] for key in told)
        showcases.append(Showcase(trajectory=trajectory, recall=recall, items=known, why=why))
    return tuple(showcases)


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
