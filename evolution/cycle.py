"""One turn of the loop: collect, distil, train, gate.

Every stretch leaves a mark in the store when it is whole, so that a cycle that was killed goes on where it stood and
comes to the same result.
"""

import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby

from wisen.core.errors import StoreError
from wisen.core.ids import derived_seed
from wisen.core.protocols import Curator
from wisen.core.records import (
    Checkpoint,
    CurvePoint,
    GateAnswer,
    MemoryItem,
    MemoryMode,
    Note,
    Outcome,
    Phase,
    PhaseEnded,
    Release,
    Split,
    Task,
    Trajectory,
    Verdict,
)
from wisen.core.statistics import wilson
from wisen.evolution.admitting import unproven
from wisen.evolution.arms import by_template
from wisen.evolution.backbone import backbone
from wisen.evolution.crediting import move_items
from wisen.evolution.curating import curate
from wisen.evolution.gating import gated, on_panel
from wisen.evolution.panels import limited, refuse_overlap
from wisen.evolution.retrieval import refit_head
from wisen.evolution.run_panels import all_panels, gate_panel
from wisen.evolution.workbench import Bench
from wisen.memory.bank import compare
from wisen.memory.guard import Doubt
from wisen.memory.guard.lessons import lessons_of
from wisen.trainers.algorithms.base import NothingToTrain
from wisen.trainers.checkpoints import describe
from wisen.trainers.trainer import Trainer

CYCLE_SEEDS = 1_000  # learning seeds that a cycle may use of each template


def used_up(bench: Bench, number: int) -> str:
    """Why cycle `number` cannot begin, in words; empty if it can, or has begun. No task is learned from twice, and no
    gate panel is used more often than its error budget allows: a suite with a limited number of tasks comes to its
    end."""
    if bench.store.marked(bench.run_id, f"cycle/{number}/start"):
        return ""
    if not _learning_tasks(bench, number):
        return f"all tasks of {bench.suite.name} that there are to learn from have been played"
    if gate_panel(bench)[1] > bench.settings.gate.uses:
        return f"the gate tasks of {bench.suite.name} are used up (gate.uses lets a panel serve more often)"
    return ""


async def run_cycle(bench: Bench, number: int) -> CurvePoint:
    """Cycle `number` (from 1). Returns what it did, and does nothing when it is done already."""
    key = f"cycle/{number}"
    if done := bench.store.marked(bench.run_id, f"{key}/done"):
        return CurvePoint.model_validate(done)
    started = time.monotonic()
    incumbent = _incumbent(bench, key)
    collected = await _collect(bench, number, incumbent)
    version = await _distil(bench, number, collected)
    if same_bank(bench, incumbent.bank_version, version):
        version = incumbent.bank_version  # a bank that was restored has another number, and is nothing new to try
    await refit_head(bench, number, version)
    trained = await _train(bench, number, _parent(bench, number, incumbent)) if bench.settings.trains else None
    candidate = bench.release(f"r{number}", trained.name if trained else incumbent.model, version, parent=incumbent)
    old, new, promoted = await _tried(bench, number, candidate, incumbent)
    solved = [outcome.success for outcome in collected.values()]
    point = CurvePoint(
        cycle=number,
        incumbent=wilson(sum(old), len(old)),
        candidate=wilson(sum(new), len(new)),
        promoted=promoted,
        collected=len(solved),
        collected_success=sum(solved) / len(solved),
        items=len(bench.bank.snapshot(version)),
        rows=trained.recipe.get("rows", 0) if trained else 0,
        tokens=trained.recipe.get("tokens", 0) if trained else 0,
        seconds=round(time.monotonic() - started, 1),
    )
    bench.store.mark(bench.run_id, f"{key}/done", point.model_dump(mode="json"))
    return point


def _incumbent(bench: Bench, key: str) -> Release:
    """The release that was present when the cycle began, also after the cycle has promoted another."""
    present = bench.store.current_release()
    assert present is not None, "the first release comes before the first cycle"
    start = bench.store.marked(bench.run_id, f"{key}/start") or {"release": present.id}
    bench.store.mark(bench.run_id, f"{key}/start", start)
    release = bench.store.release(start["release"])
    if release is None:
        raise StoreError(f"release {start['release']} is not in the store")
    return release


