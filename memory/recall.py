"""Recall: which items an episode is shown, and with what probability each was shown or held out.

scope and capability filter -> leakage guard -> nearest candidates -> ranker -> first k within the budget -> draws.
Every draw derives from the episode's request and the item's id, never from a shared generator, so that neither
concurrency nor the order of episodes changes it.

An episode may ask more than once. An item that had a place in one recall, whether it was shown or held out, competes in
no later one: each item is drawn at most once in an episode. A later recall is a decision of its own. That it took place
at all, and for which items, may depend on earlier draws, but not on the draws of the items that it decides; so their
propensities are what they would be in a first one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from wisen.core.errors import SettingsError
from wisen.core.ids import content_id, derived_seed
from wisen.core.protocols import Ranker
from wisen.core.records import (
    Candidate,
    EpisodeRequest,
    ItemStatus,
    MemoryItem,
    MemoryMode,
    Observation,
    Occasion,
    Recall,
    Record,
    Standing,
)
from wisen.memory.bank import Snapshot
from wisen.memory.eligibility import (
    Eligible,
    LeakageGuard,
    Shelf,
    applies,
    offered_verbs,
    same_task,
    same_template,
    verb,
)
from wisen.memory.rankers import WORTHLESS, make_ranker
from wisen.memory.recall_settings import RecallSettings
from wisen.memory.search import Index, search

__all__ = [
    "Index",
    "LeakageGuard",
    "RecallSettings",
    "Recalled",
    "Shelf",
    "SnapshotRecaller",
    "applies",
    "offered_verbs",
    "recall",
    "same_task",
    "same_template",
    "tokens",
    "verb",
]

Sift = Callable[[str, Sequence[MemoryItem], Snapshot], Awaitable[Collection[str]]]

FIRST = Occasion()
UNKNOWN = Standing()


class Recalled(Record):
    """The record of the retrieval, and the items to show, best first."""

    recall: Recall
    items: tuple[MemoryItem, ...] = ()


def tokens(text: str) -> int:
    """A rough count, rounded up; memory knows no tokenizer."""
    return -(-len(text) // 4)


async def recall(
    request: EpisodeRequest,
    observation: Observation,
    snapshot: Snapshot | Shelf,
    index: Index,
    *,
    ranker: Ranker | None = None,
    settings: RecallSettings | None = None,
    leaks: LeakageGuard = same_task,
    clusters: Mapping[str, str] | None = None,
    standings: Mapping[str, Standing] | None = None,
    sift: Sift | None = None,
    occasion: Occasion = FIRST,
) -> Recalled:
    """Choose what an episode is shown. `index` must hold every recallable item of the snapshot. Whoever recalls often
    from one bank version makes its `Shelf` once.

    The recall records all candidates in the ranker's order; those without a place have propensity 0. An item's
    propensity is conditional on the episode having memory; `arm_propensity` is the probability of that, whichever arm
    was drawn. An episode of the "off" arm records what it would have ranked and shows nothing; with `MemoryMode.OFF`
    nothing is read at all. `info["excluded"]` counts what each stage of the pipeline dropped. `clusters` names the
    cluster of each recallable item (`memory.clusters`): items of one share the draw. `standings` says what each item,
    or cluster, is worth to a ranker that asks. `sift` names, by id, those of a query's candidates that are to be left
    out (`memory.guard.review`); it sees no draw.
    """
    shelf = snapshot if isinstance(snapshot, Shelf) else Shelf(snapshot)
    snapshot, clusters = shelf.snapshot, clusters or {}
    settings = settings or RecallSettings()
    ranker = ranker or _ranker(settings, standings)
    query = occasion.query or observation.instruction or request.task.instruction
    info: dict[str, Any] = {"mode": request.memory}
    excluded: dict[str, int] = {}
    ranked: tuple[Candidate, ...] = ()
    eligible = Eligible()

    def standing(key: str) -> Standing:
        return (standings or {}).get(clusters.get(key, key), UNKNOWN)

    if request.memory is not MemoryMode.OFF:
        past = _members(occasion.past, clusters)
        eligible = shelf.eligible(request.task, observation, leaks, past)

        async def look() -> tuple[int, tuple[Candidate, ...]]:
            found = await search(query, eligible, shelf, index, settings, standing)
            above = [one for one in found if settings.passes(one.item, one.similarity, one.lexical)]
            if sift is not None:
                out = await sift(query, [one.item for one in above], snapshot)
                above = [one for one in above if one.item.id not in out]
                excluded["consensus"] = len(out)
            seed = _seed(request, "ranker", ranker.name, *([str(occasion.number)] if occasion.number else []))
            explore = request.memory is MemoryMode.RANDOMISED
            return len(found), await ranker.rank(above, query=query, seed=seed, explore=explore)

        found, order = await _in_time(look(), settings.max_ms, info)
        places = _places([snapshot.items[one.item_id] for one in order], settings)
        excluded = excluded if found else {}  # one that came too late has left nothing out
        excluded = {
            **excluded,
            "status": len(snapshot) - len(shelf.recallable),
            "scope": len(shelf.recallable) - len(eligible.pool),
            "leakage": len(eligible.out - past),
            **({"past": len(eligible.out & past)} if past else {}),
            "candidates": len(eligible.ids) - found,
            "floor": found - len(order) - excluded.get("consensus", 0),
            "places": len(order) - len(places),
        }
        ranked = tuple(one.model_copy(update={"propensity": 0.0, "shown": False}) for one in order)
        ranked = tuple(_drawn(one, places, request, snapshot, settings, clusters) for one in ranked)
    arm_propensity = {MemoryMode.OFF: 0.0, MemoryMode.FROZEN: 1.0}.get(request.memory, settings.arm_propensity)
    on = _uniform(request, "arm") < arm_propensity
    if not on:
        ranked = tuple(one.model_copy(update={"shown": False}) for one in ranked)
    record = Recall(
        id=content_id("recall", request.trajectory_id, *([occasion.number] if occasion.number else [])),
        trajectory_id=request.trajectory_id,
        query=query,
        ranker=ranker.name,
        bank_version=snapshot.version,
        release_id=request.release.id,
        eligible=len(eligible.ids),
        ranked=ranked,
        arm="on" if on else "off",
        arm_propensity=arm_propensity,
        moment=occasion.moment,
        step=occasion.step,
        number=occasion.number,
        info={**info, "excluded": excluded, "settings": settings.model_dump(mode="json")},
    )
    return Recalled(recall=record, items=tuple(snapshot.items[key] for key in record.shown))


class SnapshotRecaller:
    """Recall over one bank version, in the form that an agent's graph asks for. `index` must hold its items."""

    def __init__(
        self,
        snapshot: Snapshot,
        index: Index,
        settings: RecallSettings | None = None,
        clusters: Mapping[str, str] | None = None,
        *,
        ranker: Ranker | None = None,
        leaks: LeakageGuard = same_task,
        standings: Mapping[str, Standing] | None = None,
        sift: Sift | None = None,
    ) -> None:
        self.shelf = Shelf(snapshot)
        self._index, self._settings = index, settings or RecallSettings()
        self._ranker = ranker or _ranker(self._settings, standings)
        self._clusters, self._leaks, self._standings, self._sift = clusters, leaks, standings, sift

    async def recall(
        self, request: EpisodeRequest, observation: Observation, occasion: Occasion = FIRST
    ) -> tuple[Recall, Sequence[MemoryItem]]:
        found = await recall(
            request,
            observation,
            self.shelf,
            self._index,
            ranker=self._ranker,
            settings=self._settings,
            leaks=self._leaks,
            clusters=self._clusters,
            standings=self._standings,
            sift=self._sift,
            occasion=occasion,
        )
        return found.recall, found.items


