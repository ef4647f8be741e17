#!/usr/bin/env python
"""Is a memory's word good? Writers are killed at random moments and between the store's commit and the end of the
index's write; then what they had acknowledged is looked for. And many write at a time, without an error.

    python benchmarks/memory_durability.py --kills 200 --writes 1000

An acknowledgement is a line that the writer sends when `Keeper.keep` has returned: episode and items are stored. After
each kill another process opens the workspace and looks: every acknowledged episode there once, with one verdict and one
recall; every item of it in the bank, proposed once; both databases whole; the ids of index and store the same; and
recall@10 through the index against the exact order. Then eight workers write at a time, on SQLite as tasks of one
process, on PostgreSQL (where it is installed) as eight processes; ids and recall@10 are looked at afterwards as well.
`--only kills` and `--only workers` run one half.
"""

import argparse
import asyncio
import json
import os
import random
import select
import shutil
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests

from benchmarks.durability_parts import (  # noqa: E402
    COMMON,
    FORK,
    WORKERS,
    Hashed,
    all_there,
    damaged,
    episode,
    in_process,
    keeper_of,
    lost_or_doubled,
    recall_at_10,
)
from tests.support.servers import PostgreSQL, new_database  # noqa: E402
from wisen.core.store import Store  # noqa: E402
from wisen.core.workspace import Workspace  # noqa: E402
from wisen.memory.bank import Bank  # noqa: E402
from wisen.memory.index import ChromaIndex  # noqa: E402
from wisen.memory.outbox import Outbox  # noqa: E402

PER_STORE = 20  # kills of writers to one workspace
AIMED = 0.5  # share of kills between the store's commit and the end of the index's write
LEAST_RECALL = 0.99  # recall@10 against the exact order
PLACES = ("opening", "storing", "indexing")


@dataclass
class Tally:
    hit: Counter[str] = field(default_factory=Counter)  # kills, by what the writer was doing
    acknowledged: int = 0  # episodes
    items: int = 0
    left: int = 0  # items that the index lacked after a kill, and had after the next start
    behind: int = 0  # kills that left any
    recall: list[float] = field(default_factory=list)
    amiss: list[str] = field(default_factory=list)


# Kills


async def write(root: Path, life: int, say: Callable[[str], None]) -> None:
    """Keep and index episodes until killed, and say so step by step."""
    workspace = Workspace(root, {})
    with workspace.lock():
        keeper, index = keeper_of(workspace), ChromaIndex.of(workspace, Hashed())
        await keeper.open()
        outbox = Outbox(await keeper.ask(lambda store: store), index)
        await outbox.deliver()
        say("ready")
        for number in range(1_000_000):
            kept, _ = await keeper.keep(episode(life, number))
            say(f"+ {kept.trajectory.id} {' '.join(one.id for one in kept.proposals)}")
            await outbox.deliver()
            say("indexed")


async def examine(root: Path, acknowledged: Sequence[Sequence[str]], whole: bool) -> dict[str, Any]:
    """What is amiss with the workspace, how much the index had to catch up, and recall@10 (with `whole`)."""
    workspace, amiss = Workspace(root, {}), list(damaged(root))
    with workspace.lock():
        index = ChromaIndex.of(workspace, Hashed())
        held = await index.ids()
        keeper = keeper_of(workspace)
        await keeper.open()
        store = await keeper.ask(lambda one: one)
        bank = Bank(store)
        items = bank.snapshot().items
        amiss += lost_or_doubled(store, items, acknowledged)
        if strangers := held - items.keys():
            amiss.append(f"the index holds {len(strangers)} items that the store does not")
        await Outbox(store, index).deliver()
        if await index.ids() != items.keys():
            amiss.append("after the start the ids of index and store differ")
        shares = await recall_at_10(index, items) if whole and len(items) > 10 else []
        await keeper.close()
        await index.close()
    if list(root.glob("index.broken*")):
        amiss.append("the index was damaged")
    return {"amiss": amiss, "left": len(items.keys() - held), "items": len(items), "recall": shares}


