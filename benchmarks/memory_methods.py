"""Which way of remembering helps an agent, and which one costs it? Every method on the same streams of tasks.

    python benchmarks/memory_methods.py --out .wisen-methods

Cell by cell: method x suite x seed x order. In a cell sprout (greedy, always the same weights) plays a stream of tasks
in waves of 8. Each wave is played with the bank as it stood when it began; then the method writes items from it, and
the bank takes them. So nothing is known at first, and the order matters: it is the suite's (round by round over the
places), or shuffled. `none` plays the same tasks and seeds without memory, and every method is paired with it, task by
task. A task that comes back never does so as the same task, and no item is shown on the task that it stems from.

A method learns from what the wave did, and from two more attempts at each of its tasks, which are not measured: without
memory, half of their actions drawn at random, the same for every method and order. What sprout never does by itself it
would never learn otherwise.

Methods that need no writer:

- extractive, workflows (Agent Workflow Memory by rule), raw (episodes as they were): one item at a time.
- cases: Memento's, the four nearest. cases-parametric: the same cases, put in order by the retrieval head once that has
  beaten cosine. Its labels come from one more unmeasured attempt at each task, in which cases are held out at random.
- random: the extractive bank, any item of it: the control.

`reasoningbank` is written by sprout itself, greedily, in at most 192 tokens; replies that cannot be read are counted,
and attempts that do not fit its context with them. The others need a stronger writer: `--writer PROVIDER/NAME` runs
them, with the acting left to sprout.

Suites: generated (errands and pages of families that sprout was not trained on), miniwob (the demo's thirteen pages)
and code-repair (sprout solves few of them). household and office can be named, but sprout solves next to nothing there.

A cell is one JSON file, there whole or not at all, and named after all that decides it (the weights' digest too): the
same command goes on where it was stopped, and several processes may share the work by --seeds or --suites. The table
has 95 % intervals (paired bootstrap over tasks), also where memory loses, and only what has been played: --only-table
prints it at any time. Writes methods.md and methods.json. About an hour of one core.
"""

import argparse
import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for its neighbours

from benchmarks.method_parts import METHODS, NONE, ROUNDS, RULED, SUITES, WRITTEN, Cell
from benchmarks.method_streams import EVERY, EXPLORE, PRACTICE, WAVE, Practised, played
from wisen.core.errors import SettingsError, WisenError
from wisen.core.protocols import Model
from wisen.core.statistics import paired_bootstrap, wilson
from wisen.models import sprout
from wisen.models.embedder import MiniLM

