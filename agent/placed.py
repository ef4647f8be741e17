"""What a graph's store does, operation by operation, on the event loop of an experience: items behind places."""

import asyncio
import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langgraph.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    validate_op_namespace,
)
from langgraph.store.base.embed import get_text_at_path, tokenize_path

from wisen.agent.experience import Experience, Job, Lesson
from wisen.agent.places import Entry, Place, entries, kept_item, matches, passes
from wisen.agent.store_jobs import Jobs, Running
from wisen.core.ids import content_id
from wisen.core.records import ItemStatus, MemoryItem, MemoryMode, Recall, Scope, Trust
from wisen.core.store import Store
from wisen.memory.bank import RECALLABLE, Bank, Snapshot
from wisen.memory.recall import RecallSettings

log = logging.getLogger(__name__)
NO_LIMIT = 1_000_000_000  # tokens: a store's caller says how many items, not how long


@dataclass(frozen=True)
class View:
    """A version of the bank, and what the application sees of it by place."""

    snapshot: Snapshot
    entries: Mapping[Place, Entry]


class PlacedBank:
    """Reads and writes the bank by place. `thread` says whose job it is."""

    def __init__(self, experience: Experience, trust: Trust, settings: RecallSettings | None) -> None:
        self._experience, self._trust = experience, trust
        self._settings = settings or RecallSettings(floor=-1, recording_floor=-1)
        self._jobs = Jobs()
        self._writing = asyncio.Lock()
        self._view = View(Snapshot(), {})
        self._at = 0  # the version up to which `_times` is known
        self._times: dict[str, tuple[datetime, datetime]] = {}

    async def served(self, ops: Sequence[Op], thread: str) -> list[Result]:
        """As LangGraph's stores do it: all reads see what was there before, then come the writes, the last of each
        place."""
        for op in ops:
            validate_op_namespace(op)
        view = await self._look()
        results: list[Result] = []
        puts: dict[Place, PutOp] = {}
        for op in ops:
            match op:
                case GetOp():
                    results.append(_item(view.entries.get((op.namespace, op.key))))
                case SearchOp():
                    results.append(await self._search(op, view, thread))
                case ListNamespacesOp():
                    results.append(_namespaces(op, view))
                case PutOp():
                    puts[op.namespace, op.key] = op
                    results.append(None)
                case _:
                    raise ValueError(f"unknown operation {type(op).__name__}")
        if puts:
            async with self._writing:  # what stands at a place must not change between the look and the put
                view = await self._look()
                for place, put in puts.items():
                    await self._put(place, put, view.entries.get(place), thread)
        return results

    async def learned(self, thread: str, done: Sequence[Any], outcome: bool | None) -> Lesson:
        """End the job of a thread, see `BankStore.alearn`. A failure leaves it open."""
        running = self._jobs.get(thread) or self._begun(thread)
        text = running.asked[0] if running.asked else running.task.instruction
        task = running.task.model_copy(update={"instruction": text})
        recall = running.recall or await self._nothing(running)
        job = Job(task=task, trajectory_id=running.trajectory_id, recall=recall)
        lesson = await self._experience.learn(job, done, outcome=outcome)
        self._jobs.end(thread, running)
        return lesson

    async def _look(self) -> View:
        snapshot = await self._experience.bank()
        if snapshot.version == self._view.snapshot.version:
            return self._view
        for key, (first, last) in (
            await self._experience.keeper.ask(lambda store: store.entered(after=self._at))
        ).items():
            self._times[key] = (self._times.get(key, (first, last))[0], last)
        self._at = max(self._at, snapshot.version)
        self._view = View(snapshot, entries(snapshot, self._times, self._experience.name))
        return self._view

    async def _search(self, op: SearchOp, view: View, thread: str) -> list[SearchItem]:
        depth = len(op.namespace_prefix)
        found = [
            entry
            for (namespace, _), entry in view.entries.items()
            if namespace[:depth] == op.namespace_prefix and passes(entry.value, op.filter or {})
        ]
        if not op.query:
            return [_search_item(entry) for entry in found[op.offset : op.offset + op.limit]]
        return await self._recalled(op, op.query, view.snapshot, found, thread)

    async def _recalled(
        self, op: SearchOp, query: str, bank: Snapshot, found: Sequence[Entry], thread: str
    ) -> list[SearchItem]:
        """Items by rank, from the offset on. A place whose item is held out stays empty. What is not to be searched
        comes last, without a score, where there is room."""
        by_id = {entry.item.id: entry for entry in found if entry.item.text}
        # Where they may be found is the caller's to say: each item's own scope has been looked at.
        among = Snapshot(
            bank.version,
            {key: entry.item.model_copy(update={"scope": Scope()}) for key, entry in by_id.items()},
            {key: bank.statuses[key] for key in by_id},
        )
        places = op.offset + op.limit
        if places < 1:
            return []
        settings = self._settings.model_copy(
            update={"k": places, "candidates": max(places, self._settings.candidates), "max_tokens": NO_LIMIT}
        )
        job = self._jobs.get(thread) or self._begun(thread)
        task = job.task.model_copy(update={"instruction": query})
        recalled = await self._experience.found(task, job.trajectory_id, among, settings)
        job.add(query, recalled.recall)
        ranked = recalled.recall.ranked[op.offset : places]
        told = [_search_item(by_id[one.item_id], one.score) for one in ranked if one.shown]
        silent = [] if recalled.recall.arm != "on" else [entry for entry in found if not entry.item.text]
        return told + [_search_item(entry) for entry in silent[: max(0, op.limit - len(ranked))]]

    async def _put(self, place: Place, op: PutOp, present: Entry | None, thread: str) -> None:
        if op.value is None:
            if present is not None:
                await self._moved(present.item.id, ItemStatus.RETIRED, "deleted by the application")
            return
        job = self._jobs.get(thread) or self._begun(thread)
        item = kept_item(
            place,
            op.value,
            _texts(op),
            suite=self._experience.name,
            trust=self._trust,
            evidence=job.trajectory_id,
            replaces=None if present is None else present.item.id,
        )
        await self._offered(item, present)

    async def _offered(self, item: MemoryItem, present: Entry | None) -> None:
        """The item enters; what stood at its place is retired, once the new one is in use."""
        name, keeper = self._experience.name, self._experience.keeper
        if present is not None and present.item.id == item.id:
            item = item.model_copy(update={"parent_id": present.item.parent_id})

        def offer(bank: Bank) -> tuple[str, ItemStatus]:
            # The guard may give it another id, with secrets out of its text.
            version = bank.propose([item], actor=name)
            snapshot = bank.snapshot(version)
            key = next((key for key in (item.id, *_newest(snapshot, item)) if key in snapshot.items), item.id)
            return key, snapshot.statuses[key]

        key, status = await keeper.change(offer)
        if status is ItemStatus.RETIRED and await keeper.ask(lambda store: moved_by(store, key)) == name:
            await self._moved(key, ItemStatus.PROBATION, "put again by the application")
        elif status not in RECALLABLE:
            assert item.kept is not None
            log.warning("%s/%s is %s: see `wisen memory show %s`", item.scope.environment, item.kept.key, status, key)
            return
        if present is not None and present.item.id != key:
            await self._moved(present.item.id, ItemStatus.RETIRED, f"{key} was put in its place")

    async def _moved(self, key: str, status: ItemStatus, reason: str) -> None:
        name = self._experience.name
        await self._experience.keeper.change(lambda bank: bank.set_status(key, status, actor=name, reason=reason))

    def _begun(self, thread: str) -> Running:
        """A job that this thread begins with its first search or put."""
        task = self._experience.task("a job of the graph")
        trajectory_id = self._experience.new_trajectory(task)
        # Each attempt is a job of its own: what an earlier one in the thread taught may be told in the next.
        task = task.model_copy(update={"id": f"{self._experience.name}/{trajectory_id}"})
        return self._jobs.add(thread, Running(task=task, trajectory_id=trajectory_id))

    async def _nothing(self, running: Running) -> Recall:
        """The record of a job that never searched."""
        return Recall(
            id=content_id("recall", running.trajectory_id),
            trajectory_id=running.trajectory_id,
            query="",
            ranker="",
            bank_version=(await self._experience.bank()).version,
            release_id="",
            eligible=0,
            ranked=(),
            info={"mode": MemoryMode.OFF},
        )


