"""Does each algorithm learn? All of them from sprout, on the same suites, seeds and number of rollouts, in one run.

    python benchmarks/algorithms.py --suites errands pages --seeds 0 1 2 --out .wisen-algorithms

Each cell is one algorithm on one suite with one seed: `--rounds` times it plays `--tasks` learn tasks, `--attempts`
times each without memory, and trains on all that it played so far, by the same settings as `wisen evolve`. The first
round is sprout's and is shared by all algorithms of a suite and seed. Then the weights play the report panel greedily,
beside sprout, paired by task. Controls: the same with outcomes permuted among the attempts of a round, where the
interval has to hold 0, and rejection sampling with the loss on all tokens instead of the sampled ones.

errands: generated worlds of held-out kinds whose ways nobody tells. pages: pages of held-out families. miniwob: the
thirteen pages, in Chromium. An algorithm that finds nothing to train on says so and leaves sprout as it was. A cell is
a file in the output folder: a run that was stopped goes on where it stood. Prints a table, and writes
`algorithms.json` and `algorithms.md`. A cell takes one to three minutes on a core.

It falls short: two rounds are few for algorithms that live by many, seeds share sprout, and early experience executes
no alternatives beyond those that attempts took.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.progress import Progress

from wisen.agent.judge import choose_judge
from wisen.agent.rollouts import LocalRollouts
from wisen.core.errors import WisenError
from wisen.core.ids import content_id, derived_seed
from wisen.core.protocols import Suite
from wisen.core.records import EpisodeRequest, Phase, Release, Split, Task, Trajectory
from wisen.core.statistics import paired_bootstrap
from wisen.environments import registry
from wisen.evolution.cycle import shuffled
from wisen.models import sprout
from wisen.models.local import LocalModel
from wisen.trainers.algorithms import algorithm_names
from wisen.trainers.algorithms.rft import RFT
from wisen.trainers.data import Dataset
from wisen.trainers.dataset import Row, deduplicated
from wisen.trainers.settings import TrainSettings
from wisen.trainers.sprout.kinds import HELD_KINDS
from wisen.trainers.sprout.pages import HELD_PAGES
from wisen.trainers.sprout.playing import GeneratedSuite
from wisen.trainers.sprout.replay import lesson_row
from wisen.trainers.trainer import Trainer

TRUE, SHUFFLED, ALL_TOKENS = "true", "shuffled", "all-tokens"
MAX_STEPS = 12
SUITES = ("errands", "pages", "miniwob")


@dataclass(frozen=True)
class Cell:
    """solved: by task of the report panel. why: what was said where there was nothing to train on."""

    suite: str
    seed: int
    algorithm: str
    kind: str
    solved: dict[str, bool]
    rows: int = 0
    tokens: int = 0
    seconds: float = 0.0
    why: str = ""


def main() -> None:
    told = arguments()
    told.out.mkdir(parents=True, exist_ok=True)
    console = Console()
    names = [name for name in algorithm_names() if not told.algorithms or name in told.algorithms]
    plan = [
        (suite, seed, algorithm, kind)
        for suite in told.suites
        for seed in told.seeds
        for algorithm, kind in (
            ("sprout", TRUE),
            *((name, TRUE) for name in names),
            *((name, SHUFFLED) for name in names if SHUFFLED in told.controls),
            *(("rft", ALL_TOKENS) for _ in "." if ALL_TOKENS in told.controls),
        )
    ]
    cells = []
    with Progress(console=console) as bar:
        task = bar.add_task("cells", total=len(plan))
        for suite, seed, algorithm, kind in plan:
            bar.update(task, description=f"{suite} {seed} {algorithm} {kind}")
            cells.append(kept(told, suite, seed, algorithm, kind))
            bar.advance(task)
    lines = table(cells)
    (told.out / "algorithms.json").write_text(json.dumps(summed(cells), indent=1) + "\n")
    (told.out / "algorithms.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=["errands", "pages"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--algorithms", nargs="+", default=[])
    parser.add_argument("--controls", nargs="*", default=[SHUFFLED, ALL_TOKENS])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=24, help="learn tasks a round")
    parser.add_argument("--attempts", type=int, default=4)
    parser.add_argument("--report", type=int, default=96, help="report tasks")
    parser.add_argument("--tokens", type=int, default=60_000, help="trained on in a round")
    parser.add_argument("--explore", type=float, default=0.1)
    parser.add_argument("--out", type=Path, default=Path(".wisen-algorithms"))
    return parser.parse_args()


def kept(told: argparse.Namespace, suite: str, seed: int, algorithm: str, kind: str) -> Cell:
    """The cell from its file, or measured and put there."""
    budget = (told.rounds, told.tasks, told.attempts, told.report, told.tokens, told.explore)
    folder = told.out / content_id("budget", *budget)
    path = folder / f"{suite}-{seed}-{algorithm}-{kind}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        cell = asyncio.run(measured(told, folder, suite, seed, algorithm, kind))
        scratch = path.with_suffix(".part")
        scratch.write_text(json.dumps(asdict(cell)) + "\n")
        scratch.rename(path)
    return Cell(**json.loads(path.read_text()))


async def measured(told: argparse.Namespace, folder: Path, name: str, seed: int, algorithm: str, kind: str) -> Cell:
    suite = suite_of(name, seed)
    await suite.start()
    try:
        learn = spread(suite.tasks(Split.LEARN, told.tasks * told.rounds), told.tasks * told.rounds, seed)
        report = spread(suite.tasks(Split.REPORT, told.report), told.report, seed)
        weights, rows, tokens, seconds, why = sprout.folder(), 0, 0, 0.0, ""
        played: list[Trajectory] = []
        for number in range(0 if algorithm == "sprout" else told.rounds):
            tasks = learn[number * told.tasks : (number + 1) * told.tasks]
            shared = folder / f"{name}-{seed}-rollouts.jsonl" if number == 0 else None
            fresh = await collected(suite, weights, tasks, told, seed, number, shared)
            played += shuffled(fresh, seed=seed) if kind == SHUFFLED else fresh
            out = folder / "weights" / f"{name}-{seed}-{algorithm}-{kind}-{number}"
            began = time.monotonic()
            try:
                recipe = trained(algorithm, kind, played, weights, out, told.tokens, derived_seed(seed, number))
            except WisenError as error:
                why = f"round {number + 1}: {error}"
                continue
            seconds += time.monotonic() - began
            rows, tokens, weights = rows + recipe["rows"], tokens + recipe["tokens"], out
        solved = await reported(suite, weights, report, seed)
    finally:
        await suite.stop()
    return Cell(name, seed, algorithm, kind, solved, rows, tokens, seconds, why)


def suite_of(name: str, seed: int) -> Suite:
    if name == "miniwob":
        return registry.create("miniwob", families="demo")
    return cast(Suite, GeneratedSuite(seed, kinds=HELD_KINDS if name == "errands" else HELD_PAGES))


def spread(tasks: Sequence[Task], most: int, seed: int) -> list[Task]:
    """So many, evenly over templates: those that a seed ranks first, of each in turn."""
    order = sorted(tasks, key=lambda task: derived_seed(seed, task.id))
    turns: dict[str, int] = {}
    places = []
    for task in order:
        turns[task.template_id] = turns.get(task.template_id, 0) + 1
        places.append((turns[task.template_id], task.id, task))
    return [task for _, _, task in sorted(places, key=lambda place: place[:2])][:most]


async def collected(
    suite: Suite,
    weights: Path,
    tasks: Sequence[Task],
    told: argparse.Namespace,
    seed: int,
    number: int,
    shared: Path | None,
) -> list[Trajectory]:
    if shared is not None and shared.exists():
        return [Trajectory.model_validate_json(line) for line in shared.read_text().splitlines()]
    requests = [
        EpisodeRequest(
            trajectory_id=content_id("traj", seed, number, task.id, attempt),
            run_id="algorithms",
            task=task,
            phase=Phase.COLLECT,
            release=release(f"round-{number}"),
            attempt=attempt,
            arm=f"collect-{number}",
            temperature=1.0,
            explore=told.explore,
            max_steps=MAX_STEPS,
            seed=seed,
        )
        for task in tasks
        for attempt in range(told.attempts)
    ]
    found = await played_by(suite, weights, requests)
    if shared is not None:
        shared.write_text("".join(f"{one.model_dump_json()}\n" for one in found))
    return found


async def reported(suite: Suite, weights: Path, tasks: Sequence[Task], seed: int) -> dict[str, bool]:
    requests = [
        EpisodeRequest(
            trajectory_id=content_id("report", seed, task.id),
            run_id="algorithms",
            task=task,
            phase=Phase.REPORT,
            release=release("report"),
            max_steps=MAX_STEPS,
            seed=seed,
        )
        for task in tasks
    ]
    return {one.task.id: one.success is True for one in await played_by(suite, weights, requests)}


async def played_by(suite: Suite, weights: Path, requests: Sequence[EpisodeRequest]) -> list[Trajectory]:
    model = LocalModel.load(weights, name=weights.name, dtype="float32", threads=1)
    try:
        rollouts = LocalRollouts(suite, model, choose_judge(environment_decides=True), workers=8)
        found = {each.trajectory.id: each.trajectory async for each in rollouts.run(requests)}
    finally:
        await model.close()
    return [found[request.trajectory_id] for request in requests]


def release(name: str) -> Release:
    return Release(id=name, name=name, model=name, bank_version=0, harness="algorithms")


def trained(
    algorithm: str, kind: str, played: Sequence[Trajectory], parent: Path, out: Path, tokens: int, seed: int
) -> dict[str, Any]:
    """The recipe of the new weights; weights of a cell that was killed are made again."""
    import shutil

    shutil.rmtree(out, ignore_errors=True)
    settings = TrainSettings(algorithm=algorithm, tokens=tokens, threads=1)
    trainer = Trainer(settings, replay=lesson_row)
    if kind == ALL_TOKENS:
        trainer.algorithm = Unmasked()
    return trainer.train(played, parent=parent, out=out, seed=seed).recipe


class Unmasked(RFT):
    """Rejection sampling with the loss on every token of the row: what the mask is there to keep out."""

    def rows(self, dataset: Dataset) -> list[Row]:
        rows = []
        for row in super().rows(dataset):
            places = tuple(range(1, row.tokens))
            allowed = dict(zip(row.trained, row.allowed, strict=True))
            rows.append(replace(row, trained=places, allowed=tuple(allowed.get(at, ()) for at in places), old=()))
        return deduplicated(rows)


def lifts(cells: Sequence[Cell], algorithm: str, kind: str, suite: str) -> list[float]:
    """Success minus sprout's, by task, over all seeds."""
    base = {cell.seed: cell.solved for cell in cells if cell.suite == suite and cell.algorithm == "sprout"}
    mine = [cell for cell in cells if (cell.suite, cell.algorithm, cell.kind) == (suite, algorithm, kind)]
    return [float(cell.solved[key]) - float(base[cell.seed][key]) for cell in mine for key in sorted(cell.solved)]


