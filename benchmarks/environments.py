"""Where does nothing and where does everything lead? Each suite played by chance and by its oracle.

    python benchmarks/environments.py --suites office mcp --tasks 40 --out .wisen-environments

Chance draws uniformly from the admissible actions, by a seed; the oracle plays what it knows. Episodes run one after
another, so that the seconds are those of one episode. Without `--suites` all that start here are played; of the others
the reason is told. Options of a suite: `--set office.levels=[4]`. Prints a table, and writes `environments.json` and
`environments.md` to the output folder.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wisen.core.errors import WisenError
from wisen.core.ids import derived_seed
from wisen.core.protocols import Environment, Suite
from wisen.core.records import Action, Observation, Split, StepResult, Task
from wisen.core.statistics import wilson
from wisen.environments import registry

Policy = Callable[[Task, Observation], "Callable[[Observation, int], Action | None]"]


@dataclass(frozen=True)
class Row:
    """One suite under one policy. steps, seconds: means over episodes. `note`: why there are no figures."""

    suite: str
    policy: str
    episodes: int = 0
    solved: int = 0
    steps: float = 0.0
    reward: float = 0.0
    violations: int = 0
    seconds: float = 0.0
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", nargs="+", default=[])
    parser.add_argument("--tasks", type=int, default=40, help="episodes of each suite and policy")
    parser.add_argument("--max-steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="options", action="append", default=[], metavar="SUITE.OPTION=JSON")
    parser.add_argument("--out", type=Path, default=Path(".wisen-environments"))
    told = parser.parse_args()
    options = _options(told.options)
    rows, notes = [], []
    for name in told.suites or registry.suites():
        found = asyncio.run(measured(name, options.get(name, {}), told.tasks, told.max_steps, told.seed))
        rows += found
        notes += asyncio.run(speed(name)) if any(row.episodes for row in found) else []
        sys.stderr.write(f"{name}: {found[0].note or 'done'}\n")
    lines = [*table(rows), "", *notes]
    told.out.mkdir(parents=True, exist_ok=True)
    record = {"rows": [asdict(row) for row in rows], "notes": notes}
    told.out.joinpath("environments.json").write_text(json.dumps(record, indent=1) + "\n")
    told.out.joinpath("environments.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


async def measured(name: str, options: dict[str, Any], count: int, max_steps: int, seed: int) -> list[Row]:
    """A row for each policy; a suite that does not start here is one row that says why."""
    try:
        suite = registry.create(name, **options)
        await suite.start()
    except WisenError as error:
        return [Row(name, "", note=str(error))]
    try:
        tasks = spread(suite, count)
        rows = [await played(suite, "random", tasks, _random(seed), max_steps)]
        if hasattr(suite, "oracle"):
            rows.append(await played(suite, "oracle", tasks, _oracle(suite), 1_000))
        return rows
    except WisenError as error:
        return [Row(name, "", note=str(error))]
    finally:
        await suite.stop()


def spread(suite: Suite, count: int) -> list[Task]:
    """`count` tasks of the report split, of as many templates as there are."""
    first = suite.tasks(Split.REPORT, 1)
    each = max(1, -(-count // max(1, len(first))))
    tasks = suite.tasks(Split.REPORT, each)
    return list(tasks[:: max(1, len(tasks) // count)][:count])


async def played(suite: Suite, policy: str, tasks: Sequence[Task], decide: Policy, max_steps: int) -> Row:
    results: list[list[StepResult]] = []
    environment: Environment = await suite.create()
    started = time.perf_counter()
    for task in tasks:
        seen = await environment.reset(task)
        choose = decide(task, seen)
        steps: list[StepResult] = []
        while len(steps) < max_steps and not (steps and (steps[-1].terminated or steps[-1].truncated)):
            action = choose(seen, len(steps))
            if action is None:
                break
            steps.append(await environment.step(action))
            seen = steps[-1].observation
        if not steps:
            await environment.close()
            return Row(suite.name, policy, note="it names no admissible actions")
        results.append(steps)
    seconds = time.perf_counter() - started
    await environment.close()
    many = len(results)
    return Row(
        suite=suite.name,
        policy=policy,
        episodes=many,
        solved=sum(steps[-1].success is True for steps in results),
        steps=sum(map(len, results)) / many,
        reward=sum(step.reward for steps in results for step in steps) / many,
        violations=sum(any(step.violation for step in steps) for steps in results),
        seconds=seconds / many,
    )


def _random(seed: int) -> Policy:
    def begin(task: Task, first: Observation) -> Callable[[Observation, int], Action | None]:
        draw = random.Random(derived_seed(seed, "random", task.id))
        return lambda seen, step: Action(text=draw.choice(seen.actions)) if seen.actions else None

    return begin


def _oracle(suite: Any) -> Policy:
    def begin(task: Task, first: Observation) -> Callable[[Observation, int], Action | None]:
        actions = tuple(suite.oracle().solution(task, first))
        return lambda seen, step: actions[step] if step < len(actions) else None

    return begin


async def speed(name: str) -> list[str]:
    """Lines about a suite's speed, where there is a benchmark of it."""
    if name == "office":
        import office_speed

        return await office_speed.rates()
    return []


def table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| suite | policy | solved | 95 % interval | steps | reward | violations | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if not row.episodes:
            lines.append(f"| {row.suite} | {row.policy} | {row.note} | | | | | |")
            continue
        share = wilson(row.solved, row.episodes)
        lines.append(
            f"| {row.suite} | {row.policy} | {row.solved} of {row.episodes} "
            f"| {100 * share.low:.0f} to {100 * share.high:.0f} % | {row.steps:.1f} | {row.reward:.2f} "
            f"| {row.violations} | {row.seconds:.3f} |"
        )
    return lines


def _options(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    options: dict[str, dict[str, Any]] = {}
    for text in given:
        key, _, value = text.partition("=")
        suite, _, option = key.partition(".")
        options.setdefault(suite, {})[option] = json.loads(value)
    return options


if __name__ == "__main__":
    main()