async def _collect(bench: Bench, number: int, incumbent: Release) -> dict[str, Outcome]:
    """Play this cycle's learning tasks with the present weights over the newest bank, items held out at random."""
    settings = bench.settings.collect
    tasks = _learning_tasks(bench, number)
    refuse_overlap(all_panels(bench), learned=tasks)
    head = bench.store.marked(bench.run_id, f"cycle/{number}/head") or {"version": bench.bank.version}
    bench.store.mark(bench.run_id, f"cycle/{number}/head", head)
    acting = bench.release(f"c{number}", incumbent.model, head["version"])
    requests = [
        bench.request(
            task,
            acting,
            Phase.COLLECT,
            MemoryMode.RANDOMISED,
            attempt=attempt,
            arm=f"collect-{number}",
            temperature=settings.temperature,
            explore=bench.settings.exploration(number),
            distil=settings.rewards == "true" and settings.attempts == 1,  # several are distilled together, below
        )
        for task in tasks
        for attempt in range(settings.attempts)
    ]
    title = f"cycle {number}: collecting with {incumbent.name}"
    return await bench.play(requests, phase=f"collect-{number}", title=title)


def _learning_tasks(bench: Bench, number: int) -> tuple[Task, ...]:
    """This cycle's tasks: the same number of each template, and more of those that did badly in the last cycle."""
    settings, offset = bench.settings.collect, number * CYCLE_SEEDS
    if limited(bench.suite):  # no gaps: one cycle's tasks begin where those of the last one end
        offset = 0 if number == 1 else settings.first + (number - 2) * (settings.per_template + settings.weak_extra)
    if number == 1:
        return bench.suite.tasks(Split.LEARN, settings.first, offset=offset)
    before = bench.store.marked(bench.run_id, f"cycle/{number - 1}/collected") or {"ids": []}
    weak = weak_templates(bench.store.outcomes(before["ids"]))
    tasks = bench.suite.tasks(Split.LEARN, settings.per_template + settings.weak_extra, offset=offset)
    seen: dict[str, int] = defaultdict(int)
    chosen = []
    for task in tasks:
        seen[task.template_id] += 1
        if seen[task.template_id] <= settings.per_template or task.template_id in weak:
            chosen.append(task)
    return tuple(chosen)


def weak_templates(outcomes: Mapping[str, Outcome]) -> frozenset[str]:
    """Templates of which less than half was solved."""
    groups = by_template(outcomes.values())
    return frozenset(template for template, solved in groups.items() if 2 * sum(solved) < len(solved))


async def _distil(bench: Bench, number: int, collected: Mapping[str, Outcome]) -> int:
    """Move items by what was seen of them, and offer what the episodes taught to the bank, in the order of the tasks;
    returns the new bank version."""
    key = f"cycle/{number}/bank"
    bench.store.mark(bench.run_id, f"cycle/{number}/collected", {"ids": list(collected)})
    if done := bench.store.marked(bench.run_id, key):
        return int(done["version"])
    if bench.settings.credit.moves and bench.settings.collect.rewards == "true":  # the control has no true outcomes
        move_items(bench.store, bench.run_id, number, bench.settings.credit)
    if isinstance(bench.distiller, Curator):
        await curate(bench, bench.distiller, number, _attempts(bench, list(collected)))
    else:
        items = await _proposals(bench, list(collected))
        bench.bank.propose(
            items,
            actor=f"{bench.distiller.name}, cycle {number}",
            mark=(bench.run_id, f"{key}/offered", {}),
            doubts=await _doubts(bench, number, items, list(collected)),
        )
    version = bench.bank.version
    bench.store.mark(bench.run_id, key, {"version": version})
    await bench.outbox.deliver()
    return version


async def _doubts(bench: Bench, number: int, items: Sequence[MemoryItem], ids: Sequence[str]) -> dict[str, Doubt]:
    """Why items are to be quarantined: skills that did not pass, and what consensus found."""
    failed = await unproven(bench, number, items, ids)
    if bench.review is None:
        return failed
    return {**await bench.review.doubts(items, bench.bank.snapshot(), lessons_of(bench.store.events())), **failed}


async def _proposals(bench: Bench, ids: Sequence[str]) -> list[MemoryItem]:
    """What each episode's distil node proposed, or what the attempts at each task teach together."""
    if bench.settings.collect.rewards == "true":
        proposed = bench.store.proposals(ids)
        items = [item for key in ids for item in proposed.get(key, ())]
    else:
        items = []
    attempts = sorted(_attempts(bench, ids), key=lambda one: one[0].task.id)
    for _, group in groupby(attempts, key=lambda one: one[0].task.id):
        tried = list(group)
        if len(tried) > 1 or bench.settings.collect.rewards == "shuffled":
            items += await bench.distiller.distil(tried)
    return items


def _attempts(bench: Bench, ids: Sequence[str]) -> list[tuple[Trajectory, Verdict]]:
    """What was collected, as learning sees it: in the control a verdict says what the permuted outcome does."""
    verdicts = {key: found[-1] for key, found in bench.store.verdicts(ids).items()}
    if bench.settings.collect.rewards == "true":
        return [(one, verdicts[one.id]) for one in bench.store.trajectories(ids)]
    return [
        (one, verdicts[one.id].model_copy(update={"success": one.success is True}))
        for one in _as_rewarded(bench, bench.store.trajectories(ids))
    ]


