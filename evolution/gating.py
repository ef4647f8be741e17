"""A candidate faces its gate: episodes on panels in, one stored decision out."""

from collections.abc import Mapping, Sequence

from wisen.core.ids import derived_seed
from wisen.core.protocols import Suite
from wisen.core.records import (
    Ablation,
    EpisodeRequest,
    GateAnswer,
    GateDecision,
    MemoryMode,
    NonInferiority,
    Outcome,
    PairedOutcome,
    Panel,
    Phase,
    Release,
    Task,
)
from wisen.evolution.gate import decide, looks
from wisen.evolution.gates.anytime import Answer
from wisen.evolution.gates.competing import adjusted, best
from wisen.evolution.gates.evidence import unit, unit_differences, weigh
from wisen.evolution.gates.noninferiority import held_to, judge
from wisen.evolution.gates.settings import GateSettings, NonInferioritySettings
from wisen.evolution.run_panels import gate_panel, noninferiority_panel
from wisen.evolution.workbench import Bench

PARTS = {"w": "new weights, old memory", "m": "old weights, new memory"}  # by what follows a candidate's name


def of_cycle(name: str, number: int) -> bool:
    """Whether a release of that name is what a cycle tried: its candidate, or a part of it that competed."""
    return name in {f"r{number}", *(f"r{number}{part}" for part in PARTS)}


async def gated(bench: Bench, key: str, candidate: Release, incumbent: Release, tolerance: float = 0.0) -> GateDecision:
    """Candidate against incumbent on the gate panel, and where it must not be worse; the decision and its consequence
    are stored as one. `tolerance` is that of `decide`. Where parts of the candidate compete with it, the decision is
    about the one that did best."""
    parts = _parts(bench, candidate, incumbent)
    tried = {candidate.id, *(part.id for part in parts.values())}
    for decision in bench.store.gates(bench.run_id):
        if decision.candidate_id in tried and decision.incumbent_id == incumbent.id:
            return decision
    settings, (panel, use) = bench.settings.gate, gate_panel(bench)
    order = in_order(panel, settings, bench.settings.seed)
    of = len({unit(task.id, task.template_id, settings.claim) for task in order})
    outcomes = await _until_told(bench, key, order, candidate, incumbent, of, tolerance)
    played = {one.task_id for one in outcomes}
    faced = [task for task in order if task.id in played]
    paired = {"": outcomes}
    for name, part in parts.items():
        paired[name] = await _paired(bench, faced, part, incumbent, f"{key}, ablation")
    rivals = {"": candidate, **parts}
    chosen, ablation = _compared(bench, paired, rivals) if parts else ("", {})
    decision = decide(
        paired[chosen],
        candidate_id=rivals[chosen].id,
        incumbent_id=incumbent.id,
        panel_digest=panel.digest,
        use=use,
        settings=settings,
        seed=bench.settings.seed,
        tolerance=tolerance,
        of=of,
        adjusted_p=ablation[chosen].p_value if settings.ablation == "compete" and parts else None,
    ).model_copy(update={"ablation": tuple(ablation.values())})
    if chosen:
        bench.store.add_release(parts[chosen], reason=f"{PARTS[chosen]}, of {candidate.name}")
    if decision.answer is GateAnswer.PROMOTE:
        found = [
            await _noninferior(bench, key, name, rivals[chosen], incumbent, faced, panel.digest)
            for name in settings.noninferior
        ]
        decision = held_to(decision, found)
    bench.store.add_gate(decision, run_id=bench.run_id)
    return decision


async def _until_told(
    bench: Bench, key: str, order: Sequence[Task], candidate: Release, incumbent: Release, of: int, tolerance: float
) -> list[PairedOutcome]:
    """The whole panel, or where looks are taken on the way as much of it as they ask for."""
    settings = bench.settings.gate
    outcomes: list[PairedOutcome] = []
    for tasks in batches(order, settings):
        outcomes += await _paired(bench, tasks, candidate, incumbent, key)
        seen, _ = unit_differences(outcomes, settings.claim)
        if settings.kind == "anytime" and looks(outcomes, settings, of, tolerance).look(seen) is not Answer.ON:
            break
    return outcomes


def _compared(
    bench: Bench, paired: Mapping[str, Sequence[PairedOutcome]], rivals: Mapping[str, Release]
) -> tuple[str, dict[str, Ablation]]:
    """(which of them the decision is about, how each did). It is the candidate, unless its parts compete with it."""
    settings, seed = bench.settings.gate, bench.settings.seed
    found = {name: weigh(pairs, settings, settings.share, seed) for name, pairs in paired.items()}
    competing = settings.ablation == "compete"
    p_values = adjusted(found) if competing else {name: one.p_value for name, one in found.items()}
    rows = {
        name: Ablation(
            parts=PARTS.get(name, "new weights, new memory"),
            release_id=rivals[name].id,
            outcomes=tuple(paired[name]),
            difference=one.difference,
            p_value=p_values[name],
        )
        for name, one in found.items()
    }
    return (best(found, settings.share) if competing else ""), rows


