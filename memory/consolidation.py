"""Consolidation: near-duplicates become one item, and what is known not to help, or is never recalled, retires.

Pure: what comes of it is a proposal, a list of ledger events that make a candidate bank version. Whether it becomes the
bank is decided elsewhere, by evidence; events are taken back by restoring the version before them. No item is deleted,
no evidence lost, and episodes are not touched: absorbed and pruned items rest as retired.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from wisen.core.errors import SettingsError
from wisen.core.protocols import Embedder, Model
from wisen.core.records import (
    EventKind,
    ItemCredit,
    ItemStatus,
    LedgerEvent,
    MemoryItem,
    Recall,
    Record,
    Trust,
)
from wisen.memory.clusters import NEAR, clusters
from wisen.memory.entering import moved
from wisen.memory.folding import RECALLABLE, RESTING, Snapshot
from wisen.memory.index import searchable
from wisen.memory.items import joined, union
from wisen.memory.lifecycle import LifecycleSettings, moves
from wisen.memory.rewriting import rewritten

ACTOR = "consolidation"
Vectors = Mapping[str, NDArray[np.floating]]


class ConsolidationSettings(Record):
    """near: least cosine at which two items of one kind, scope and outcome say the same. budget: how many items may be
    in use before those that no episode ever considered retire, oldest first; 0: any number. rewrite: a model writes one
    text for what is merged; otherwise the better measured wording stays."""

    near: float = Field(NEAR, gt=0, le=1)
    budget: int = Field(0, ge=0)
    rewrite: bool = False


class Merge(Record):
    """`into` says what the absorbed items said, and has their evidence. `wording`: the item `into`, where it is new."""

    into: str
    absorbed: tuple[str, ...]
    wording: MemoryItem | None = None


class Pruned(Record):
    item_id: str
    status: ItemStatus
    reason: str


class Proposal(Record):
    """A candidate for the bank version after `base`; nothing has happened yet."""

    base: int
    merges: tuple[Merge, ...] = ()
    pruned: tuple[Pruned, ...] = ()
    events: tuple[LedgerEvent, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.events

    @property
    def summary(self) -> str:
        absorbed = sum(len(one.absorbed) for one in self.merges)
        return f"{absorbed} items merged into {len(self.merges)}, {len(self.pruned)} pruned"


async def plan(
    snapshot: Snapshot,
    embedder: Embedder,
    *,
    credits: Sequence[ItemCredit] = (),
    recalls: Iterable[Recall] = (),
    settings: ConsolidationSettings | None = None,
    life: LifecycleSettings | None = None,
    model: Model | None = None,
) -> Proposal:
    """`propose`, with the vectors that an index holds of the items, and with `settings.rewrite` texts of the model. A
    text that is there already, or that says the same as an item outside its group, is not taken. Raises `SettingsError`
    where a model is wanted and there is none, or it cannot chat."""
    settings = settings or ConsolidationSettings()
    items = [item for key, item in snapshot.items.items() if snapshot.statuses[key] in RECALLABLE]
    found = await embedder.embed([searchable(item) for item in items])
    vectors = {item.id: vector for item, vector in zip(items, found, strict=True)}
    considered = frozenset(one.item_id for recall in recalls for one in recall.ranked)

    def proposed(wordings: Mapping[str, MemoryItem]) -> Proposal:
        return propose(
            snapshot,
            vectors,
            credits=credits,
            considered=considered,
            settings=settings,
            life=life,
            wordings=wordings,
        )

    first = proposed({})
    if not settings.rewrite:
        return first
    if model is None:
        raise SettingsError("merged items cannot be written anew without a language model", "leave rewrite out")
    groups = {one.into: tuple(snapshot.items[key] for key in (one.into, *one.absorbed)) for one in first.merges}
    taken: dict[str, MemoryItem] = {}
    for kept, new in (await rewritten(model, groups)).items():
        (vector,) = await embedder.embed([searchable(new)])
        rivals = [one for one in (*items, *taken.values()) if one not in groups[kept] and _alike(one, new)]
        near = any(float(vectors[one.id] @ vector) >= settings.near for one in rivals)
        if new.id not in snapshot.items and new.id not in vectors and not near:
            taken[kept], vectors[new.id] = new, vector
    return proposed(taken)


def propose(
    snapshot: Snapshot,
    vectors: Vectors,
    *,
    credits: Sequence[ItemCredit] = (),
    considered: frozenset[str] = frozenset(),
    settings: ConsolidationSettings | None = None,
    life: LifecycleSettings | None = None,
    wordings: Mapping[str, MemoryItem] | None = None,
) -> Proposal:
    """What to do with a bank version.

    vectors: by item id, unit vectors [d] of all items in use. credits: as measured; `life` says when an item is known
    not to help. considered: items that some recall ranked. wordings: by the item that would be kept, a new item that
    says what its group says; the kept one is then absorbed as well.

    Items that another application keeps are left alone. Of near-duplicates the better measured stays: an active one
    before others, then by the lower bound of its lift, its appearances, its evidence, its age.
    """
    settings, wordings = settings or ConsolidationSettings(), wordings or {}
    able = {key: item for key, item in snapshot.items.items() if _free(item, snapshot)}
    harmful = _harmful(credits, snapshot, able, life)
    gone = {one.item_id for one in harmful}
    groups = _groups([item for key, item in able.items() if key not in gone], vectors, credits, snapshot, settings)
    merges = tuple(
        Merge(into=wordings[kept].id, absorbed=(kept, *rest), wording=wordings[kept])
        if kept in wordings
        else Merge(into=kept, absorbed=rest)
        for kept, rest in groups.items()
        if rest
    )
    gone |= {key for one in merges for key in one.absorbed}
    unread = _unread(snapshot, able, gone, considered | {one.into for one in merges}, settings.budget)
    return Proposal(
        base=snapshot.version,
        merges=merges,
        pruned=tuple(
            Pruned(item_id=one.item_id, status=_status(one), reason=one.reason) for one in (*harmful, *unread)
        ),
        events=(*harmful, *chain.from_iterable(_merging(one, snapshot) for one in merges), *unread),
    )


def _alike(one: MemoryItem, other: MemoryItem) -> bool:
    return (one.kind, one.scope, one.success) == (other.kind, other.scope, other.success)


def _free(item: MemoryItem, snapshot: Snapshot) -> bool:
    return snapshot.statuses[item.id] in RECALLABLE and item.kept is None


def _harmful(
    credits: Sequence[ItemCredit],
    snapshot: Snapshot,
    able: Mapping[str, MemoryItem],
    life: LifecycleSettings | None,
) -> list[LedgerEvent]:
    """What the life cycle would put to rest by what was measured."""
    known = [one for one in credits if one.item.id in snapshot.statuses]
    return [
        event.model_copy(update={"actor": ACTOR})
        for event in moves(known, snapshot.statuses, life)
        if event.status in RESTING and event.item_id in able
    ]


def _groups(
    items: Sequence[MemoryItem],
    vectors: Vectors,
    credits: Sequence[ItemCredit],
    snapshot: Snapshot,
    settings: ConsolidationSettings,
) -> dict[str, tuple[str, ...]]:
    """By the item that stays, those that say the same. Those that stay are less than `near` to each other."""
    measured = {key: one for one in credits for key in (one.item.id, *one.others)}

    def worth(item: MemoryItem) -> tuple[bool, float, int, int]:
        one = measured.get(item.id)
        low = one.lift.low if one is not None and one.lift is not None else -1.0
        seen = one.appearances if one is not None else 0
        return (snapshot.statuses[item.id] is not ItemStatus.ACTIVE, -low, -seen, -len(item.evidence))

    found: dict[str, tuple[str, ...]] = {}
    for outcome in (None, True, False):  # what worked and what failed are not the same, however alike they read
        ranked = sorted((item for item in items if item.success is outcome), key=worth)  # of equals the oldest first
        if ranked:
            for key, kept in clusters(ranked, np.stack([vectors[item.id] for item in ranked]), settings.near).items():
                found[kept] = found.get(kept, ()) if key == kept else (*found[kept], key)
    return found


def _merging(one: Merge, snapshot: Snapshot) -> list[LedgerEvent]:
    items = [snapshot.items[key] for key in one.absorbed]
    events = []
    if one.wording is not None:
        events = [
            LedgerEvent(
                seq=0,
                kind=EventKind.PROPOSED,
                item_id=one.into,
                item=with_evidence(one.wording, items),
                status=ItemStatus.CANDIDATE,
                actor=ACTOR,
            ),
            moved(one.into, ItemStatus.PROBATION, ACTOR, "it says anew what several said"),
        ]
    else:
        kept = snapshot.items[one.into]
        more = with_evidence(kept, items)
        if more != kept:
            events = [
                LedgerEvent(
                    seq=0,
                    kind=EventKind.EVIDENCE,
                    item_id=one.into,
                    evidence=more.evidence[len(kept.evidence) :],
                    source_tasks=more.source_tasks[len(kept.source_tasks) :],
                    trust=None if more.trust is kept.trust else more.trust,
                    actor=ACTOR,
                )
            ]
    return [*events, *(moved(key, ItemStatus.RETIRED, ACTOR, f"{one.into} says the same") for key in one.absorbed)]


def with_evidence(item: MemoryItem, others: Sequence[MemoryItem]) -> MemoryItem:
    """The item with the evidence of all of them, and the least trust."""
    return joined(
        item,
        union(*(one.evidence for one in others)),
        union(*(one.source_tasks for one in others)),
        Trust.least([item.trust, *(one.trust for one in others)]),
    )


def _unread(
    snapshot: Snapshot, able: Mapping[str, MemoryItem], gone: set[str], considered: frozenset[str], budget: int
) -> list[LedgerEvent]:
    left = [key for key in snapshot.items if snapshot.statuses[key] in RECALLABLE and key not in gone]
    over = max(0, len(left) - budget) if budget else 0
    idle = [key for key in left if key in able and key not in considered][:over]
    reason = f"never recalled, and the bank holds more than {budget} items in use"
    return [moved(key, ItemStatus.RETIRED, ACTOR, reason) for key in idle]


def _status(event: LedgerEvent) -> ItemStatus:
    assert event.status is not None
    return event.status
