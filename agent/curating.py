"""An application whose distiller rewrites what it wrote: each kept attempt is read once, one after another."""

import asyncio
from collections.abc import Sequence
from functools import partial

from wisen.agent.keeper import Keeper
from wisen.core.protocols import Curator
from wisen.core.records import Attempted, Entry, Revision, Trajectory
from wisen.core.store import Store
from wisen.memory.bank import Bank, Mark
from wisen.memory.curation import entries, present_names, uses
from wisen.memory.items import union


class Curation:
    """Reads what `keeper` has kept. Marks in the store say what is to be read and what has been: a process that was
    killed, or a model that failed, leaves an attempt to the next call."""

    def __init__(self, curator: Curator, keeper: Keeper, run_id: str) -> None:
        self._curator, self._keeper, self._run_id = curator, keeper, run_id
        self._turn = asyncio.Lock()  # each reading begins with the list as the last one left it

    async def announce(self, trajectory_id: str) -> None:
        """To be called before the attempt is kept, so that none is kept and never read."""
        await self._keeper.ask(lambda store: store.mark(self._run_id, _announced(trajectory_id), {}))

    async def learned(self, trajectory_id: str) -> tuple[tuple[str, ...], int]:
        """Read every kept attempt that was announced and not read yet; (the ids of the items that this one brought,
        the bank's version)."""
        async with self._turn:
            for one in await self._keeper.ask(self._unread):
                await self._read(one)
        marks = await self._keeper.ask(lambda store: store.marks(self._run_id))
        brought = [value["items"] for key, value in marks.items() if key.startswith(_batch(trajectory_id, ""))]
        return union(*brought), (await self._keeper.snapshot(None)).version

    async def _read(self, attempt: Trajectory) -> None:
        for place, batch in enumerate(await self._keeper.ask(partial(self._batches, attempt=attempt))):
            key = _batch(attempt.id, place)
            if asked := await self._keeper.ask(partial(self._asked, batch=batch, key=key)):
                revision = await self._curator.curate(*asked)
                value = {"items": [item.id for item in (*revision.replace, *revision.add)], "failed": revision.failed}
                await self._keeper.change(partial(self._follow, revision=revision, mark=(self._run_id, key, value)))
        await self._keeper.ask(lambda store: store.mark(self._run_id, _done(attempt.id), {}))

    # Below: blocking, in the keeper's thread.

    def _unread(self, store: Store) -> tuple[Trajectory, ...]:
        marks = store.marks(self._run_id)
        announced = [key.removeprefix(_announced("")) for key in marks if key.startswith(_announced(""))]
        return store.trajectories([key for key in announced if _done(key) not in marks])

    def _batches(self, store: Store, attempt: Trajectory) -> list[tuple[Attempted, ...]]:
        """Those that the attempt brings, read beside the earlier ones at its job."""
        tried = store.trajectories(run_id=self._run_id, task_id=attempt.task.id)
        beside = [one for one in tried if one.attempt < attempt.attempt]
        beside.sort(key=lambda one: (one.attempt, one.id))
        ids = [one.id for one in (*beside, attempt)]
        verdicts = store.verdicts(ids)
        shown: dict[str, tuple[str, ...]] = {}
        for recall in store.recalls(ids):
            shown[recall.trajectory_id] = union(shown.get(recall.trajectory_id, ()), recall.shown)
        attempts = [
            Attempted(trajectory=one, verdict=verdicts[one.id][-1], shown=shown.get(one.id, ()))
            for one in (*beside, attempt)
        ]
        return [batch for batch in self._curator.batches(attempts) if attempts[-1] in batch]

    def _asked(
        self, store: Store, batch: Sequence[Attempted], key: str
    ) -> tuple[tuple[Entry, ...], list[Attempted]] | None:
        """The list as it is now, and the batch; None for one that was read."""
        if store.marked(self._run_id, key) is not None:
            return None
        events, suite = store.events(), batch[0].trajectory.task.suite
        used = uses(store.recalls(run_id=self._run_id))
        told = [one.model_copy(update={"shown": present_names(one.shown, events)}) for one in batch]
        return entries(self._curator.name, suite, Bank(store).snapshot(), events, used), told

    def _follow(self, bank: Bank, revision: Revision, mark: Mark) -> int:
        return bank.revise(revision, actor=self._curator.name, mark=mark)


def _announced(trajectory_id: str) -> str:
    return f"to-read/{trajectory_id}"


def _done(trajectory_id: str) -> str:
    return f"read/{trajectory_id}"


def _batch(trajectory_id: str, place: int | str) -> str:
    return f"curated/{trajectory_id}/{place}"
