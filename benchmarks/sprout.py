"""What can sprout do? Acting, memory, judging, on what its training never held.

    python benchmarks/sprout.py --parts memory judge miniwob --out .wisen-sprout

memory: errands and pages of held-out families, words and phrases; the errands have hidden ways. sprout plays some of
the learn split, half of the actions drawn at random; the extractive distiller makes items of them; then it plays others
at the same places in shuffled order, with memory off and on (recalled by similarity, as always), with the items of
other worlds, and with items that claim the wrong way. Paired by task, over three sets of worlds.
judge: finished attempts of held-out families, sprout's verdict by the judge's own prompt beside the environment's.
miniwob: the thirteen pages, sprout beside the random policy over the admissible actions, paired by task.

Prints tables and writes `sprout.json` and `sprout.md`.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wisen.agent.judge import ModelJudge, choose_judge
from wisen.agent.rollouts import LocalRollouts
from wisen.core.errors import ModelFault
from wisen.core.ids import content_id, derived_seed
from wisen.core.protocols import Model, Suite
from wisen.core.records import (
    Episode,
    EpisodeRequest,
    EventKind,
    ItemStatus,
    LedgerEvent,
    MemoryItem,
    MemoryMode,
    Phase,
    Release,
    Split,
    Task,
    Trajectory,
    Verdict,
)
from wisen.core.statistics import paired_bootstrap, wilson
from wisen.environments import registry
from wisen.memory.bank import Snapshot, fold
from wisen.memory.distillers import make_distiller
from wisen.memory.index import ChromaIndex
from wisen.memory.recall import RecallSettings, SnapshotRecaller
from wisen.models import sprout
from wisen.models.embedder import MiniLM
from wisen.models.local import LocalModel
from wisen.models.uniform import UniformModel
from wisen.trainers.sprout.kinds import HELD_KINDS
from wisen.trainers.sprout.lessons import Mix
from wisen.trainers.sprout.notes import about
from wisen.trainers.sprout.pages import HELD_PAGES
from wisen.trainers.sprout.playing import GeneratedSuite, world_of
from wisen.trainers.sprout.records import attempt
from wisen.trainers.sprout.ways import Way
from wisen.trainers.sprout.words import Lexicon, Side

LEARN, REPORT = 1, 6  # errands at each place, of which it learns, and on which it is measured
ATTEMPTS = 32  # at each errand that it learns from
FAMILIES = (*HELD_KINDS, *HELD_PAGES)
JUDGE = choose_judge(environment_decides=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=sprout.folder())
    parser.add_argument("--parts", nargs="+", default=["memory", "judge", "miniwob"])
    parser.add_argument("--worlds", type=int, default=3)
    parser.add_argument("--report", type=int, default=REPORT)
    parser.add_argument("--attempts", type=int, default=300, help="attempts to judge")
    parser.add_argument("--tasks", type=int, default=10, help="MiniWoB++ tasks of each family")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(".wisen-sprout"))
    told = parser.parse_args()
    found, lines = asyncio.run(measured(told))
    told.out.mkdir(parents=True, exist_ok=True)
    (told.out / "sprout.json").write_text(json.dumps(found, indent=1) + "\n")
    (told.out / "sprout.md").write_text("\n".join(lines) + "\n")


async def measured(told: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    model = LocalModel.load(told.weights, name="sprout", threads=told.threads)
    found: dict[str, Any] = {}
    lines: list[str] = []
    try:
        for part in told.parts:
            if part == "memory":
                found[part], told_lines = await memory(model, told.worlds, told.report)
            elif part == "judge":
                found[part], told_lines = await judge(model, told.attempts)
            else:
                found[part], told_lines = await miniwob(model, told.tasks)
            sys.stdout.write("\n".join(told_lines) + "\n\n")
            sys.stdout.flush()
            lines += [*told_lines, ""]
            found.setdefault("tables", {})[part] = "\n".join(told_lines)
    finally:
        await model.close()
    return found, lines


# Memory: off, on, irrelevant, wrong.


async def memory(model: Model, worlds: int, report: int) -> tuple[dict[str, Any], list[str]]:
    arms: dict[str, dict[str, Trajectory]] = defaultdict(dict)
    kinds: dict[str, str] = {}
    shown: dict[str, list[bool]] = defaultdict(list)
    items = 0
    with tempfile.TemporaryDirectory() as folder:
        for world in range(worlds):
            suite = GeneratedSuite(world, kinds=FAMILIES)
            index = ChromaIndex(MiniLM(), path=Path(folder) / str(world))
            learned = await learnt(model, suite, world)
            others = await learnt(model, GeneratedSuite(world + 100, kinds=FAMILIES), world)
            banks = {"on": learned, "irrelevant": others, "wrong": wrong_items(suite)}
            items += len(learned)
            tasks = list(suite.tasks(Split.REPORT, report))
            random.Random(world).shuffle(tasks)
            kinds |= {task.id: task.template_id for task in tasks}
            arms["off"] |= await played(model, suite, tasks, world, None)
            for arm, bank in banks.items():
                snapshot = active(bank)
                await index.ensure(bank)
                # What is irrelevant is below the usual floor: it is shown all the same, or nothing would be measured.
                settings = RecallSettings(floor=-1.0, recording_floor=-1.0) if arm == "irrelevant" else RecallSettings()
                recaller = SnapshotRecaller(snapshot, index, settings)
                arms[arm] |= await played(model, suite, tasks, world, recaller, shown[arm])
            arms["random"] |= await played(UniformModel(), suite, tasks, world, None)
            await index.close()
    order = sorted(arms["off"])
    off = [bool(arms["off"][key].success) for key in order]
    found: dict[str, Any] = {"items": items, "tasks": len(order), "arms": {}}
    lines = [
        f"Memory: {len(order)} tasks of held-out families, {worlds} sets of worlds, {items} items learned.",
        "",
        "| arm | saw an item | solved | beside memory off | steps |",
        "| --- | --- | --- | --- | --- |",
    ]
    for arm in ("random", "off", "on", "irrelevant", "wrong"):
        solved = [bool(arms[arm][key].success) for key in order]
        share = wilson(sum(solved), len(solved))
        pair = paired_bootstrap([float(a) - float(b) for a, b in zip(solved, off, strict=True)], seed=0)
        steps = sum(len(arms[arm][key].steps) for key in order) / len(order)
        found["arms"][arm] = {"solved": share.model_dump(), "versus_off": pair.model_dump(), "steps": steps}
        saw = sum(shown[arm]) / len(order)
        found["arms"][arm]["saw an item"] = saw
        beside = "" if arm == "off" else f"{pair.mean * 100:+.1f} ({pair.low * 100:+.1f} to {pair.high * 100:+.1f})"
        lines.append(
            f"| {arm} | {100 * saw:.0f} % | {100 * share.mean:.1f} % ({100 * share.low:.0f} to {100 * share.high:.0f}) "
            f"| {beside} | {steps:.2f} |"
        )
    failed, others, rights = recovery([arms["wrong"][key] for key in order])
    found["wrong"] = {"failed": failed, "did another thing next": others, "which was right": rights}
    lines += [
        "",
        f"Wrong items: in {100 * failed:.0f} % of the errands something failed; in {100 * others:.0f} % of those the "
        f"next action was another one, in {100 * rights:.0f} % it was the right one.",
        "",
        "| family | " + " | ".join(("random", "off", "on", "irrelevant", "wrong")) + " |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for kind in sorted(set(kinds.values())):
        keys = [key for key in order if kinds[key] == kind]
        shares = {arm: sum(bool(arms[arm][key].success) for key in keys) / len(keys) for arm in arms}
        found.setdefault("families", {})[kind] = shares
        cells = " | ".join(f"{100 * shares[arm]:.0f} %" for arm in ("random", "off", "on", "irrelevant", "wrong"))
        lines.append(f"| {kind} | {cells} |")
    return found, lines


async def learnt(model: Model, suite: GeneratedSuite, seed: int) -> list[MemoryItem]:
    """What the extractive distiller makes of many attempts at each errand, in which half of the actions are drawn at
    random. These errands bear no error: a success shows the way, and a failure the step that was wrong."""
    strict = GeneratedSuite(suite.world, lives=0, kinds=FAMILIES)
    requests = [
        request(task, model, seed, MemoryMode.OFF, Phase.COLLECT, attempt=attempt, explore=0.5, temperature=1.0)
        for task in strict.tasks(Split.LEARN, LEARN)
        for attempt in range(ATTEMPTS)
    ]
    attempts: dict[str, list[tuple[Trajectory, Verdict]]] = defaultdict(list)
    async for episode in LocalRollouts(strict, model, JUDGE, workers=8).run(requests):
        attempts[episode.trajectory.task.id].append((episode.trajectory, episode.verdicts[-1]))
    found: dict[str, MemoryItem] = {}
    for _, group in sorted(attempts.items()):
        found |= {item.id: item for item in await make_distiller("extractive").distil(group)}
    return sorted(found.values(), key=lambda item: item.id)


def wrong_items(suite: GeneratedSuite) -> list[MemoryItem]:
    """An item for each place that claims a way of which none is right."""
    found = []
    for kind, custom in suite.customs.items():
        size = len(custom.cast.candidates)
        for number, (place, ways) in enumerate(custom.ways.items()):
            draw = random.Random(derived_seed("wrong", kind, place))
            found.append(about(draw, custom, place, [(way + 1 + number % (size - 1)) % size for way in ways]))
    return found


def active(items: Sequence[MemoryItem]) -> Snapshot:
    """The bank that holds these items, all of them active."""
    events = []
    for item in items:
        events.append(
            LedgerEvent(
                seq=len(events) + 1, kind=EventKind.PROPOSED, item_id=item.id, item=item, status=ItemStatus.PROBATION
            )
        )
    return fold(events)


async def played(
    model: Model,
    suite: Suite,
    tasks: Sequence[Task],
    seed: int,
    recaller: SnapshotRecaller | None,
    shown: list[bool] | None = None,
) -> dict[str, Trajectory]:
    """Trajectories by task id. `shown` is told of each episode whether it saw an item."""
    memory_mode = MemoryMode.OFF if recaller is None else MemoryMode.FROZEN
    requests = [request(task, model, seed, memory_mode, Phase.REPORT) for task in tasks]
    rollouts = LocalRollouts(suite, model, JUDGE, workers=8, recaller=recaller)
    found = {}
    async for episode in rollouts.run(requests):
        found[episode.trajectory.task.id] = scored(episode)
        if shown is not None and episode.recall is not None:
            shown.append(bool(episode.recall.shown))
    return found


def scored(episode: Episode) -> Trajectory:
    return episode.trajectory.model_copy(update={"success": episode.verdicts[-1].success})


def request(task: Task, model: Model, seed: int, mode: MemoryMode, phase: Phase, **more: Any) -> EpisodeRequest:
    release = Release(id=model.name, name=model.name, model=model.name, bank_version=1, harness="benchmark")
    return EpisodeRequest(
        trajectory_id=content_id("traj", model.name, seed, task.id, mode, phase, more),
        run_id="sprout",
        task=task,
        phase=phase,
        release=release,
        memory=mode,
        seed=seed,
        **more,
    )


def recovery(trajectories: Sequence[Trajectory]) -> tuple[float, float, float]:
    """(share of the episodes in which something failed, of those the share that did another thing next, and the share
    in which that was right): played again in the world, which counts errors."""
    failed, others, rights, errands = 0, 0, 0, 0
    for trajectory in trajectories:
        world = world_of(trajectory.task)
        if not isinstance(world, Way):
            continue
        errands += 1
        actions = [str(step.action) for step in trajectory.steps]
        for action, after in zip(actions, [*actions[1:], ""], strict=True):
            world.act(action)
            if world.errors:
                failed += 1
                others += after not in ("", action)
                rights += after == world.right()
                break
    return failed / max(1, errands), others / max(1, failed), rights / max(1, failed)


# Judging.


async def judge(model: Model, attempts: int) -> tuple[dict[str, Any], list[str]]:
    court, groups = ModelJudge(model, max_tokens=96), defaultdict(list)
    unreadable = 0
    for number in range(attempts):
        draw = random.Random(derived_seed("judge", number))
        made, _ = attempt(draw, Lexicon(Side.HELD, 0.5), Mix(), tuple(HELD_PAGES), HELD_KINDS)
        try:
            verdict = await court.judge(made)
            groups[made.task.template_id].append((verdict.success, bool(made.success)))
        except ModelFault:
            unreadable += 1
            groups[made.task.template_id].append((not made.success, bool(made.success)))
    every = [pair for group in groups.values() for pair in group]
    share = wilson(sum(one == other for one, other in every), len(every))
    found = {"agreement": share.model_dump(), "attempts": len(every), "unreadable": unreadable, "families": {}}
    lines = [
        f"Judge: agrees with the environment on {100 * share.mean:.1f} % of {len(every)} attempts of held-out families "
        f"({100 * share.low:.0f} to {100 * share.high:.0f} %); {unreadable} replies could not be read.",
        "",
        "| family | agreement | successes | attempts |",
        "| --- | --- | --- | --- |",
    ]
    for family, group in sorted(groups.items()):
        agreed = sum(one == other for one, other in group) / len(group)
        found["families"][family] = agreed
        lines.append(f"| {family} | {100 * agreed:.0f} % | {sum(other for _, other in group)} | {len(group)} |")
    return found, lines


# MiniWoB++.


async def miniwob(model: Model, tasks: int) -> tuple[dict[str, Any], list[str]]:
    suite = registry.create("miniwob")
    await suite.start()
    try:
        given = suite.tasks(Split.REPORT, tasks)
        ours = await played(model, suite, given, 0, None)
        chance = await played(UniformModel(), suite, given, 0, None)
    finally:
        await suite.stop()
    keys = [task.id for task in given]
    won = [bool(ours[key].success) for key in keys]
    lost = [bool(chance[key].success) for key in keys]
    pair = paired_bootstrap([float(a) - float(b) for a, b in zip(won, lost, strict=True)], seed=0)
    share, other = wilson(sum(won), len(won)), wilson(sum(lost), len(lost))
    lines = [
        f"MiniWoB++, {len(keys)} tasks: sprout {100 * share.mean:.1f} %, random {100 * other.mean:.1f} %, "
        f"{100 * pair.mean:+.1f} points ({100 * pair.low:+.1f} to {100 * pair.high:+.1f}).",
        "",
        "| family | sprout | random |",
        "| --- | --- | --- |",
    ]
    families: dict[str, list[float]] = {}
    for template in dict.fromkeys(task.template_id for task in given):
        these = [task.id for task in given if task.template_id == template]
        families[template] = [sum(bool(arm[key].success) for key in these) / len(these) for arm in (ours, chance)]
        lines.append(f"| {template} | {100 * families[template][0]:.0f} % | {100 * families[template][1]:.0f} % |")
    found = {
        "sprout": share.model_dump(),
        "random": other.model_dump(),
        "difference": pair.model_dump(),
        "families": families,
    }
    return found, lines


if __name__ == "__main__":
    main()