GUARDS = {
    "task": "by task: no item is shown on a task that it stems from",
    "template": "by template: no item is shown on a task of a template that it stems from",
}
BY_ITSELF = "reasoningbank"  # the one written method that sprout writes here
COLUMNS = (
    "method",
    "order",
    "seeds",
    "solved",
    "beside memory off, points",
    "items shown",
    "tokens",
    "bank",
    "not readable",
    "s a task",
)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=["generated", "miniwob", "code-repair"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="all that --writer can run, if left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--orders", nargs="+", choices=["default", "shuffled"], default=["default", "shuffled"])
    parser.add_argument("--tasks", type=int, default=72, help="in a stream")
    parser.add_argument("--agent", choices=["sprout", "random"], default="sprout", help="random: any action")
    parser.add_argument("--writer", default="sprout", help="sprout, or PROVIDER/NAME as LiteLLM names it")
    parser.add_argument("--leakage", choices=GUARDS, default="task")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(".wisen-methods"))
    parser.add_argument("--only-table", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    told = parsed(arguments)
    try:
        cells = wanted(told)
        told.out.joinpath("cells").mkdir(parents=True, exist_ok=True)
        if not told.only_table:
            asyncio.run(played_all(cells, told))
    except (WisenError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    done = {cell: json.loads(path.read_text()) for cell in cells if (path := place(told.out, cell)).exists()}
    found = {suite: figures({cell: one for cell, one in done.items() if cell.suite == suite}) for suite in told.suites}
    text = table(found, told, len(done), len(cells), sum(one["cpu"] for one in done.values()))
    told.out.joinpath("methods.md").write_text(text)
    told.out.joinpath("methods.json").write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(text)
    return 0


def wanted(told: argparse.Namespace) -> list[Cell]:
    """The cells of the command, those without memory first: the others are paired with them. Order means nothing
    without memory, so of those there is one for each seed. Raises `SettingsError` for a count that makes no stream."""
    if told.tasks < 1:
        raise SettingsError(f"--tasks {told.tasks} leaves no task", "from 1")
    if told.writer != "sprout" and "/" not in told.writer:
        raise SettingsError(f"there is no writer {told.writer!r}", "sprout, or PROVIDER/NAME for a remote one")
    itself = (*RULED, *([BY_ITSELF] if told.agent == "sprout" else []))
    methods = told.methods or (itself if told.writer == "sprout" else tuple(WRITTEN))
    agent, by = named(told.agent), named(told.writer)

    def cell(suite: str, method: str, seed: int, shuffled: bool) -> Cell:
        writer = by if method in WRITTEN else ""
        leakage = "task" if method == NONE else told.leakage
        return Cell(suite, method, seed, shuffled, told.tasks, agent, writer, leakage)

    # Seed by seed, so that a table of fewer seeds is there early.
    return [
        cell(suite, method, seed, order == "shuffled")
        for seed in told.seeds
        for suite in told.suites
        for method in (NONE, *methods)
        for order in (told.orders if method != NONE else ["default"])
    ]


def named(model: str) -> str:
    """As a cell names it: other weights are another sprout."""
    if model != "sprout":
        return model
    weights = (sprout.folder() / "model.safetensors").read_bytes()
    return f"sprout {hashlib.blake2b(weights, digest_size=4).hexdigest()}"


def place(out: Path, cell: Cell) -> Path:
    return out / "cells" / cell.file


async def played_all(cells: Iterable[Cell], told: argparse.Namespace) -> None:
    """Play what is not there yet. Models are opened for the first cell that asks for them."""
    models: dict[str, Model] = {}
    practised: Practised = {}
    embedder = MiniLM()  # loaded with the first text
    try:
        for cell in cells:
            path = place(told.out, cell)
            if path.exists():
                continue
            for name in (cell.agent, cell.writer):
                if name and name not in models:
                    models[name] = opened(name.split()[0], told.threads)
            found = await played(cell, models[cell.agent], models.get(cell.writer), embedder, practised)
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(found, indent=1) + "\n")
            part.replace(path)
            solved = sum(row["success"] for row in found["rows"])
            sys.stderr.write(
                f"{cell.suite}, {cell.method}, seed {cell.seed}, {cell.order}: "
                f"{solved} of {len(found['rows'])} solved, {found['seconds']:.0f} s\n"
            )
    finally:
        for model in models.values():
            await model.close()


def opened(name: str, threads: int) -> Model:
    if name == "random":
        from wisen.models.uniform import UniformModel

        return UniformModel()
    if name == "sprout":
        from wisen.models.local import LocalModel

        return LocalModel.load(sprout.folder(), name=name, threads=threads)
    from wisen.models.remote import LiteLLMModel

    return LiteLLMModel(name)


def figures(done: Mapping[Cell, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each method and order of a suite, over its seeds; only cells whose seed was also played without
    memory count."""
    without = {cell.seed: _solved(one) for cell, one in done.items() if cell.method == NONE}
    groups: dict[tuple[str, str, str], list[tuple[Cell, Mapping[str, Any]]]] = {}
    for cell, one in done.items():
        if cell.seed in without:
            groups.setdefault((cell.method, cell.writer, cell.order), []).append((cell, one))
    found = []
    for (method, writer, order), group in groups.items():
        rows = [row for _, one in group for row in one["rows"]]
        pairs = [(row["success"], without[cell.seed][row["task"]]) for cell, one in group for row in one["rows"]]
        ranked = {
            name: sum(one["ranked_by"].get(name, 0) for _, one in group)
            for _, one in group
            for name in one["ranked_by"]
        }
        found.append(
            {
                "method": method,
                "writer": writer,
                "order": "any" if method == NONE else order,
                "seeds": sorted(cell.seed for cell, _ in group),
                "tasks": len(rows),
                "solved": wilson(sum(new for new, _ in pairs), len(pairs)).model_dump(),
                "ahead": paired_bootstrap([float(new) - float(old) for new, old in pairs], seed=0).model_dump(),
                "won": sum(new and not old for new, old in pairs),
                "lost": sum(old and not new for new, old in pairs),
                "shown": sum(len(row["shown"]) for row in rows) / len(rows),
                "tokens": sum(row["tokens"] for row in rows) / len(rows),
                "broken": sum(row["end"] == "failed" for row in rows),
                "bank": sum(one["bank"] for _, one in group) / len(group),
                "read": sum(one["read"] for _, one in group),
                "failed": sum(one["failed"] for _, one in group),
                "ranked_by": ranked,
                "seconds": sum(one["seconds"] for _, one in group) / len(rows),
                "cpu": sum(one["cpu"] for _, one in group) / len(rows),
            }
        )
    return found


def _solved(one: Mapping[str, Any]) -> dict[str, bool]:
    return {row["task"]: row["success"] for row in one["rows"]}


def table(
    found: Mapping[str, Sequence[Mapping[str, Any]]], told: argparse.Namespace, done: int, cells: int, cpu: float
) -> str:
    lines = [
        "# Methods of memory, side by side",
        "",
        f"Agent: {told.agent}, greedy. Streams of {told.tasks} tasks in waves of {WAVE}, about {ROUNDS} tasks at each "
        f"place. Methods learn from each wave, and from {PRACTICE} further attempts at each of its tasks without "
        f"memory, {100 * EXPLORE:.0f} % of their actions drawn at random. Leakage guard {GUARDS[told.leakage]}. In "
        "brackets 95 % intervals: Wilson for what was solved, paired bootstrap over tasks for the difference; they do "
        "not count the seeds as drawn. Items and tokens (four characters each) are of an average episode, the bank is "
        "that at the end of a stream. Seconds are of one core (all that a cell did, by its tasks; the further attempts "
        "count for the first method).",
        "",
        "In brief: points ahead of memory off, which solved what its row says.",
        "",
        *brief(found),
    ]
    for suite, rows in found.items():
        lines += ["", f"## {suite}", ""]
        if not rows:
            lines.append("Nothing was played yet.")
            continue
        lines += [f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
        lines += [f"| {' | '.join(_row(row))} |" for row in rows]
        lines += ["", *_notes(rows)]
    missing = "" if done == cells else f" {cells - done} of {cells} cells are missing: the same command plays them."
    lines += [
        "",
        "## With a stronger writer",
        "",
        f"These write with a language model, and sprout is too small to do it well: {', '.join(WRITTEN)}. On a model "
        "of yours, with the key in its provider's environment variable:",
        "",
        "```sh",
        f"python benchmarks/memory_methods.py --writer PROVIDER/NAME --suites {' '.join(told.suites)} --out {told.out}",
        "```",
        "",
        "skills are not in the table: each is tried in its environment before it is let in, which only a run of "
        "`wisen evolve` does.",
        "",
        f"{done} cells, {cpu / 3600:.1f} hours of one core.{missing}",
    ]
    return "\n".join(lines) + "\n"


def brief(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Method by suite and order, what was played of it."""
    played = [(suite, row) for suite, rows in found.items() for row in rows if row["method"] != NONE]
    columns = list(dict.fromkeys((suite, row["order"]) for suite, row in played))
    cells = {(suite, row["order"], _label(row)): _ahead(row, 0) for suite, row in played}
    off = {suite: row for suite, rows in found.items() for row in rows if row["method"] == NONE}
    without = {suite: f"{100 * row['solved']['mean']:.0f} % of {row['tasks']}" for suite, row in off.items()}
    lines = [["method", *(f"{suite}, {order}" for suite, order in columns)], ["---"] * (1 + len(columns))]
    lines.append([NONE, *(without[suite] for suite, _ in columns)])
    for name in dict.fromkeys(_label(row) for _, row in played):
        lines.append([name, *(cells.get((suite, order, name), "") for suite, order in columns)])
    return [f"| {' | '.join(line)} |" for line in lines]


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['method']}, by {row['writer'].split()[0]}" if row["writer"] else str(row["method"])


def _ahead(row: Mapping[str, Any], digits: int) -> str:
    mean, low, high = (f"{100 * row['ahead'][what]:+.{digits}f}" for what in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _row(row: Mapping[str, Any]) -> list[str]:
    solved = row["solved"]
    return [
        _label(row),
        row["order"],
        str(len(row["seeds"])),
        f"{100 * solved['mean']:.1f} % of {row['tasks']} [{100 * solved['low']:.0f}, {100 * solved['high']:.0f}]",
        "" if row["method"] == NONE else _ahead(row, 1),
        f"{row['shown']:.2f}",
        f"{row['tokens']:.0f}",
        f"{row['bank']:.0f}",
        f"{row['failed']} of {row['read']}" if row["writer"] else "",
        f"{row['cpu']:.1f}",
    ]


def _notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the figures of a suite do not say by themselves."""
    notes = []
    if broken := sum(row["broken"] for row in rows):
        notes.append(f"{broken} episodes broke and count as failures.")
    ranked = [row["ranked_by"] for row in rows if row["method"] == "cases-parametric"]
    if ranked:
        by_head, every = sum(one.get("parametric", 0) for one in ranked), sum(sum(one.values()) for one in ranked)
        notes.append(
            f"The retrieval head, fitted every {EVERY} outcomes, put the cases of {by_head} of {every} episodes in "
            "order; cosine the others, where it had not been beaten."
        )
    return notes


if __name__ == "__main__":
    sys.exit(main())