def _parent(bench: Bench, number: int, incumbent: Release) -> str:
    """The weights to train on from: the last candidate's if its gate was undecided, else the present release's.

    What the panel could not tell from the present release is no loss to build on; the next gate tries the sum of both.
    """
    for gate in reversed(bench.store.gates(bench.run_id)):
        candidate = bench.store.release(gate.candidate_id)
        if candidate is not None and candidate.name == f"r{number - 1}":
            undecided = gate.answer is GateAnswer.NOT_ENOUGH_EVIDENCE
            return candidate.model if undecided else incumbent.model
    return incumbent.model


async def _train(bench: Bench, number: int, parent: str) -> Checkpoint | None:
    """Fine-tune the parent's weights on everything collected so far. None where a later cycle brought nothing that the
    algorithm could learn from; in the first one that is the settings' fault, and an error."""
    name = f"c{number}"
    if known := bench.store.checkpoint(name):
        return known
    phase, started = f"train-{number}", time.monotonic()
    try:
        checkpoint = await bench.in_thread(lambda: _fine_tuned(bench, number, parent, phase))
    except NothingToTrain as nothing:
        if number == 1:
            raise
        bench.emit(Note(text=f"cycle {number}: {nothing}; the weights stay as they are"))
        return None
    bench.store.add_checkpoint(checkpoint)
    recipe = checkpoint.recipe
    summary = f"{recipe['rows']} decisions of {recipe['trajectories']} episodes, loss {recipe['last_loss']:.3f}"
    bench.emit(PhaseEnded(phase=phase, summary=summary, seconds=time.monotonic() - started))
    return checkpoint


def _fine_tuned(bench: Bench, number: int, parent: str, phase: str) -> Checkpoint:
    weights, name = bench.workspace.weights, f"c{number}"
    if (weights / name).exists():  # written whole, but the store was not told: a kill came between
        return describe(weights / name)
    ids = [
        key
        for earlier in range(1, number + 1)
        for key in (bench.store.marked(bench.run_id, f"cycle/{earlier}/collected") or {"ids": []})["ids"]
    ]
    trajectories = _as_rewarded(bench, bench.store.trajectories(ids))
    tick = bench.tick(phase, f"cycle {number}: training on its own attempts ({bench.settings.train.algorithm})")
    trainer = Trainer(bench.settings.train, tick, replay=backbone(bench).replay)
    seed = derived_seed(bench.settings.seed, "train", number)
    return trainer.train(trajectories, parent=weights / parent, out=weights / name, seed=seed)


def _as_rewarded(bench: Bench, trajectories: Sequence[Trajectory]) -> tuple[Trajectory, ...]:
    """The trajectories as learning sees them: as they are, or, in the control, with their outcomes permuted."""
    if bench.settings.collect.rewards == "true":
        return tuple(trajectories)
    return shuffled(trajectories, seed=bench.settings.seed)


def shuffled(trajectories: Sequence[Trajectory], *, seed: int) -> tuple[Trajectory, ...]:
    """The trajectories with outcomes permuted within each collecting arm: as many successes, but anyone's."""
    arms: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in trajectories:
        arms[trajectory.arm].append(trajectory)
    result: dict[str, Trajectory] = {}
    for arm, group in arms.items():
        outcomes = [trajectory.success for trajectory in group]
        random.Random(derived_seed(seed, "shuffle", arm)).shuffle(outcomes)
        for trajectory, success in zip(group, outcomes, strict=True):
            result[trajectory.id] = trajectory.model_copy(update={"success": success})
    return tuple(result[trajectory.id] for trajectory in trajectories)


def same_bank(bench: Bench, one: int, other: int) -> bool:
    """Whether two bank versions hold the same."""
    difference = compare(bench.bank.snapshot(one), bench.bank.snapshot(other))
    return not (difference.added or difference.removed or difference.changed)


async def _tried(
    bench: Bench, number: int, candidate: Release, incumbent: Release
) -> tuple[list[bool], list[bool], bool]:
    """(the incumbent's successes on the gate panel, the candidate's, whether it was promoted). A cycle that brought
    nothing new has no candidate, and costs the panel nothing."""
    if candidate.id == incumbent.id:
        title = f"cycle {number}: gate panel, present release {incumbent.name} (nothing new to try)"
        outcomes = await on_panel(bench, gate_panel(bench)[0].tasks, incumbent, title)
        solved = [outcome.success for outcome in outcomes.values()]
        return solved, solved, False
    bench.store.add_release(candidate, reason=f"candidate of cycle {number}")
    decision = await gated(bench, f"cycle/{number}", candidate, incumbent)
    old, new = [pair.old for pair in decision.outcomes], [pair.new for pair in decision.outcomes]
    return old, new, decision.answer is GateAnswer.PROMOTE