def _namespaces(op: ListNamespacesOp, view: View) -> list[tuple[str, ...]]:
    every = {namespace for namespace, _ in view.entries}
    conditions = op.match_conditions or ()
    found = {one for one in every if all(matches(one, each.match_type, each.path) for each in conditions)}
    return sorted({one[: op.max_depth] for one in found})[op.offset : op.offset + op.limit]


def moved_by(store: Store, key: str) -> str:
    """Who gave an item the status that it has."""
    moves = [one for one in store.events() if one.item_id == key and one.status is not None]
    return moves[-1].actor if moves else ""


def _newest(snapshot: Snapshot, item: MemoryItem) -> Iterator[str]:
    return (key for key in reversed(list(snapshot.items)) if snapshot.items[key].kept == item.kept)


def _texts(op: PutOp) -> list[str] | None:
    """What search reads of a value: None for all of it."""
    if op.index is None:
        return None
    if op.index is False:
        return []
    return [text for path in op.index for text in get_text_at_path(op.value, tokenize_path(path))]


def _item(entry: Entry | None) -> Item | None:
    if entry is None:
        return None
    namespace, key = entry.place
    value = copy.deepcopy(entry.value)  # the caller's own
    return Item(value=value, key=key, namespace=namespace, created_at=entry.created, updated_at=entry.updated)


def _search_item(entry: Entry, score: float | None = None) -> SearchItem:
    namespace, key = entry.place
    return SearchItem(namespace, key, copy.deepcopy(entry.value), entry.created, entry.updated, score)
