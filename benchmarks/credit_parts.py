"""What `memory_credit.py` measures: one block of replications of each of its parts, as plain counts."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.credit_streams import ALPHA, ON, POLICIES, RECALLED, STATUSES, Array, Draws, Ledger, Stream, life_cycle
from wisen.core.records import ItemStatus
from wisen.core.sequential import BETS

REVIEW = 25  # episodes of each topic between two looks of the life cycle
CLASSES = {0.2: "+20", 0.05: "+5", 0.0: "0", -0.1: "-10"}
TOPICS = 5
BANKS = {
    "balanced": np.array([[0.2, 0.05, 0.0, -0.1]] * TOPICS),
    "80 % null": np.array([[0.2, 0, 0, 0], [0.2, 0, 0, 0], [0.05, 0, 0, 0], [-0.1, 0, 0, 0], [0, 0, 0, 0]]),
}


@dataclass
class Watch:
    """Which intervals ever failed to hold the truth, and which do at the last look."""

    shape: tuple[int, ...]
    missed: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    now: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def note(self, name: str, misses: NDArray[np.bool_]) -> None:
        self.now[name] = misses
        self.missed[name] = self.missed.get(name, np.zeros(self.shape, dtype=bool)) | misses


SEQUENCE, BETTING, NORMAL, SHARED = "confidence sequence", "betting", "fixed-time normal", "shared outcome"


class Rivals:
    """The other estimators on the same appearances: betting on one constant lift, and the shared outcome."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.bets = np.zeros((3, *shape, len(BETS)))  # wealth against the truth from either side, and against 0
        self.shown, self.wins = np.zeros(shape), np.zeros(shape)

    def observe(self, draws: Draws, counted: NDArray[np.bool_], truth: Array) -> None:
        (scores, low, high, _), use = draws.scores, counted[..., 0]
        score, low, high = scores[..., 0], low[..., 0], high[..., 0]
        for place, (value, least) in enumerate(
            ((score - truth, low - truth), (truth - score, truth - high), (score, low))
        ):
            bet = np.minimum(BETS, 0.9 / np.maximum(-least, 1e-9)[..., None])
            self.bets[place] += np.where(use[..., None], np.log1p(bet * value[..., None]), 0.0)
        self.shown += use & draws.shown[..., 0]
        self.wins += use & draws.shown[..., 0] & draws.success[:, :, None, 0]

    def betting(self, place: int) -> Array:
        return np.logaddexp.reduce(self.bets[place], axis=-1) - math.log(len(BETS))

    def shared(self, overall: Array) -> tuple[Array, Array]:
        """(estimate, half width): success where it was shown less success of all episodes of its topic."""
        rate = self.wins / np.maximum(self.shown, 1)
        return rate - overall[..., None], 1.96 * np.sqrt(
            np.maximum(rate * (1 - rate), 1e-4) / np.maximum(self.shown, 1)
        )