def kills(wanted: int, draw: random.Random, folder: Path) -> Tally:
    """Kill so many writers, and look after each."""
    tally = Tally()
    opening, gap = [1.0], [0.01]  # seconds that these have taken so far: what is aimed by
    while tally.hit.total() < wanted:
        root, acknowledged = folder / f"store-{tally.hit.total() // PER_STORE}", list[list[str]]()
        for life in range(min(PER_STORE, wanted - tally.hit.total())):
            place, said = killed_writer(root, life, draw, opening, gap)
            tally.hit[place] += 1
            acknowledged += said
            seen = in_process(_examined, root, acknowledged, life % 5 == 4)
            tally.amiss += [f"{root.name}, kill {life} ({place}): {what}" for what in seen["amiss"]]
            tally.left += seen["left"]
            tally.behind += seen["left"] > 0
            tally.recall += seen["recall"]
        tally.acknowledged += len(acknowledged)
        tally.items += seen["items"]
        told = ", ".join(f"{place} {tally.hit[place]}" for place in PLACES)
        sys.stdout.write(f"{tally.hit.total()} kills ({told}), {len(tally.amiss)} amiss\n")
        sys.stdout.flush()
        if not tally.amiss:
            shutil.rmtree(root)
    return tally


def killed_writer(
    root: Path, life: int, draw: random.Random, opening: list[float], gap: list[float]
) -> tuple[str, list[list[str]]]:
    """(what it was doing, what it had acknowledged) of a writer that was killed."""
    source, sink = os.pipe()
    writer = FORK.Process(target=_written, args=(root, life, sink))
    writer.start()
    os.close(sink)
    started, aimed = time.monotonic(), draw.random() < AIMED
    after, delay = draw.randint(1, 6), draw.uniform(0, 1.5 * statistics.median(gap[-20:]))
    deadline = started + (60 if aimed else draw.uniform(0, 2 * statistics.median(opening[-20:])))
    text, seen, shown = b"", 0, started
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([source], [], [], left)[0]:
            break
        chunk = os.read(source, 65536)
        if not chunk:
            raise SystemExit("a writer ended by itself")
        text += chunk
        now, lines = time.monotonic(), text.split(b"\n")[:-1]
        for line in lines[seen:]:
            if line == b"ready":
                opening.append(now - started)
            elif line == b"indexed":
                gap.append(now - shown)
            else:
                shown = now
        seen = len(lines)
        if aimed and lines[-1:] and lines[-1].startswith(b"+") and sum(one[:1] == b"+" for one in lines) >= after:
            time.sleep(delay)
            break
    with suppress(ProcessLookupError):
        os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    if writer.exitcode != -signal.SIGKILL:
        raise SystemExit(f"a writer ended by itself, with {writer.exitcode}")
    while chunk := os.read(source, 65536):
        text += chunk
    os.close(source)
    lines = [line.decode() for line in text.split(b"\n")[:-1]]
    last = lines[-1] if lines else ""
    place = "opening" if not last else "indexing" if last.startswith("+") else "storing"
    return place, [line.split()[1:] for line in lines if line.startswith("+")]


def _written(root: Path, life: int, sink: int) -> None:
    asyncio.run(write(root, life, lambda line: _tell(sink, line)))


def _tell(sink: int, line: str) -> None:
    os.write(sink, line.encode() + b"\n")


def _examined(root: Path, acknowledged: Sequence[Sequence[str]], whole: bool) -> dict[str, Any]:
    return asyncio.run(examine(root, acknowledged, whole))


# Many at a time


async def on_sqlite(folder: Path, writes: int) -> dict[str, Any]:
    """Eight tasks of one process write through one keeper."""
    workspace = Workspace(folder, {})
    with workspace.lock():
        keeper = keeper_of(workspace)
        await keeper.open()
        started = time.monotonic()

        async def work(worker: int) -> None:
            for number in range(writes):
                await keeper.keep(episode(worker, number, number % COMMON == 0))

        await asyncio.gather(*(work(worker) for worker in range(WORKERS)))
        seconds = time.monotonic() - started
        index = ChromaIndex.of(workspace, Hashed())
        found = await settled(await keeper.ask(lambda one: one), index, writes)
        await index.close()
        await keeper.close()
    return {"seconds": seconds, **found}


