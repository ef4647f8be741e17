"""Where do nothing, chance and full knowledge lead? Every suite that starts here, played by rules that learn nothing.

    python benchmarks/environments.py
    python benchmarks/environments.py --suites office mcp --tasks 200 --out .wisen-environments

Chance draws uniformly from the admissible actions, by a seed. A suite that lists none has no such chance: there the
floor is to hand in nothing, by the tool that ends an episode. The oracle plays what it knows; tasks that it knows no
way for are counted and left out. Episodes run one after another, so that the seconds are those of one episode, its
reset included. Of suites that do not start here the reason is told. Options of a suite: `--set office.levels=[4]`.
Prints a table, and writes `environments.json` and `environments.md` to the output folder. How fast they are is another
benchmark, `environment_speed.py`.
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
from wisen.core.records import Action, Split, StepResult, Task, ToolCall
from wisen.core.statistics import wilson
from wisen.environments import registry
from wisen.environments.play import played_by

Play = Callable[[Environment, Task], Any]  # -> the steps of an episode; none where there is nothing to do
# What a suite is given unless told otherwise. The laboratory lists no valid actions by itself.
OPTIONS: dict[str, dict[str, Any]] = {
    "gymnasium": {"id": "FrozenLake-v1", "kwargs": {"is_slippery": False}},
    "scienceworld": {"offered": 40},
}
ENDS = {"finish": {}, "submit": {}, "stop": {}, "answer": {"text": "nothing"}}  # tools that end an episode
NOTHING_TO_CHOOSE = "no admissible actions"


@dataclass(frozen=True)
class Row:
    """One suite under one policy. steps, reward, seconds: means over episodes. `note`: why there are no figures, or not
    of all episodes."""

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
    parser.add_argument("--max-steps", type=int, default=30, help="of chance")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="options", action="append", default=[], metavar="SUITE.OPTION=JSON")
    parser.add_argument("--out", type=Path, default=Path(".wisen-environments"))
    told = parser.parse_args()
    options = OPTIONS | _options(told.options)
    rows = []
    for name in told.suites or registry.suites():
        found = asyncio.run(measured(name, options.get(name, {}), told.tasks, told.max_steps, told.seed))
        rows += found
        sys.stderr.write(f"{name}: {found[0].note or 'done'}\n")
    lines = table(rows)
    told.out.mkdir(parents=True, exist_ok=True)
    told.out.joinpath("environments.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
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
        rows = [await played(suite, "chance", tasks, by_chance(seed, max_steps))]
        if not rows[0].episodes:
            rows.append(await played(suite, "hands in nothing", tasks, empty_handed))
        if hasattr(suite, "oracle"):
            rows.append(await played(suite, "oracle", tasks, by(suite.oracle())))
        return rows
    except WisenError as error:
        return [Row(name, "", note=str(error))]
    finally:
        await suite.stop()


def spread(suite: Suite, count: int) -> list[Task]:
    """`count` tasks of the report split, of as many templates as there are; of the learning split where that has
    none."""
    split = next((split for split in (Split.REPORT, Split.LEARN) if suite.tasks(split, 1)), Split.REPORT)
    each = max(1, -(-count // max(1, len(suite.tasks(split, 1)))))
    tasks = suite.tasks(split, each)
    return list(tasks[:: max(1, len(tasks) // count)][:count])


async def played(suite: Suite, policy: str, tasks: Sequence[Task], play: Play) -> Row:
    results: list[list[StepResult]] = []
    environment = await suite.create()
    started = time.perf_counter()
    try:
        for task in tasks:
            results.append(await play(environment, task))
    finally:
        await environment.close()
    seconds = time.perf_counter() - started
    ended = [steps for steps in results if steps]
    without = len(results) - len(ended)
    many = max(1, len(ended))
    note = NOTHING_TO_CHOOSE if policy == "chance" else "no way to end an episode"
    return Row(
        suite=suite.name,
        policy=policy,
        episodes=len(ended),
        solved=sum(steps[-1].success is True for steps in ended),
        steps=sum(map(len, ended)) / many,
        reward=sum(step.reward for steps in ended for step in steps) / many,
        violations=sum(any(step.violation for step in steps) for steps in ended),
        seconds=seconds / max(1, len(results)),
        note="" if not without else note if not ended else f"{without} more are beyond it",
    )


def by_chance(seed: int, max_steps: int) -> Play:
    async def play(environment: Environment, task: Task) -> list[StepResult]:
        draw = random.Random(derived_seed(seed, "random", task.id))
        seen, steps = await environment.reset(task), []
        while seen.actions and len(steps) < max_steps:
            steps.append(await environment.step(Action(text=draw.choice(seen.actions))))
            seen = steps[-1].observation
            if steps[-1].terminated or steps[-1].truncated:
                break
        return steps

    return play


async def empty_handed(environment: Environment, task: Task) -> list[StepResult]:
    seen = await environment.reset(task)
    name = next((tool.name for tool in seen.tools if tool.name in ENDS), "")
    call = ToolCall(name=name, arguments=ENDS.get(name, {}))
    return [await environment.step(Action(tool_call=call))] if name else []


def by(oracle: Any) -> Play:
    async def play(environment: Environment, task: Task) -> list[StepResult]:
        return (await played_by(oracle, environment, task))[1]

    return play


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
            f"| {row.suite} | {row.policy} | {row.solved} of {row.episodes}{f' ({row.note})' if row.note else ''} "
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
