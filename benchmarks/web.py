"""Web environments, measured: what can be played from text, what the oracle solves, how fast, and what stays behind.

    python benchmarks/web.py families     opens all pages of MiniWoB++ and prints what each shows
    python benchmarks/web.py oracle       plays every family that the oracle knows, 10 seeds each
    python benchmarks/web.py soak         200 episodes, with memory and processes before and after

Every line of figures has the machine's load beside it. `oracle` ends with 1 where fewer than 98 % are solved in more
than three families, `soak` where memory or processes grow.
"""

import argparse
import asyncio
import os
import random
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from processes import below, resident

from wisen.core.errors import EnvironmentFault
from wisen.core.records import Action, Split, Task
from wisen.environments.play import played_by
from wisen.environments.web.families import DEFAULT_FAMILIES, LEFT_OUT, text_families
from wisen.environments.web.oracle import MiniWobOracle
from wisen.environments.web.suite import MiniWobSuite

Play = Callable[[Any, Task], Coroutine[Any, Any, bool]]
MOST_STEPS, STEPS, CONTEXTS = 150, 10, 4
GROWTH_MB = 80  # of all processes together, from the 40th episode to the last


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def by_oracle(environment: Any, task: Task) -> bool:
    _, steps = await played_by(MiniWobOracle(), environment, task, most=MOST_STEPS)
    return bool(steps and steps[-1].success)


async def at_random(environment: Any, task: Task) -> bool:
    draw, seen = random.Random(task.seed), await environment.reset(task)
    for _ in range(STEPS):
        if not seen.actions:
            break
        result = await environment.step(Action(text=draw.choice(seen.actions)))
        seen = result.observation
        if result.terminated:
            return bool(result.success)
    return False


async def played(suite: MiniWobSuite, tasks: list[Task], play: Play, each: Callable[[], None] = lambda: None) -> dict:
    """{task id: solved}, with `CONTEXTS` episodes at a time."""
    queue, solved = list(tasks), {}

    async def work() -> None:
        environment = await suite.create()
        while queue:
            task = queue.pop(0)
            try:
                solved[task.id] = await play(environment, task)
            except EnvironmentFault as fault:
                say(f"{task.id}: {fault}")
                solved[task.id] = False
            each()
        await environment.close()

    await asyncio.gather(*(work() for _ in range(CONTEXTS)))
    return solved


async def families(_: argparse.Namespace) -> int:
    """One line a page: goal, lines shown, actions offered; whether two resets agree; why it is left out."""
    import miniwob

    pages = sorted(path.stem for path in (Path(miniwob.__file__).parent / "html/miniwob").glob("*.html"))
    suite, wrong = MiniWobSuite(pages), 0
    await suite.start()
    environment = await suite.create()
    for task in suite.tasks(Split.LEARN, 1, offset=3):
        page = task.params["page"]
        try:
            first = await environment.reset(task)
            again = await environment.reset(task)
        except EnvironmentFault as fault:
            wrong += page not in LEFT_OUT
            say(f"{page:30} {fault}")
            continue
        shown = f"{len(first.text.splitlines()):3} lines {len(first.actions):3} actions"
        wrong += page not in LEFT_OUT and (first != again or not first.actions)
        steady = "" if first == again else "UNSTEADY "
        say(f"{page:30} {shown} {steady}{LEFT_OUT.get(page, '')} | {first.instruction[:60]}")
    await suite.stop()
    say(f"{len(text_families(frozenset(pages)))} of {len(pages)} are played from text; {wrong} of them in trouble")
    return int(wrong > 0)


async def oracle(arguments: argparse.Namespace) -> int:
    suite = MiniWobSuite(MiniWobOracle.families)
    await suite.start()
    solved = await played(suite, list(suite.tasks(Split.LEARN, arguments.seeds)), by_oracle)
    await suite.stop()
    by_family: dict[str, list[bool]] = {}
    for name, good in solved.items():
        by_family.setdefault(name.split("/")[1], []).append(good)
    whole = sum(sum(found) >= 0.98 * len(found) for found in by_family.values())
    for family, found in sorted(by_family.items()):
        say(f"{family:30} {sum(found)} of {len(found)}")
    say(f"{sum(solved.values())} of {len(solved)} episodes; 98 % or more in {whole} of {len(by_family)} families")
    return int(whole < len(by_family) - 3)


async def soak(arguments: argparse.Namespace) -> int:
    suite = MiniWobSuite("text" if arguments.wide else DEFAULT_FAMILIES)
    await suite.start()
    tasks = list(suite.tasks(Split.LEARN, 16))[: arguments.episodes]
    marks: list[tuple[int, float, int]] = []
    done = 0

    def look() -> None:
        nonlocal done
        done += 1
        if done % 20 == 0:
            marks.append((done, *resident()))
            say(f"{done:4} episodes: {marks[-1][1]:.0f} MB in {marks[-1][2]} processes")

    await played(suite, tasks, at_random, look)
    await suite.stop()
    left = len(below(os.getpid()))
    base = next(mark for mark in marks if mark[0] >= 40)
    growth, more = marks[-1][1] - base[1], marks[-1][2] - base[2]
    say(
        f"from the {base[0]}th to the {marks[-1][0]}th: {growth:+.0f} MB, {more:+} processes; {left} left after the end"
    )
    return int(growth > GROWTH_MB or more > 0 or left > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["families", "oracle", "soak"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--wide", action="store_true", help="soak: all families that are played from text")
    arguments = parser.parse_args()
    work = {"families": families, "oracle": oracle, "soak": soak}[arguments.what]
    code = asyncio.run(work(arguments))
    say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
