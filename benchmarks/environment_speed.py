"""How fast are the environments? Each figure beside its limit, which is meant for a quiet machine of two cores.

    python benchmarks/environment_speed.py                     all parts; one whose packages are missing says so
    python benchmarks/environment_speed.py office textworld    some
    python benchmarks/environment_speed.py --scale 0.2         a short look

A rate is told twice: by the clock, which the limits are about, and by the processor time of this process and of all
that it started. `busy` is the one over the other, in cores: where it is much below 1 for a part that only computes, the
machine was busy with something else, and the clock says little. Writes `environment-speed.json` and `.md` to the output
folder. Exits with 1 where a limit is not held.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from processes import Meter

from wisen.core.errors import WisenError
from wisen.core.protocols import Environment, Suite
from wisen.core.records import Action, Split, Task, ToolCall
from wisen.environments import registry

Script = tuple[Task, list[ToolCall]]  # of the office: a task and the calls that solve it
SIDE_BY_SIDE = 64


@dataclass(frozen=True)
class Figure:
    """`limit`: what the value must reach, or where `at_most` what it may be. by_processor: the same by processor time.
    busy: cores."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    at_most: bool = False
    by_processor: float | None = None
    busy: float | None = None

    @property
    def held(self) -> bool:
        return self.limit is None or (self.value <= self.limit if self.at_most else self.value >= self.limit)


def rate(name: str, count: int, meter: Meter, limit: float | None = None) -> Figure:
    """`count` of something in the time of the meter."""
    used = max(meter.processor, 0.001)
    return Figure(name, count / meter.clock, "a second", limit, False, count / used, used / meter.clock)


async def office(scale: float) -> list[Figure]:
    """No task is played twice: what a first time leaves in caches would make the second one fast."""
    suite = registry.create("office")
    oracle = suite.oracle()  # type: ignore[attr-defined]
    scripts = [(task, oracle.calls(task)) for task in suite.tasks(Split.LEARN, max(4, round(40 * scale)))]
    ways: tuple[tuple[str, Callable[[Suite, Sequence[Script]], Awaitable[int]], float | None], ...] = (
        ("at the desk, without observations", _at_the_desk, None),
        ("through the environment, resets included", _through_environments, 5_000),
        ("over MCP in memory, in one session", _over_mcp, None),
        (f"of {SIDE_BY_SIDE} episodes at once on asyncio, all of them solved", _side_by_side, None),
    )
    figures = []
    for name, way, limit in ways:
        await way(suite, scripts[:34])  # imports, and what a process does once
        with Meter() as meter:
            calls = await way(suite, scripts[34:])
        figures.append(rate(f"office: tool calls {name}", calls, meter, limit))
    return figures


async def _at_the_desk(suite: Suite, scripts: Sequence[Script]) -> int:
    from wisen.environments.tool.office.environment import job_for

    made = 0
    for task, calls in scripts:
        job, desk = job_for(task)
        state = job.state
        for call in calls[:-1]:
            state = desk.call(state, call.name, call.arguments).state
            made += 1
    return made


async def _through_environments(suite: Suite, scripts: Sequence[Script]) -> int:
    environment = await suite.create()
    for task, calls in scripts:
        await environment.reset(task)
        for call in calls:
            await environment.step(Action(tool_call=call))
    return sum(len(calls) for _, calls in scripts)


