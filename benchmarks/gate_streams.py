"""What `gate.py` simulates: candidates on the tasks of a panel, and the gates as the product has them, many lives at a
time. `tests/project/test_gate_benchmark.py` holds the gates here to `wisen.evolution.gate.decide`."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wisen.core.betting import log_evidence_of_counts
from wisen.core.noninferiority import least_score, score
from wisen.core.statistics import bootstrap_lower, mcnemar_one_sided
from wisen.evolution.gates.anytime import Looks

Array = NDArray[np.float64]
TRIPLE = (1.0, -1.0, 0.0)  # won, lost, neither
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Fixed:
    """The fixed-size gate over single outcomes: exact McNemar and the bootstrap's bound."""

    alpha: float
    resamples: int = 10_000
    _known: dict[tuple[int, int], int] = field(default_factory=dict)

    def least_wins(self, differing: int, n: int) -> int:
        """The fewest wins that promote, among so many tasks that differ of n: more wins only help."""
        key = (differing, n)
        if key not in self._known:
            least = (differing + 1) // 2
            while least <= differing and not self._promotes(least, differing - least, n):
                least += 1
            self._known[key] = least
        return self._known[key]

    def _promotes(self, wins: int, losses: int, n: int) -> bool:
        if mcnemar_one_sided(wins, losses) > self.alpha:
            return False
        differences = [1.0] * wins + [-1.0] * losses + [0.0] * (n - wins - losses)
        return bootstrap_lower(differences, alpha=self.alpha, resamples=self.resamples, seed=0) > 0

    def decide(self, new: Bools, old: Bools) -> tuple[Bools, Ints]:
        """(promoted [lives], tasks played [lives]) from [lives, n] successes."""
        n = new.shape[1]
        wins, losses = (new & ~old).sum(axis=1), (old & ~new).sum(axis=1)
        differing, which = np.unique(wins + losses, return_inverse=True)
        least = np.array([self.least_wins(int(one), n) for one in differing])
        return wins >= least[which], np.full(len(new), n)


@dataclass(frozen=True)
class Anytime:
    """The anytime-valid gate over single outcomes, with looks after every `every` tasks."""

    alpha: float
    every: int = 20
    futility: float = 0.02

    def decide(self, new: Bools, old: Bools) -> tuple[Bools, Ints]:
        lives, n = new.shape
        looks = Looks(n, self.every, self.alpha, self.futility, exact=True)
        ends = [*range(self.every, n, self.every), n]
        wins = np.add.reduceat(new & ~old, [0, *ends[:-1]], axis=1, dtype=np.int64).cumsum(axis=1)
        losses = np.add.reduceat(old & ~new, [0, *ends[:-1]], axis=1, dtype=np.int64).cumsum(axis=1)
        promoted, played, going = np.zeros(lives, bool), np.full(lives, n), np.arange(lives)
        for place, end in enumerate(ends):
            won, lost = wins[going, place], losses[going, place]
            counts = np.stack([won, lost, end - won - lost], axis=-1)
            enough = log_evidence_of_counts(counts, TRIPLE) >= -math.log(looks.for_bets)
            if end == n:
                enough |= np.array(_mcnemar(won, lost)) <= self.alpha / 2
            promoted[going[enough]], played[going[enough]] = True, end
            rest = ~enough
            if end < n:
                futile = rest & (looks.chance(won - lost, won + lost, end) < self.futility)
                played[going[futile]] = end
                rest &= ~futile
            going = going[rest]
        return promoted, played


@dataclass(frozen=True)
class Ahead:
    """No gate worth the name: what is ahead on the panel is promoted."""

    def decide(self, new: Bools, old: Bools) -> tuple[Bools, Ints]:
        return new.sum(axis=1) > old.sum(axis=1), np.full(len(new), new.shape[1])


Gate = Fixed | Anytime | Ahead


def _mcnemar(wins: Ints, losses: Ints) -> Array:
    from scipy.stats import binom

    return np.asarray(binom.sf(wins - 1, wins + losses, 0.5))


@dataclass(frozen=True)
class Lives:
    """What came of panel lives: whether anything no better was ever promoted, how many tasks each use played, how good
    the release is at the end."""

    fooled: Bools
    played: Ints
    final: Array
    promotions: Ints