def on_postgresql(folder: Path, url: str, writes: int) -> dict[str, Any]:
    """Eight processes write to one store, which they share."""
    started = time.monotonic()
    workers = [FORK.Process(target=_member, args=(folder / str(one), url, one, writes)) for one in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.monotonic() - started
    amiss = [f"worker {one} ended with {w.exitcode}" for one, w in enumerate(workers) if w.exitcode]
    found = in_process(_owned, folder / "owner", url, writes)
    return {"seconds": seconds, **found, "amiss": amiss + found["amiss"]}


def _member(folder: Path, url: str, worker: int, writes: int) -> None:
    async def work() -> None:
        keeper = keeper_of(Workspace(folder, {"WISEN_STORE_URL": url}).create(), shared=True)
        await keeper.open()
        for number in range(writes):
            await keeper.keep(episode(worker, number, number % COMMON == 0))
        await keeper.close()

    asyncio.run(work())


def _owned(folder: Path, url: str, writes: int) -> dict[str, Any]:
    """What the one owner of the index finds in the shared store."""
    index = ChromaIndex.of(Workspace(folder, {"WISEN_STORE_URL": url}).create(), Hashed())

    async def look(store: Store) -> dict[str, Any]:
        found = await settled(store, index, writes)
        await index.close()
        return found

    with Store.open(url) as store:
        return asyncio.run(look(store))


async def settled(store: Store, index: ChromaIndex, writes: int) -> dict[str, Any]:
    """What is amiss with store and index after all writes, and recall@10."""
    items, amiss = Bank(store).snapshot().items, [*all_there(store, writes)]
    await Outbox(store, index).deliver()
    if await index.ids() != items.keys():
        amiss.append("the ids of index and store differ")
    return {"items": len(items), "amiss": amiss, "recall": await recall_at_10(index, items)}


def programs() -> Path | None:
    """PostgreSQL's, where it is installed."""
    places = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        Path(shutil.which("initdb") or "").parent,
    ]
    return next((folder for folder in places if (folder / "initdb").exists()), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--writes", type=int, default=1000, help="of each of eight workers")
    parser.add_argument("--only", choices=("kills", "workers"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(".wisen-durability"))
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    arguments.out.mkdir(parents=True)
    out = arguments.out.absolute()
    import chromadb  # noqa: F401

    record: dict[str, Any] = {"seed": arguments.seed}
    lines, amiss = list[str](), list[str]()
    if arguments.only != "workers":
        started = time.monotonic()
        tally = kills(arguments.kills, random.Random(arguments.seed), out)
        record["kills"] = {**vars(tally), "seconds": time.monotonic() - started}
        lines += said_of_kills(tally, time.monotonic() - started)
        amiss += tally.amiss
        if tally.recall and np.mean(tally.recall) < LEAST_RECALL:
            amiss.append(f"recall@10 is below {LEAST_RECALL}")
    if arguments.only != "kills":
        rows = workers(out, arguments.writes)
        record["workers"] = rows
        lines += said_of_workers(rows, arguments.writes)
        for store, _, row in rows:
            amiss += [f"{store}: {what}" for what in (row["amiss"] if row else ())]
            if row and np.mean(row["recall"]) < LEAST_RECALL:
                amiss.append(f"{store}: recall@10 is below {LEAST_RECALL}")
    lines += ["", f"Amiss: {len(amiss)}.", *(f"- {what}" for what in amiss)]
    (out / "durability.json").write_text(json.dumps(record, indent=1) + "\n")
    (out / "durability.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(1 if amiss else 0)


def workers(out: Path, writes: int) -> list[tuple[str, str, dict[str, Any] | None]]:
    rows: list[tuple[str, str, dict[str, Any] | None]] = []
    sqlite = in_process(lambda: asyncio.run(on_sqlite(out / "sqlite", writes)))
    rows.append(("SQLite", f"{WORKERS} tasks of one process", sqlite))
    found = None
    if (folder := programs()) is not None:
        server = PostgreSQL(folder)
        try:
            server.make()
            with new_database(server.url) as url:
                found = on_postgresql(out / "postgresql", url, writes)
        finally:
            server.remove()
    rows.append(("PostgreSQL", f"{WORKERS} processes", found))
    return rows


def said_of_kills(tally: Tally, seconds: float) -> list[str]:
    return [
        f"| kills | {' | '.join(PLACES)} | acknowledged | items | index behind after | items left | recall@10 |",
        "| ---: " * (len(PLACES) + 6) + "|",
        f"| {tally.hit.total()} | {' | '.join(str(tally.hit[place]) for place in PLACES)} | {tally.acknowledged} | "
        f"{tally.items} | {tally.behind} | {tally.left} | "
        f"{f'{np.mean(tally.recall):.4f}' if tally.recall else 'not asked'} |",
        "",
        f"In {seconds:.0f} s. 'Items left' were in the store and not in the index when the process died; the next "
        "start delivered them. 'Acknowledged' are episodes, with two items each.",
    ]


def said_of_workers(rows: Sequence[tuple[str, str, dict[str, Any] | None]], writes: int) -> list[str]:
    lines = ["", "| store | writers | writes | seconds | items | errors | recall@10 |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for store, who, row in rows:
        told = "no server here | | |"
        if row is not None:
            told = f"{row['seconds']:.0f} | {row['items']} | {len(row['amiss'])} | {np.mean(row['recall']):.4f}"
        lines.append(f"| {store} | {who} | {WORKERS * writes} | {told} |")
    return lines


if __name__ == "__main__":
    main()