async def _over_mcp(suite: Suite, scripts: Sequence[Script]) -> int:
    """In one session: starting one takes as long as some tens of calls."""
    from mcp import Client

    from wisen.environments.tool import office_server

    task, calls = max(scripts, key=lambda script: len(script[1]))
    server = office_server.build(task.params["organisation"], task.params["template"], task.seed)
    times = max(1, len(scripts) // 8)
    async with Client(server) as client:
        for call in calls[:-1] * times:
            await client.call_tool(call.name, call.arguments)
    return (len(calls) - 1) * times


async def _side_by_side(suite: Suite, scripts: Sequence[Script]) -> int:
    async def episode(task: Task, calls: list[ToolCall]) -> int:
        environment = await suite.create()
        await environment.reset(task)
        for call in calls:
            await asyncio.sleep(0)
            result = await environment.step(Action(tool_call=call))
        assert result.success, task.id
        return len(calls)

    return sum(await asyncio.gather(*(episode(*script) for script in scripts[-SIDE_BY_SIDE:])))


async def textworld(scale: float) -> list[Figure]:
    """All levels, by chance from the admissible commands. Games come from the cache; making one is told by nobody."""
    alone = registry.create("textworld")
    from wisen.environments.text.textworld import TextWorldSuite

    figures = []
    for name, suite in (("in this process", TextWorldSuite()), ("in a process of its own, as suites play it", alone)):
        environment = await suite.create()
        tasks = suite.tasks(Split.LEARN, 2)
        await _walk(environment, tasks, len(tasks))
        steps, steps_in, resets, resets_in = await _walk(environment, tasks, max(len(tasks), round(60 * scale)))
        figures.append(rate(f"textworld: steps {name}", steps, steps_in, 400))
        figures.append(Figure(f"textworld: a reset {name}", 1000 * resets_in.clock / resets, "ms"))
        await environment.close()
        await suite.stop()
    return figures


async def _walk(environment: Environment, tasks: Sequence[Task], episodes: int) -> tuple[int, Meter, int, Meter]:
    """(steps, the time they took, resets, the time they took)"""
    draw, stepping, resetting, steps = random.Random(0), Meter(), Meter(), 0
    for number in range(episodes):
        with resetting:
            seen = await environment.reset(tasks[number % len(tasks)])
        with stepping:
            while True:
                result = await environment.step(Action(text=draw.choice(seen.actions)))
                seen, steps = result.observation, steps + 1
                if result.terminated or result.truncated:
                    break
    return steps, stepping, episodes, resetting


async def openenv(scale: float) -> list[Figure]:
    """Our server and our client in one process, over a WebSocket on loopback; the household answers."""
    from wisen.environments.plugs.openenv_server import serve

    listener = socket.create_server(("127.0.0.1", 0))
    ready = asyncio.Event()
    server = asyncio.create_task(serve(registry.create("household"), listener, on_ready=ready.set))
    try:
        await ready.wait()
        client = registry.create("openenv", url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        tasks = await asyncio.to_thread(client.tasks, Split.LEARN, 4)  # it asks the server
        await client.start()
        environment = await client.create()
        await _walk(environment, tasks, 4)
        steps, stepping, _, _ = await _walk(environment, tasks, max(4, round(80 * scale)))
        await environment.close()
        await client.stop()
    finally:
        server.cancel()
        with suppress(asyncio.CancelledError):
            await server
        listener.close()
    return [rate("openenv: steps to a server and back", steps, stepping, 1_000)]


async def miniwob(scale: float) -> list[Figure]:
    from web import CONTEXTS, at_random, by_oracle, played

    from wisen.environments.web.suite import MiniWobSuite

    suite, figures = MiniWobSuite(), []
    await suite.start()
    try:
        await played(suite, list(suite.tasks(Split.GATE, 1)), at_random)
        for name, play in (("by chance", at_random), ("by the oracle", by_oracle)):
            tasks = list(suite.tasks(Split.LEARN, max(1, round(15 * scale))))
            with Meter() as meter:
                solved = await played(suite, tasks, play)
            share = f"{sum(solved.values())} of {len(solved)} solved"
            figures.append(rate(f"miniwob: episodes {name}, {CONTEXTS} contexts, {share}", len(tasks), meter, 5))
    finally:
        await suite.stop()
    return figures


async def sandbox(scale: float) -> list[Figure]:
    """The median time of an empty program in the sandbox, less that of the same interpreter alone, taken in turns."""
    from sandbox import bare, timed

    from wisen.environments.code.levels import NUMBERS, landlock_level
    from wisen.environments.code.sandbox import Sandbox, sandbox_level

    levels = {"namespaces": sandbox_level(), "landlock": landlock_level()}
    ways: dict[str, Callable[[], Awaitable[object]]] = {"bare": bare}
    for name in [name for name, level in levels.items() if level.level == name]:
        room = Sandbox(only=name)  # type: ignore[arg-type]
        ways[name] = lambda room=room: room.run("pass")  # type: ignore[misc]
    await timed(ways, 3)
    with Meter() as meter:
        taken = await timed(ways, max(5, round(100 * scale)))
    busy = meter.processor / meter.clock
    middle = {name: statistics.median(times) for name, times in taken.items()}
    return [
        Figure(
            f"sandbox: level {NUMBERS[name]}, over the bare interpreter",
            over - middle["bare"],
            "ms",
            limit,
            at_most=True,
            busy=busy,
        )
        for name, over in middle.items()
        if name != "bare"
        for limit in [30 if name == "namespaces" else None]
    ]


PARTS = {part.__name__: part for part in (textworld, office, openenv, miniwob, sandbox)}


def table(figures: Sequence[Figure], notes: Sequence[str]) -> list[str]:
    lines = ["| | limit | measured | by processor time | busy cores | held |", "| --- | --- | --- | --- | --- | --- |"]
    for one in figures:
        limit = f"{'at most' if one.at_most else 'at least'} {one.limit:,g}" if one.limit is not None else ""
        held = ("yes" if one.held else "NO") if one.limit is not None else ""
        used, busy = (f"{told:,.{places}f}" if told is not None else "" for told, places in
                      ((one.by_processor, 1 if (one.by_processor or 0) < 100 else 0), (one.busy, 2)))  # fmt: skip
        value = f"{one.value:,.{1 if one.value < 100 else 0}f} {one.unit}"
        lines.append(f"| {one.name} | {limit} | {value} | {used} | {busy} | {held} |")
    return [*lines, "", *notes]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all, if none")
    parser.add_argument("--scale", type=float, default=1.0, help="of how much is played")
    parser.add_argument("--out", type=Path, default=Path(".wisen-environments"))
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    notes = []
    for name in given.parts or PARTS:
        try:
            figures += asyncio.run(PARTS[name](given.scale))
        except WisenError as error:
            notes.append(f"{name}: not measured: {error}")
        sys.stderr.write(f"{name}: done, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    made = "\n".join(table(figures, notes))
    given.out.mkdir(parents=True, exist_ok=True)
    record = {"figures": [asdict(figure) for figure in figures], "notes": notes}
    (given.out / "environment-speed.json").write_text(json.dumps(record, indent=1) + "\n")
    (given.out / "environment-speed.md").write_text(made + "\n")
    sys.stdout.write(made + "\n")
    return int(not all(figure.held for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
