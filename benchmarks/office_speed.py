"""How fast is the office? Tool calls a second: at the desk, through the environment, and over MCP in one process.

    python benchmarks/office_speed.py

Wall time and, in brackets, processor time of this process, which a busy machine does not stretch.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

from wisen.core.records import Action, Split, Task, ToolCall
from wisen.environments.tool import office_server
from wisen.environments.tool.office.environment import job_for
from wisen.environments.tool.office.suite import OfficeSuite

CONCURRENT = 64


async def rates() -> list[str]:
    """A line for each way of calling."""
    suite = OfficeSuite()
    tasks = suite.tasks(Split.LEARN, 4)
    scripts = [(task, suite.oracle().calls(task)) for task in tasks]
    lines = []
    measured: list[tuple[str, Callable[[list[tuple[Task, list[ToolCall]]]], Awaitable[int]]]] = [
        ("at the desk, without observations", _desk),
        ("through the environment, resets included", _environment),
        ("over MCP in memory, in one session", _mcp),
        (f"through {CONCURRENT} environments at once on asyncio", _concurrent),
    ]
    for name, run in measured:
        await run(scripts[:34])  # imports and caches
        wall, cpu = time.perf_counter(), time.process_time()
        calls = await run(scripts)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        lines.append(f"office, {name}: {calls / wall:,.0f} calls/s ({calls / cpu:,.0f})")
    return lines


async def _desk(scripts: list[tuple[Task, list[ToolCall]]]) -> int:
    ready = [(*job_for(task), calls[:-1]) for task, calls in scripts]
    for job, desk, calls in ready * 20:
        state = job.state
        for call in calls:
            state = desk.call(state, call.name, call.arguments).state
    return 20 * sum(len(calls) for _, _, calls in ready)


async def _environment(scripts: list[tuple[Task, list[ToolCall]]]) -> int:
    environment = await OfficeSuite().create()
    for task, calls in scripts * 5:
        await environment.reset(task)
        for call in calls:
            await environment.step(Action(tool_call=call))
    return 5 * sum(len(calls) for _, calls in scripts)


async def _mcp(scripts: list[tuple[Task, list[ToolCall]]]) -> int:
    """In one session: starting one takes as long as some tens of calls."""
    from mcp import Client

    task, calls = max(scripts, key=lambda script: len(script[1]))
    made = 0
    async with Client(office_server.build(task.params["organisation"], task.params["template"], task.seed)) as client:
        for call in calls[:-1] * 100:
            await client.call_tool(call.name, call.arguments)
            made += 1
    return made


async def _concurrent(scripts: list[tuple[Task, list[ToolCall]]]) -> int:
    async def episode(task: Task, calls: list[ToolCall]) -> int:
        environment = await OfficeSuite().create()
        await environment.reset(task)
        for call in calls:
            await asyncio.sleep(0)
            await environment.step(Action(tool_call=call))
        return len(calls)

    return sum(await asyncio.gather(*(episode(*script) for script in scripts[:CONCURRENT])))


if __name__ == "__main__":
    sys.stdout.write("\n".join(asyncio.run(rates())) + "\n")
