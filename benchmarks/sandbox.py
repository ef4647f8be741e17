"""What each sandbox level holds, and what it costs: every probe of the tests, and the time of an empty program.

    python benchmarks/sandbox.py --runs 100 --out .wisen-sandbox --docs docs/code.md

A probe is real code that tries to get out (tests/support/sandbox_probes.py). The overhead is the time of an empty
program in the sandbox less that of the same interpreter alone, taken in turns; median and 90th percentile. Writes
sandbox.json and sandbox.md to the output folder and, with --docs, the table between that page's marks. Exits with 1
where a probe got out, or where level 1 costs more than `--most` milliseconds. About a minute; Linux, best as root.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests.support

from tests.support.sandbox_probes import PROBES, host  # noqa: E402
from wisen.environments.code.bubblewrap import ENV, PROGRAM  # noqa: E402
from wisen.environments.code.levels import NUMBERS, landlock_level  # noqa: E402
from wisen.environments.code.sandbox import Sandbox, sandbox_level  # noqa: E402

MARKS = "<!-- made by benchmarks/sandbox.py -->", "<!-- end -->"


async def probe_all(sandbox: Sandbox) -> dict[str, str]:
    """What came of each probe, in a few words; `ESCAPED` where something got out."""
    said: dict[str, str] = {}
    with host() as machine:
        for probe in PROBES:
            escaped, result = await probe.escaped(sandbox, machine)
            ended = f"ended by the limit on {result.killed_by}" if result.killed_by else "held"
            said[probe.name] = f"ESCAPED: {escaped}" if escaped else ended
    return said


async def bare() -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*PROGRAM, stdin=pipe, stdout=pipe, stderr=pipe, env=ENV)
    await process.communicate(b"pass")


async def timed(ways: dict[str, Callable[[], Awaitable[object]]], runs: int) -> dict[str, list[float]]:
    """Milliseconds of each run, the ways in turns so that a busy moment meets them all."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            started = time.perf_counter()
            await way()
            taken[name].append((time.perf_counter() - started) * 1000)
    return taken


def table(found: dict[str, dict[str, str]], times: dict[str, list[float]], runs: int) -> str:
    names = {level: f"level {NUMBERS[level]}, {level}" for level in found}
    lines = [
        f"| probe | {' | '.join(names.values())} | level 3 |",
        f"| --- |{' --- |' * (len(found) + 1)}",
        *(
            f"| {probe.name} | {' | '.join(found[level][probe.name] for level in found)} | not run |"
            for probe in PROBES
        ),
        "",
        f"| empty program, {runs} runs each | median ms | 90 % ms | median over the bare interpreter |",
        "| --- | --- | --- | --- |",
    ]
    base = statistics.median(times["bare"])
    for name, taken in times.items():
        middle, tenth = statistics.median(taken), statistics.quantiles(taken, n=10)[-1]
        over = "" if name == "bare" else f"{middle - base:.1f} ms"
        lines.append(f"| {names.get(name, 'the interpreter alone')} | {middle:.1f} | {tenth:.1f} | {over} |")
    return "\n".join(lines)


def write_docs(page: Path, made: str) -> None:
    text = page.read_text()
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    page.write_text(f"{before}{MARKS[0]}\n{made}\n{MARKS[1]}{after}")


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--most", type=float, default=30.0, help="milliseconds that level 1 may cost")
    parser.add_argument("--out", type=Path, default=Path(".wisen-sandbox"))
    parser.add_argument("--docs", type=Path)
    given = parser.parse_args()
    rooms: dict[str, Sandbox] = {}
    if sandbox_level().level == "namespaces":
        rooms["namespaces"] = Sandbox(only="namespaces")
    if landlock_level().level == "landlock":
        rooms["landlock"] = Sandbox(only="landlock")
    found = {name: await probe_all(room) for name, room in rooms.items()}
    ways: dict[str, Callable[[], Awaitable[object]]] = {"bare": bare}
    ways |= {name: (lambda room=room: room.run("pass")) for name, room in rooms.items()}  # type: ignore[misc]
    await timed(ways, 3)  # warm
    times = await timed(ways, given.runs)
    made = table(found, times, given.runs)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "sandbox.json").write_text(json.dumps({"probes": found, "milliseconds": times}, indent=1))
    (given.out / "sandbox.md").write_text(made + "\n")
    sys.stdout.write(made + "\n")
    if given.docs:
        write_docs(given.docs, made)
    escaped = [said for level in found.values() for said in level.values() if said.startswith("ESCAPED")]
    over = statistics.median(times.get("namespaces", [0.0])) - statistics.median(times["bare"])
    return 1 if escaped or over > given.most or not rooms else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