def accounts(bank: str, policy: str, seed: int, replications: int, appearances: int = 1000) -> dict[str, Any]:
    """One block of the first part."""
    stream = Stream(np.random.default_rng(seed), BANKS[bank], replications)
    ledger = Ledger(stream, POLICIES[policy], shadow=True)
    seen, truth = np.zeros(ledger.shape), np.broadcast_to(BANKS[bank], ledger.shape)
    watch, rivals = Watch(ledger.shape), Rivals(ledger.shape)
    hits = {SEQUENCE: np.full(ledger.shape, np.inf), BETTING: np.full(ledger.shape, np.inf)}
    while (seen < appearances).any():
        draws = stream.episodes(ledger.chances(), 1)
        counted = draws.present & (seen < appearances)[..., None]
        seen = seen + counted[..., 0]
        ledger.observe(draws, counted)
        sequence, goal = ledger.sequence, math.log(1 / ALPHA)
        watch.note(SEQUENCE, np.maximum(sequence.log_evidence(truth), sequence.log_evidence_below(truth)) > goal)
        if policy == "life cycle":
            rivals.observe(draws, counted, truth)
            watch.note(BETTING, np.maximum(rivals.betting(0), rivals.betting(1)) > goal)
            enough = sequence.n >= 30
            with np.errstate(invalid="ignore", divide="ignore"):
                half = 1.96 * sequence.deviation / np.sqrt(sequence.n)
                watch.note(NORMAL, enough & (np.abs(sequence.mean - truth) > half))
            estimate, half = rivals.shared(stream.wins / stream.played)
            watch.note(SHARED, enough & (np.abs(estimate - truth) > half))
            for name, log_e in ((SEQUENCE, sequence.log_evidence()), (BETTING, rivals.betting(2))):
                hits[name] = np.where(log_e > goal, np.minimum(hits[name], seen), hits[name])
        if stream.time % REVIEW == 0:
            ledger.review()
    active = ledger.ever[ItemStatus.ACTIVE]
    width = ledger.sequence.upper(ALPHA) - ledger.sequence.lower(ALPHA)
    result: dict[str, Any] = {"classes": {}, "false": [], "hits": {}}
    for lift, name in CLASSES.items():
        those = truth == lift
        result["classes"][name] = {
            "items": int(those.sum()),
            "active": int(active[those].sum()),
            "retired": int(ledger.ever[ItemStatus.RETIRED][those].sum()),
            "missed": {key: int(misses[those].sum()) for key, misses in watch.missed.items()},
            "missed_last": {key: int(misses[those].sum()) for key, misses in watch.now.items()},
            "half_width": float(width[those].mean() / 2),
        }
    for one in range(replications):
        made = int(active[one].sum())
        result["false"].append(int(active[one][truth[one] <= 0].sum()) / made if made else 0.0)
    result["hits"] = {key: [float(n) for n in found[truth == 0.2]] for key, found in hits.items()}
    return result


def planted(policy: str, seed: int, replications: int, appearances: int = 3000) -> dict[str, Any]:
    """One block of the second part: all items are active, and nothing is known of them."""
    lifts = BANKS["balanced"]
    stream = Stream(np.random.default_rng(seed), lifts, replications)
    ledger = Ledger(stream, POLICIES[policy], first=ItemStatus.ACTIVE, shadow=True)
    seen, demoted_at = np.zeros(ledger.shape), np.full(ledger.shape, np.inf)
    while (seen < appearances).any():
        draws = stream.episodes(ledger.chances(), REVIEW)
        counted = draws.present & (seen[..., None] + np.cumsum(draws.present, -1) <= appearances)
        seen = seen + counted.sum(-1)
        ledger.observe(draws, counted)
        ledger.review()
        demoted_at = np.where(ledger.left_active & np.isinf(demoted_at), seen, demoted_at)
    truth = np.broadcast_to(lifts, ledger.shape)
    return {
        name: {
            "items": int((truth == lift).sum()),
            "demoted": int(ledger.left_active[truth == lift].sum()),
            "retired": int((ledger.status[truth == lift] == STATUSES.index(ItemStatus.RETIRED)).sum()),
            "active_at_end": int((ledger.status[truth == lift] == ON).sum()),
            "demoted_at": [float(n) for n in demoted_at[truth == lift]],
        }
        for lift, name in CLASSES.items()
    }


