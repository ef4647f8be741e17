"""Cases for several decisions in one episode: soft Q-learning (Memento's equations 9 and 10; Haarnoja et al. 2017).

    Q(s, c)  <-  r + gamma * alpha * log sum over c' of exp(Q(s', c') / alpha)

by squared error, the right side taken from a target network that is now and then set to the one that learns. The
choices at s' are the cases that had a place there, and showing nothing. The last decision of an episode has no s'.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from wisen.memory.parametric.head import Floats, Head
from wisen.memory.parametric.labels import CaseLabel
from wisen.memory.parametric.training import HeadSettings, Net, one_thread


class SoftQSettings(HeadSettings):
    """gamma: what a reward is worth one decision later. alpha: temperature, in units of reward; the greater, the more
    the other choices count. syncs: how often the target network is renewed; each time the data are passed over
    `epochs` times."""

    gamma: float = Field(0.95, ge=0, le=1)
    alpha: float = Field(0.05, gt=0)
    syncs: int = Field(8, ge=1)


@dataclass(frozen=True)
class Decision:
    """A place that was filled or stayed empty: case None is nothing. `later`: the state of the episode's next recall
    and the cases that had a place there, None at the last."""

    episode: str
    state: str
    case: str | None
    reward: float
    weight: float = 1.0
    later: tuple[str, tuple[str, ...]] | None = None


def decisions(labels: Iterable[CaseLabel]) -> tuple[Decision, ...]:
    """What was decided at each randomised place, in order. The reward, 1 for an episode that succeeded, comes at its
    last recall."""
    rounds: dict[str, dict[int, list[CaseLabel]]] = {}
    for label in labels:
        rounds.setdefault(label.episode, {}).setdefault(label.number, []).append(label)
    found = []
    for asked in (list(numbered.values()) for numbered in rounds.values()):
        for mine, next_one in zip(asked, [*asked[1:], None], strict=True):
            later = None if next_one is None else (next_one[0].query, tuple(one.item_id for one in next_one))
            for one in mine:
                case = one.item_id if one.shown else None
                reward = float(one.success) if later is None else 0.0
                found.append(Decision(one.episode, one.query, case, reward, one.weight, later))
    return tuple(found)


def fit_soft_q(
    data: Sequence[Decision], vectors: Mapping[str, Floats], settings: SoftQSettings | None = None, *, seed: int
) -> Head:
    """vectors: by query, and by item id, its unit vector [d]. Raises `ValueError` without decisions."""
    import torch

    settings = settings or SoftQSettings()
    if not data:
        raise ValueError("a head needs decisions")
    zero = np.zeros_like(next(iter(vectors.values())))
    with one_thread():
        net = Net.make(len(zero), settings, seed=seed)
        states = torch.from_numpy(np.stack([vectors[one.state] for one in data]))
        cases = torch.from_numpy(np.stack([zero if one.case is None else vectors[one.case] for one in data]))
        weights = np.array([one.weight for one in data], np.float32)
        weight = torch.from_numpy(weights / weights.mean())
        steps = settings.epochs * settings.syncs * -(-len(data) // settings.batch)
        targets = torch.empty(0)
        for step, batch in enumerate(net.batches(len(data), settings, steps)):
            if step % -(-steps // settings.syncs) == 0:
                targets = torch.from_numpy(soft_targets(net.head("value"), data, vectors, settings))
            error = net(states[batch], cases[batch]) - targets[batch]
            net.step((weight[batch] * error**2).mean())
        return net.head("value")


def soft_targets(
    head: Head, data: Sequence[Decision], vectors: Mapping[str, Floats], settings: SoftQSettings
) -> Floats:
    """[n] right sides of the equation, under a head."""
    zero = np.zeros((1, head.dimension), np.float32)
    values: dict[tuple[str, tuple[str, ...]], float] = {}
    found = np.empty(len(data), np.float32)
    for place, one in enumerate(data):
        found[place] = one.reward
        if one.later is None:
            continue
        if one.later not in values:
            state, choices = one.later
            cases = np.concatenate([zero, *(vectors[key][None] for key in choices)])
            values[one.later] = soft_value(head.q(vectors[state], cases), settings.alpha)
        found[place] += settings.gamma * values[one.later]
    return found


def soft_value(q: Floats, alpha: float) -> float:
    """alpha log sum exp(Q / alpha), without overflow."""
    raised = q.astype(np.float64) / alpha
    return float(alpha * (raised.max() + np.log(np.exp(raised - raised.max()).sum())))