def summed(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    found = []
    for suite, algorithm, kind in dict.fromkeys((cell.suite, cell.algorithm, cell.kind) for cell in cells):
        mine = [cell for cell in cells if (cell.suite, cell.algorithm, cell.kind) == (suite, algorithm, kind)]
        differences = lifts(cells, algorithm, kind, suite)
        found.append(
            {
                "suite": suite,
                "algorithm": algorithm,
                "kind": kind,
                "seeds": [cell.seed for cell in mine],
                "success": sum(sum(cell.solved.values()) for cell in mine) / sum(len(cell.solved) for cell in mine),
                "lift": paired_bootstrap(differences, seed=0).model_dump(),
                "by_seed": [sum(lifts([*bases(cells, suite), cell], algorithm, kind, suite)) / len(cell.solved)
                            for cell in mine],
                "rows": [cell.rows for cell in mine],
                "tokens": [cell.tokens for cell in mine],
                "seconds": [round(cell.seconds, 1) for cell in mine],
                "why": sorted({cell.why for cell in mine if cell.why}),
            }
        )  # fmt: skip
    return found


def bases(cells: Sequence[Cell], suite: str) -> list[Cell]:
    return [cell for cell in cells if cell.suite == suite and cell.algorithm == "sprout"]


def table(cells: Sequence[Cell]) -> list[str]:
    lines = [
        "| suite | algorithm | rewards | solved | lift, points (95 %) | by seed | rows | tokens | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    notes = []
    for one in summed(cells):
        lift = one["lift"]
        told = f"{100 * lift['mean']:+.1f} ({100 * lift['low']:+.1f} to {100 * lift['high']:+.1f})"
        seeds = ", ".join(f"{100 * value:+.0f}" for value in one["by_seed"])
        figures = [f"{sum(one[key]) / len(one[key]):,.0f}" for key in ("rows", "tokens", "seconds")]
        parts = [one["suite"], one["algorithm"], one["kind"], f"{100 * one['success']:.0f} %", told, seeds, *figures]
        lines.append(f"| {' | '.join(parts)} |")
        notes += [f"{one['suite']}, {one['algorithm']}, {one['kind']}: {why}" for why in one["why"]]
    return [*lines, "", *notes]


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main()
