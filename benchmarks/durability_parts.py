"""What the check of durability writes, and how it looks for it afterwards."""

import multiprocessing
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests

from tests.memory.build import item, judged, request, trajectory  # noqa: E402
from wisen.agent.keeper import Keeper  # noqa: E402
from wisen.core.ids import content_id, derived_seed  # noqa: E402
from wisen.core.records import Episode, EventKind, MemoryItem, Recall  # noqa: E402
from wisen.core.store import Store  # noqa: E402
from wisen.core.workspace import Workspace  # noqa: E402
from wisen.memory.bank import Bank  # noqa: E402
from wisen.memory.index import ChromaIndex  # noqa: E402

WORKERS = 8
COMMON = 50  # every so many writes, all workers teach one and the same
RUN = content_id("app", "durability")
FORK = multiprocessing.get_context("fork")  # what takes a second to import is imported once


class Hashed:
    """Vectors made of the text's hash: this is about what is kept, not about meaning."""

    @property
    def id(self) -> str:
        return "hashed"

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [np.random.default_rng(derived_seed(text)).normal(size=384) for text in texts]
        made = np.array(rows, np.float32).reshape(-1, 384)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def episode(worker: int, number: int, common: bool = False) -> Episode:
    """One job with what it teaches: two items of its own, and where asked one that others teach as well."""
    attempt = trajectory("Press.", ['click button "Ok"'], number=number, of=worker).model_copy(update={"run_id": RUN})
    _, verdict = judged(attempt, True)
    says = [f"Advice {part} of {worker}, {number}." for part in "ab"] + [f"Advice for all, {number}."] * common
    items = tuple(item(what, evidence=(attempt.id,), tasks=(attempt.task.id,)) for what in says)
    recall = Recall(
        id=content_id("recall", attempt.id),
        trajectory_id=attempt.id,
        query=request().task.instruction,
        ranker="similarity",
        bank_version=0,
        release_id=attempt.release_id,
        eligible=0,
        ranked=(),
    )
    return Episode(trajectory=attempt, verdicts=(verdict,), recall=recall, proposals=items)


def keeper_of(workspace: Workspace, shared: bool = False) -> Keeper:
    return Keeper(workspace, run_id=RUN, name="durability", shared=shared)


def in_process(work: Callable[..., Any], *given: Any) -> Any:
    """What it returns, in a process of its own: this one opens no database, so that it can be forked."""
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=lambda: sender.send(work(*given)))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise SystemExit(f"{work.__name__} failed") from None
    finally:
        process.join()


def lost_or_doubled(
    store: Store, items: Mapping[str, MemoryItem], acknowledged: Sequence[Sequence[str]]
) -> Iterator[str]:
    ids = [one[0] for one in acknowledged]
    present, verdicts = store.present(ids), store.verdicts(ids)
    recalls = Counter(one.trajectory_id for one in store.recalls(run_id=RUN))
    for key, *proposals in acknowledged:
        if key not in present:
            yield f"lost: episode {key}"
        elif len(verdicts[key]) != 1 or recalls[key] != 1:
            yield f"episode {key} has {len(verdicts[key])} verdicts and {recalls[key]} recalls"
        if missing := [one for one in proposals if one not in items]:
            yield f"lost: {len(missing)} items of episode {key}"
    every = store.trajectory_ids(RUN)
    if len(set(every)) != len(every):
        yield "an episode is there twice"
    entered = Counter(event.item_id for event in store.events() if event.kind is EventKind.PROPOSED)
    if twice := [key for key, count in entered.items() if count > 1]:
        yield f"{len(twice)} items entered twice"


def damaged(root: Path) -> Iterator[str]:
    for database in (root / "wisen.db", root / "index" / "chroma.sqlite3"):
        if database.exists():
            with closing(sqlite3.connect(database)) as connection:
                for pragma in ("integrity_check", "foreign_key_check"):
                    rows = [row for row in connection.execute(f"PRAGMA {pragma}") if row != ("ok",)]
                    if rows and not (pragma == "foreign_key_check" and database.name.startswith("chroma")):
                        yield f"{database.name}, {pragma}: {rows[:3]}"


async def recall_at_10(index: ChromaIndex, items: Mapping[str, MemoryItem], queries: int = 50) -> list[float]:
    """For each of some queries, the share of the ten truly nearest that the index finds."""
    keys = sorted(items)
    vectors = (await Hashed().embed([items[key].text for key in keys])).astype(np.float64)
    shares = []
    for query in await Hashed().embed([f"query {number}" for number in range(queries)]):
        true = {keys[place] for place in np.argsort(-(vectors @ query.astype(np.float64)), kind="stable")[:10]}
        found = {key for key, _ in await index.query(query, tuple(keys), 10)}
        shares.append(len(true & found) / 10)
    return shares


def all_there(store: Store, writes: int) -> Iterator[str]:
    items, made = Bank(store).snapshot().items, {}
    for worker in range(WORKERS):
        for number in range(writes):
            one = episode(worker, number, number % COMMON == 0)
            made[one.trajectory.id] = one
    yield from lost_or_doubled(store, items, [[key, *(i.id for i in one.proposals)] for key, one in made.items()])
    if (count := store.count_trajectories()) != WORKERS * writes:
        yield f"{count} episodes instead of {WORKERS * writes}"
    for number in range(0, writes, COMMON):
        (*_, common) = episode(0, number, True).proposals
        supported = items[common.id].evidence if common.id in items else ()
        if len(set(supported)) != WORKERS or len(supported) != WORKERS:
            yield f"an item that {WORKERS} workers taught has the evidence of {len(supported)}"