def live(
    gate: Gate | None,
    *,
    tasks: int,
    discordance: float,
    uses: int,
    lives: int,
    stream: str,
    effects: Any = ((0.0, 1.0),),
    seed: int,
) -> Lives:
    """Panel lives. A task is solved or not; a candidate changes a share `discordance` of the tasks, so that success in
    the population moves by its effect, drawn from `effects`: (effect, probability). The panel is a sample of it.

    stream: what a candidate builds on. "fresh": the present release. "undecided": the last candidate, as long as it is
    ahead on the panel without being promoted, which is what a cycle trains on from. "last": the last candidate, always,
    which is what a bank does. gate: None promotes whatever comes.
    """
    draw = np.random.default_rng(seed)
    old = draw.random((lives, tasks), dtype=np.float32) < 0.5
    parent, level, parent_level = old.copy(), np.full(lives, 0.5), np.full(lives, 0.5)
    fooled, played, promotions = np.zeros(lives, bool), np.zeros((lives, uses), np.int64), np.zeros(lives, np.int64)
    values, weights = (np.array(part) for part in zip(*effects, strict=True))
    for use in range(uses):
        effect = draw.choice(values, p=weights, size=lives)
        effect = np.clip(effect, 0.02 - parent_level, 0.98 - parent_level)
        change = np.maximum(discordance, np.abs(effect))
        gained = np.minimum(1, (change + effect) / (2 * (1 - parent_level)))[:, None]
        lost = np.minimum(1, (change - effect) / (2 * parent_level))[:, None]
        chances = gained if (gained == lost).all() else np.where(parent, lost, gained)
        flips = draw.random((lives, tasks), dtype=np.float32) < chances.astype(np.float32)
        new, new_level = parent ^ flips, parent_level + effect
        if gate is None:
            passed, played[:, use] = np.ones(lives, bool), 0
        else:
            passed, played[:, use] = gate.decide(new, old)
        fooled |= passed & (new_level <= level + 1e-9)
        promotions += passed
        ahead = new.sum(axis=1) > old.sum(axis=1)
        old, level = np.where(passed[:, None], new, old), np.where(passed, new_level, level)
        keep = passed | (ahead if stream == "undecided" else np.full(lives, stream == "last"))
        parent, parent_level = np.where(keep[:, None], new, old), np.where(keep, new_level, level)
    return Lives(fooled, played, level, promotions)


FAMILY_NULLS = ("symmetric", "skewed")


def family_effects(kind: str, discordance: float, shape: tuple[int, ...], draw: np.random.Generator) -> Array:
    """[...] effects of mean 0 over families, which is no better. "symmetric": each family gains or loses its whole
    discordance. "skewed": most gain it, and a rare one loses much more."""
    if kind == "symmetric":
        return np.where(draw.random(shape) < 0.5, discordance, -discordance)
    worst = min(1.0, 9 * discordance)
    rare = discordance / (discordance + worst)
    return np.where(draw.random(shape) < rare, -worst, discordance)


def family_means(effects: Array, discordance: float, each: int, draw: np.random.Generator) -> Array:
    """[...] mean difference seen in each family, on `each` tasks with its effect."""
    change = np.maximum(discordance, np.abs(effects))
    wins = draw.binomial(each, (change + effects) / 2)
    rest = (change - effects) / 2 / np.maximum(1e-12, 1 - (change + effects) / 2)
    losses = draw.binomial(each - wins, np.clip(rest, 0, 1))
    return np.asarray((wins - losses) / each)


def families_pass(
    means: Array, each: int, alpha: float, every: int | None = None, futility: float = 0.02
) -> tuple[Bools, Ints]:
    """(promoted [lives], families played [lives]) from [lives, families], means of `each` outcomes: at the end, or with
    looks on the way."""
    lives, families = means.shape
    looks = Looks(families, every or families, alpha, futility, exact=False)
    values = np.arange(-each, each + 1) / each
    steps = np.rint(means * each).astype(np.int64) + each
    counts, total, squares = np.zeros((lives, len(values))), np.zeros(lives), np.zeros(lives)
    promoted, played, going = np.zeros(lives, bool), np.full(lives, families), np.ones(lives, bool)
    start = 0
    for end in [*range(looks.every, families, looks.every), families]:
        part = means[:, start:end]
        for place in range(start, end):
            counts[np.arange(lives), steps[:, place]] += 1
        total, squares, start = total + part.sum(axis=1), squares + (part**2).sum(axis=1), end
        enough = going & (log_evidence_of_counts(counts, values) >= -math.log(alpha))
        promoted |= enough
        played[enough] = end
        going &= ~enough
        if end < families:
            futile = going & (looks.chance(total, squares, end) < futility)
            played[futile] = end
            going &= ~futile
    return promoted, played


def not_worse(n: int, margin: float, alpha: float, won: float, lost: float, trials: int, seed: int) -> int:
    """How many of `trials` panels of n tasks pass, where a share `won` is won and a share `lost` is lost."""
    draw = np.random.default_rng(seed)
    counts = draw.multinomial(n, [won, lost, 1 - won - lost], size=trials)
    return int((score(counts[:, 0], counts[:, 1], n, margin) >= least_score(n, margin, alpha)).sum())