def pair(joint: bool, seed: int, replications: int, appearances: int = 1000) -> dict[str, Any]:
    """One block of the third part. Drawn apart, an item's lift is that of the episodes in which the other is held out:
    it falls as the other becomes active, and the sequence must hold the mean of it so far."""
    lifts = np.full((TOPICS, 2), 0.2)
    stream = Stream(np.random.default_rng(seed), lifts, replications, pair=True, joint=joint)
    ledger = Ledger(stream, life_cycle, shadow=True)
    seen, target, missed = np.zeros(ledger.shape), np.zeros(ledger.shape), np.zeros(ledger.shape, dtype=bool)
    while (seen < appearances).any():
        chances = ledger.chances()
        draws = stream.episodes(chances, 1)
        counted = draws.present & (seen < appearances)[..., None]
        seen = seen + counted[..., 0]
        other = 0.0 if joint else chances[..., ::-1]
        target = target + counted[..., 0] * 0.2 * (1 - other)
        ledger.observe(draws, counted)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.nan_to_num(target / ledger.sequence.n)
        wrong = np.maximum(ledger.sequence.log_evidence(mean), ledger.sequence.log_evidence_below(mean))
        missed |= wrong > math.log(1 / ALPHA)
        if stream.time % REVIEW == 0:
            ledger.review()
            target = np.where(ledger.sequence.n == 0, 0.0, target)
    keep = slice(0, 1) if joint else slice(None)  # as one they are one account
    return {
        "items": int(np.prod(ledger.shape[:2])) * (1 if joint else 2),
        "active": int(ledger.ever[ItemStatus.ACTIVE][..., keep].sum()),
        "missed": int(missed[..., keep].sum()),
        "mean": float(np.nanmean(ledger.sequence.mean[..., keep])),
    }


REGRET = ("life cycle", "always-show", "never-show", "EvolveR, pruned", "EvolveR against the rate", "MemRL")
PRUNED, EXPLORED = 0.3, 0.05


def regret(policy: str, seed: int, replications: int, episodes: int = 3000) -> dict[str, Any]:
    """One block of the last part: successes lost per 100 episodes of a topic, by replication.

    EvolveR and MemRL rank; what they leave out is our reading. Pruned: an item is shown until its score falls below
    0.3, then never again. Against the rate: it is shown while its score, or Q, is at least the topic's success rate so
    far; one time in 20 the opposite is done.
    """
    lifts = BANKS["balanced"]
    stream = Stream(np.random.default_rng(seed), lifts, replications)
    ledger = Ledger(stream, life_cycle)
    shown, wins = np.zeros(ledger.shape), np.zeros(ledger.shape)
    q = np.full(ledger.shape, 0.5)
    lost: list[Array] = []
    step = REVIEW if policy in ("life cycle", "always-show", "never-show") else 1
    for _ in range(0, episodes, step):
        rate = ((stream.wins + 0.5) / (stream.played + 1))[..., None]
        if policy == "life cycle":
            chances = ledger.chances()
        elif policy == "always-show":
            chances = np.ones(ledger.shape)
        elif policy == "never-show":
            chances = np.full(ledger.shape, 1e-12)
        else:
            score = (wins + 1) / (shown + 2)
            if policy == "EvolveR, pruned":
                chances = np.where(score >= PRUNED, 1 - 1e-12, 1e-12)
            else:
                chances = np.where((score if policy.startswith("EvolveR") else q) >= rate, 1 - EXPLORED, EXPLORED)
        draws = stream.episodes(chances, step)
        could = (np.maximum(lifts, 0)[..., None] * draws.present).sum(axis=2)
        lost.append(could - (lifts[..., None] * draws.shown).sum(axis=2))
        if policy == "life cycle":
            # What is retired was recalled too, and counts for the oracle.
            absent = (np.maximum(lifts, 0) * (chances == 0)).sum(axis=2)[..., None] * RECALLED
            lost[-1] = lost[-1] + absent
            ledger.observe(draws)
            ledger.review()
        elif step == 1:
            use, success = draws.shown[..., 0], draws.success[:, :, None, 0]
            shown, wins = shown + use, wins + (use & success)
            q = np.where(use, q + 0.3 * (success - q), q)
    every = np.concatenate(lost, axis=-1)
    last = every[..., -episodes // 4 :]
    return {
        "all": [float(x) for x in 100 * every.mean(axis=(1, 2))],
        "last": [float(x) for x in 100 * last.mean(axis=(1, 2))],
    }