def _parts(bench: Bench, candidate: Release, incumbent: Release) -> dict[str, Release]:
    """What the candidate is made of, each with the rest as it is, where an ablation is asked for and both are new."""
    weights = bench.release(f"{candidate.name}w", candidate.model, incumbent.bank_version, parent=incumbent)
    memory = bench.release(f"{candidate.name}m", incumbent.model, candidate.bank_version, parent=incumbent)
    both = len({weights.id, memory.id, candidate.id, incumbent.id}) == 4
    return {"w": weights, "m": memory} if both and bench.settings.gate.ablation != "none" else {}


def in_order(panel: Panel, settings: GateSettings, seed: int) -> Sequence[Task]:
    """The panel's tasks in the order in which they are played. Where looks are taken on the way it is shuffled, by
    units: a panel that begins with its easiest template would be judged by that."""
    if settings.kind == "fixed":
        return panel.tasks

    def place(task: Task) -> tuple[int, int]:
        own = unit(task.id, task.template_id, settings.claim)
        return derived_seed(seed, "order", panel.digest, own), derived_seed(seed, "order", panel.digest, task.id)

    return sorted(panel.tasks, key=place)


def batches(tasks: Sequence[Task], settings: GateSettings) -> list[list[Task]]:
    """What is played between two looks: `settings.batch` units each; all at once where no looks are taken."""
    if settings.kind == "fixed":
        return [list(tasks)]
    units: dict[str, list[Task]] = {}
    for task in tasks:
        units.setdefault(unit(task.id, task.template_id, settings.claim), []).append(task)
    groups = list(units.values())
    return [
        [task for group in groups[start : start + settings.batch] for task in group]
        for start in range(0, len(groups), settings.batch)
    ]


async def _paired(
    bench: Bench, tasks: Sequence[Task], candidate: Release, incumbent: Release, key: str
) -> list[PairedOutcome]:
    old = await on_panel(bench, tasks, incumbent, f"{key}: gate panel, present release {incumbent.name}")
    new = await on_panel(bench, tasks, candidate, f"{key}: gate panel, candidate {candidate.name}")
    solved = [[one.success for one in outcomes.values()] for outcomes in (old, new)]
    return _pairs(tasks, bench.settings.gate.attempts, *solved)


async def on_panel(
    bench: Bench, tasks: Sequence[Task], release: Release, title: str, suite: Suite | None = None
) -> dict[str, Outcome]:
    """A release's outcomes on gate tasks, each as often as the gate attempts it; what was played is not played again.
    `suite`: whose tasks they are, if not the run's own."""
    return await bench.play(
        _requests(bench, tasks, release), phase=f"gate-{release.name}", title=title.replace("/", " "), suite=suite
    )


def _requests(bench: Bench, tasks: Sequence[Task], release: Release) -> list[EpisodeRequest]:
    settings = bench.settings.gate
    return [
        bench.request(
            task,
            release,
            Phase.GATE,
            MemoryMode.FROZEN,
            attempt=attempt,
            arm=release.name,
            temperature=settings.temperature,
        )
        for task in tasks
        for attempt in range(settings.attempts)
    ]


async def _noninferior(
    bench: Bench, key: str, name: str, candidate: Release, incumbent: Release, faced: Sequence[Task], digest: str
) -> NonInferiority:
    """How the candidate does where it must not be worse: on a panel of its own, or in the gate's own episodes."""
    gate = bench.settings.gate
    settings, suite, tasks = gate.noninferior[name], None, faced
    if settings.suite:
        suite, panel = bench.other_suite(settings.suite, settings.suite_options), noninferiority_panel(bench, name)
        tasks, digest = panel.tasks, panel.digest
    old, new = [
        _went_well(bench, settings, await on_panel(bench, tasks, release, f"{key}: {name}, {release.name}", suite))
        for release in (incumbent, candidate)
    ]
    return judge(
        _pairs(tasks, gate.attempts, old, new),
        name=name,
        panel_digest=digest,
        settings=settings,
        gate=gate,
        seed=derived_seed(bench.settings.seed, name, digest, candidate.id, incumbent.id),
    )


def _pairs(tasks: Sequence[Task], attempts: int, old: Sequence[bool], new: Sequence[bool]) -> list[PairedOutcome]:
    again = [task for task in tasks for _ in range(attempts)]
    return [
        PairedOutcome(task_id=task.id, family=task.template_id, old=before, new=after)
        for task, before, after in zip(again, old, new, strict=True)
    ]


def _went_well(bench: Bench, settings: NonInferioritySettings, outcomes: dict[str, Outcome]) -> list[bool]:
    if settings.measure == "success":
        return [one.success for one in outcomes.values()]
    episodes = {one.id: one for one in bench.store.trajectories(list(outcomes))}
    return [not any(step.result.violation for step in episodes[key].steps) for key in outcomes]
