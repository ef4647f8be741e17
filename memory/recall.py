"""Recall: which items an episode is shown, and with what probability each was shown or held out.

scope and capability filter -> leakage guard -> nearest candidates -> ranker -> first k within the budget -> draws.
Every draw derives from the episode's request and the item's id, never from a shared generator, so that neither
concurrency nor the order of episodes changes it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pydantic import Field

from wisen.core.ids import content_id, derived_seed
from wisen.core.protocols import Ranker
from wisen.core.records import (
    Candidate,
    EpisodeRequest,
    ItemStatus,
    MemoryItem,
    MemoryMode,
    Observation,
    Recall,
    Record,
    Scope,
    Task,
)
from wisen.memory.bank import Snapshot
from wisen.memory.items import is_recording
from wisen.memory.rankers import Similarity

LeakageGuard = Callable[[MemoryItem, Task], bool]


class Index(Protocol):
    """Finds the nearest items. Its vectors stand for `MemoryItem.text`."""

    async def query(self, text: str, ids: Sequence[str], n: int) -> list[tuple[str, float]]:
        """The n nearest of the given items, as (item id, cosine), best first, ties in order of id."""
        ...


class RecallSettings(Record):
    """k: places for items. candidates: how many nearest items the ranker sees. floor: least cosine similarity to be
    one; recording_floor: that of a recording, whose words are those of its own task, so that a lesser likeness means
    another task. max_tokens: budget for all shown items together (about four characters a token). In collection an
    episode has memory with probability `arm_propensity`; then each of the first k is shown with probability
    `propensity`, or `active_propensity` once its worth is decided. near_duplicates: cosine from which items of one kind
    and scope are drawn as one; None: each is drawn on its own."""

    k: int = Field(1, ge=1)
    candidates: int = Field(20, ge=1)
    floor: float = Field(0.2, ge=-1, le=1)
    recording_floor: float = Field(0.5, ge=-1, le=1)
    max_tokens: int = Field(400, ge=1)
    arm_propensity: float = Field(0.8, gt=0, le=1)
    propensity: float = Field(0.5, gt=0, le=1)
    active_propensity: float = Field(0.9, gt=0, le=1)
    near_duplicates: float | None = Field(None, gt=0, le=1)

    def floor_of(self, item: MemoryItem) -> float:
        return self.recording_floor if is_recording(item) else self.floor


class Recalled(Record):
    """The record of the retrieval, and the items to show, best first."""

    recall: Recall
    items: tuple[MemoryItem, ...] = ()


def same_task(item: MemoryItem, task: Task) -> bool:
    """Whether the item stems from this very task. Recall always drops those."""
    return task.id in item.source_tasks


def same_template(template_of: Callable[[str], str | None]) -> LeakageGuard:
    """A leakage guard for cross-template evaluation: also drops items that stem from a task of the same template, or
    from one whose template nobody knows. `template_of` maps a task id to its template id."""

    def leaks(item: MemoryItem, task: Task) -> bool:
        return any(template_of(source) in (None, task.template_id) for source in item.source_tasks)

    return leaks


def offered_verbs(observation: Observation) -> frozenset[str]:
    """What the agent can do here: first words of the admissible actions, and names of the tools."""
    verbs = {verb(action) for action in observation.actions if action.strip()}
    return frozenset(verbs | {tool.name for tool in observation.tools})


def verb(action: str) -> str:
    """`click` of `click button "Ok"`, `search` of `search(query='x')`."""
    word = action.split(maxsplit=1)[0] if action.strip() else ""
    return word.split("(", 1)[0]


def applies(scope: Scope, task: Task, observation: Observation) -> bool:
    """Whether advice of this scope can be followed here. Where an environment names neither actions nor tools it takes
    free text, and any action may be possible."""
    verbs = offered_verbs(observation)
    return (
        scope.suite in ("", task.suite)
        and scope.environment in ("", task.environment)
        and (not verbs or verbs.issuperset(scope.actions))
    )


def tokens(text: str) -> int:
    """A rough count, rounded up; memory knows no tokenizer."""
    return -(-len(text) // 4)


async def recall(
    request: EpisodeRequest,
    observation: Observation,
    snapshot: Snapshot,
    index: Index,
    *,
    ranker: Ranker | None = None,
    settings: RecallSettings | None = None,
    leaks: LeakageGuard = same_task,
    clusters: Mapping[str, str] | None = None,
) -> Recalled:
    """Choose what an episode is shown at its start. `index` must hold every recallable item of the snapshot.

    The recall records all candidates in the ranker's order; those without a place have propensity 0. An item's
    propensity is conditional on the episode having memory; `arm_propensity` is the probability of that, whichever arm
    was drawn. An episode of the "off" arm records what it would have ranked and shows nothing; with `MemoryMode.OFF`
    nothing is read at all. `info["excluded"]` counts what each stage of the pipeline dropped. `clusters` names the
    cluster of each recallable item (`memory.clusters`): items of one share the draw.
    """
    settings = settings or RecallSettings()
    ranker = ranker or Similarity()
    task, query = request.task, observation.instruction or request.task.instruction
    excluded: dict[str, int] = {}
    ranked: tuple[Candidate, ...] = ()
    eligible: list[MemoryItem] = []
    if request.memory is not MemoryMode.OFF:
        recallable = snapshot.recallable
        in_scope = [item for item in recallable if applies(item.scope, task, observation)]
        eligible = [item for item in in_scope if not (same_task(item, task) or leaks(item, task))]
        near = await index.query(query, [item.id for item in eligible], settings.candidates) if eligible else []
        found = [(snapshot.items[key], score) for key, score in near]
        above = [(item, score) for item, score in found if score >= settings.floor_of(item)]
        order = ranker.rank(
            [item for item, _ in above], [score for _, score in above], seed=_seed(request, "ranker", ranker.name)
        )
        places = _places([snapshot.items[one.item_id] for one in order], settings)
        excluded = {
            "status": len(snapshot) - len(recallable),
            "scope": len(recallable) - len(in_scope),
            "leakage": len(in_scope) - len(eligible),
            "candidates": len(eligible) - len(near),
            "floor": len(near) - len(above),
            "places": len(order) - len(places),
        }
        ranked = tuple(one.model_copy(update={"propensity": 0.0, "shown": False}) for one in order)
        ranked = tuple(_drawn(one, places, request, snapshot, settings, clusters or {}) for one in ranked)
    arm_propensity = {MemoryMode.OFF: 0.0, MemoryMode.FROZEN: 1.0}.get(request.memory, settings.arm_propensity)
    on = _uniform(request, "arm") < arm_propensity
    if not on:
        ranked = tuple(one.model_copy(update={"shown": False}) for one in ranked)
    record = Recall(
        id=content_id("recall", request.trajectory_id),
        trajectory_id=request.trajectory_id,
        query=query,
        ranker=ranker.name,
        bank_version=snapshot.version,
        release_id=request.release.id,
        eligible=len(eligible),
        ranked=ranked,
        arm="on" if on else "off",
        arm_propensity=arm_propensity,
        info={"mode": request.memory, "excluded": excluded, "settings": settings.model_dump()},
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
    ) -> None:
        self._snapshot, self._index, self._settings, self._clusters = snapshot, index, settings, clusters

    async def recall(self, request: EpisodeRequest, observation: Observation) -> tuple[Recall, Sequence[MemoryItem]]:
        found = await recall(
            request, observation, self._snapshot, self._index, settings=self._settings, clusters=self._clusters
        )
        return found.recall, found.items


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
