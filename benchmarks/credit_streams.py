"""Streams of episodes over a bank of items whose true lift is known, with the product's life cycle at work on them.

Many replications at once. Items of one topic are recalled together, and the base rate of every topic drifts between 30
and 60 %. Arrays are [replications, topics, items] unless said otherwise.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wisen.core.records import Author, Interval, ItemCredit, ItemKind, ItemStatus, LedgerEvent, MemoryItem
from wisen.core.sequential import FallAlarm, MeanSequence
from wisen.memory.credit import FALL, LEVEL
from wisen.memory.lifecycle import LifecycleSettings, moves

Array = NDArray[np.float64]
Policy = Callable[[Sequence[ItemCredit], Mapping[str, ItemStatus]], Sequence[tuple[str, ItemStatus]]]

RECALLED = 0.85  # an item's chance to be recalled in an episode of its topic
PROBATION, ACTIVE = 0.5, 0.9
STATUSES = tuple(ItemStatus)
TRIAL, ON = STATUSES.index(ItemStatus.PROBATION), STATUSES.index(ItemStatus.ACTIVE)
ALPHA = (1 - LEVEL) / 2


@dataclass
class Stream:
    """Replications of a bank at work: arrays are [replications, topics, items], draws come from one generator."""

    rng: np.random.Generator
    lifts: Array  # [topics, items]
    replications: int
    pair: bool = False  # the items of a topic are near-duplicates: one of them brings its lift, more bring no more
    joint: bool = False  # and they share a draw

    def __post_init__(self) -> None:
        shape = (self.replications, *self.lifts.shape)
        self.phase = self.rng.uniform(0, 2 * math.pi, shape[:2])
        self.wins, self.played = np.zeros(shape[:2]), np.zeros(shape[:2])
        self.time = 0

    def episodes(self, chances: Array, number: int) -> "Draws":
        """`number` episodes of every topic, each recalled item shown with its chance; 0: it has no place."""
        shape = (*chances.shape, number)
        times = self.time + np.arange(number)
        base = 0.45 + 0.15 * np.sin(self.phase[..., None] + times / 400)
        common = self.pair and self.joint
        drawn = self.rng.random((*shape[:2], 1, number) if common else shape)
        recalled = self.rng.random((*shape[:2], 1, number) if self.pair else shape) < RECALLED
        present = recalled & (chances[..., None] > 0)
        shown = present & (drawn < chances[..., None])
        gain = self.lifts[..., None] * shown
        rate = base + (gain.max(axis=2) if self.pair else gain.sum(axis=2))
        success = self.rng.random(rate.shape) < rate
        wins = self.wins[..., None] + np.cumsum(success, -1) - success
        baseline = (wins + 0.5) / (self.played[..., None] + np.arange(number) + 1)
        self.wins, self.played = self.wins + success.sum(-1), self.played + number
        self.time += number
        return Draws(np.where(chances > 0, chances, 0.5)[..., None], present, shown, success, baseline)


@dataclass(frozen=True)
class Draws:
    """[replications, topics, items, episodes]; success and baseline lack the items."""

    chance: Array
    present: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    success: NDArray[np.bool_]
    baseline: Array

    @property
    def scores(self) -> tuple[Array, Array, Array, Array]:
        """Scores with the bounds and variances that were known before them."""
        p, m = self.chance, self.baseline[:, :, None]
        scores = np.where(self.shown, 1 / p, -1 / (1 - p)) * (self.success[:, :, None] - m)
        low, high = -np.maximum(m / p, (1 - m) / (1 - p)), np.maximum((1 - m) / p, m / (1 - p))
        return scores, low, high, m * (1 - m) / (p * (1 - p))


@dataclass
class Ledger:
    """Accounts and statuses of all items of a stream, and the looks of the life cycle."""

    stream: Stream
    policy: Policy
    first: ItemStatus = ItemStatus.PROBATION
    shadow: bool = False  # retired items go on being measured
    least: int = 2

    def __post_init__(self) -> None:
        self.shape = (self.stream.replications, *self.stream.lifts.shape)
        self.sequence, self.alarm = MeanSequence.start(self.shape), FallAlarm.start(self.shape)
        self.status = np.full(self.shape, STATUSES.index(self.first))
        self.left_active = np.zeros(self.shape, dtype=bool)
        self.ever = {status: np.zeros(self.shape, dtype=bool) for status in ItemStatus}
        self.items = [_item(number) for number in range(int(np.prod(self.shape[1:])))]

    def chances(self) -> Array:
        resting = PROBATION if self.shadow else 0.0
        return np.where(self.status == ON, ACTIVE, np.where(self.status == TRIAL, PROBATION, resting))

    def observe(self, draws: Draws, counted: NDArray[np.bool_] | None = None) -> None:
        scores, low, high, variance = draws.scores
        counted = draws.present if counted is None else counted
        self.sequence = self.sequence.extended(scores, low, high, counted)
        self.alarm = self.alarm.extended(scores, high, variance, fall=FALL, counted=counted)

    def review(self) -> None:
        low, high = self.sequence.lower(ALPHA), self.sequence.upper(ALPHA)
        mean, log_e, n = self.sequence.mean, self.sequence.log_evidence(), self.sequence.n
        anew = np.zeros(self.shape, dtype=bool)
        for replication in range(self.shape[0]):
            flat = [one[replication].ravel().tolist() for one in (low, high, mean, log_e, n, self.alarm.log_wealth)]
            statuses = {one.id: STATUSES[at] for one, at in zip(self.items, self.status[replication].flat, strict=True)}
            credits = [
                ItemCredit.model_construct(
                    item=item,
                    lift=Interval.model_construct(mean=m, low=lo, high=hi, level=LEVEL) if count >= 2 else None,
                    shown=int(count),
                    held_out=0,
                    success_shown=None,
                    success_held_out=None,
                    deviation=None,
                    log_e=e,
                    log_alarm=alarm,
                    others=(),
                )
                for item, lo, hi, m, e, count, alarm in zip(self.items, *flat, strict=True)
                if count > 0
            ]
            for key, status in self.policy(credits, statuses):
                place = np.unravel_index(int(key), self.shape[1:])
                at = (replication, *place)
                self.left_active[at] |= self.status[at] == ON
                anew[at] |= status is ItemStatus.PROBATION
                self.status[at] = STATUSES.index(status)
                self.ever[status][at] = True
        if anew.any():
            self.restart(anew)

    def restart(self, where: NDArray[np.bool_]) -> None:
        kept = {
            name: np.where(where[..., None] if part.ndim > where.ndim else where, 0.0, part)
            for name, part in vars(self.sequence).items()
        }
        self.sequence = MeanSequence(**kept)
        self.alarm = FallAlarm(np.where(where, 0.0, self.alarm.log_wealth))


def _item(number: int) -> MemoryItem:
    return MemoryItem(
        id=str(number), kind=ItemKind.STRATEGY, title="", when_to_use="", content="", author=Author(distiller="sim")
    )


def life_cycle(credits: Sequence[ItemCredit], statuses: Mapping[str, ItemStatus]) -> list[tuple[str, ItemStatus]]:
    events: tuple[LedgerEvent, ...] = moves(credits, statuses, LifecycleSettings())
    return [(event.item_id, event.status) for event in events if event.status is not None]


def always_retire(credits: Sequence[ItemCredit], statuses: Mapping[str, ItemStatus]) -> list[tuple[str, ItemStatus]]:
    return [(one.item.id, ItemStatus.RETIRED) for one in credits if statuses[one.item.id] is not ItemStatus.RETIRED]


def always_keep(credits: Sequence[ItemCredit], statuses: Mapping[str, ItemStatus]) -> list[tuple[str, ItemStatus]]:
    return [(one.item.id, ItemStatus.ACTIVE) for one in credits if statuses[one.item.id] is not ItemStatus.ACTIVE]


POLICIES: dict[str, Policy] = {"life cycle": life_cycle, "always-retire": always_retire, "always-keep": always_keep}