def _ranker(settings: RecallSettings, standings: Mapping[str, Standing] | None) -> Ranker:
    """Raises `SettingsError` where it would have to rank by worth that nobody told it."""
    if settings.ranker not in WORTHLESS and standings is None:
        raise SettingsError(
            f"the ranker {settings.ranker!r} needs to know what items are worth, and nobody measured it here",
            f"take one of {', '.join(sorted(WORTHLESS))}",
        )
    return make_ranker(settings.ranker, settings.ranker_options)


async def _in_time(
    look: Coroutine[Any, Any, tuple[int, tuple[Candidate, ...]]], most_ms: float | None, info: dict[str, Any]
) -> tuple[int, tuple[Candidate, ...]]:
    """What `look` brings, if that is in time; else nothing, and `info` says so."""
    if most_ms is None:
        return await look
    started = time.perf_counter()
    try:
        async with asyncio.timeout(most_ms / 1000) as limit:
            result = await look
    except TimeoutError:
        if not limit.expired():
            raise
    else:  # what does not wait cannot be interrupted
        if 1000 * (time.perf_counter() - started) <= most_ms:
            return result
    info["late"] = f"more than {most_ms:g} ms"
    return 0, ()


def _members(keys: Iterable[str], clusters: Mapping[str, str]) -> frozenset[str]:
    """These items and their near-duplicates, which share their draws."""
    keys = frozenset(keys)
    units = {clusters[key] for key in keys if key in clusters}
    return keys.union(key for key, unit in clusters.items() if unit in units)


def _places(ranked: Sequence[MemoryItem], settings: RecallSettings) -> frozenset[str]:
    """The first k that fit the budget together. Decided before any draw: whether an item competes must not depend on
    whether another was held out."""
    chosen: list[str] = []
    left = settings.max_tokens
    for item in ranked:
        if len(chosen) < settings.k and tokens(item.text) <= left:
            chosen.append(item.id)
            left -= tokens(item.text)
    return frozenset(chosen)


def _drawn(
    one: Candidate,
    places: frozenset[str],
    request: EpisodeRequest,
    snapshot: Snapshot,
    settings: RecallSettings,
    clusters: Mapping[str, str],
) -> Candidate:
    if one.item_id not in places:
        return one
    # The oldest of a cluster gives it its name, so that an item draws the same with and without younger duplicates.
    unit = clusters.get(one.item_id, one.item_id)
    together = [key for key, leader in clusters.items() if leader == unit]
    propensity = 1.0
    if request.memory is MemoryMode.RANDOMISED:
        statuses = {snapshot.statuses[key] for key in together or [one.item_id]}
        # One that still has to prove itself keeps its whole cluster on trial.
        active = statuses == {ItemStatus.ACTIVE}
        propensity = settings.active_propensity if active else settings.propensity
    shown = _uniform(request, unit) < propensity
    named = unit if len(together) > 1 else ""
    return one.model_copy(update={"propensity": propensity, "shown": shown, "cluster": named})


def _seed(request: EpisodeRequest, *what: str) -> int:
    """Task and attempt take part: episodes of a run may share its seed, and their draws must still be independent."""
    return derived_seed(request.seed, "recall", request.task.id, request.attempt, *what)


def _uniform(request: EpisodeRequest, what: str) -> float:
    return _seed(request, what) / 2**32
