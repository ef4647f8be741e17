"""Fitting the head. On the CPU, about a second for thousands of labels; equal data and seed give equal weights."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from wisen.core.records import Record
from wisen.memory.parametric.head import Floats, Head, Kind
from wisen.memory.parametric.labels import CaseLabel

if TYPE_CHECKING:
    import torch


class HeadSettings(Record):
    """hidden: width. epochs: passes over the data. rate: of AdamW, falling to 0 along a cosine. decay: its weight
    decay. batch: rows of one step."""

    hidden: int = Field(32, ge=1)
    epochs: int = Field(6, ge=1)
    rate: float = Field(2e-3, gt=0)
    decay: float = Field(0.5, ge=0)
    batch: int = Field(128, ge=1)


@dataclass(frozen=True)
class Examples:
    """states, cases: [n, d]; a case of zeros is nothing. targets: [n], in [0, 1]. weights: [n], above 0."""

    states: Floats
    cases: Floats
    targets: Floats
    weights: Floats

    def __len__(self) -> int:
        return len(self.targets)


def examples(labels: Sequence[CaseLabel], vectors: Mapping[str, Floats]) -> Examples:
    """vectors: by query, and by item id, its unit vector [d]."""
    zero = np.zeros_like(next(iter(vectors.values())))
    return Examples(
        states=np.stack([vectors[one.query] for one in labels]),
        cases=np.stack([vectors[one.item_id] if one.shown else zero for one in labels]),
        targets=np.array([one.success for one in labels], np.float32),
        weights=np.array([one.weight for one in labels], np.float32),
    )


def fit(data: Examples, settings: HeadSettings | None = None, *, seed: int) -> Head:
    """Q(s, c) = P(success | s, c) by binary cross-entropy (single step). Raises `ValueError` without examples."""
    import torch

    settings = settings or HeadSettings()
    if not len(data):
        raise ValueError("a head needs examples")
    with one_thread():
        net = Net.make(data.states.shape[1], settings, seed=seed)
        rows = [torch.from_numpy(np.ascontiguousarray(part)) for part in (data.states, data.cases, data.targets)]
        weights = torch.from_numpy(data.weights / data.weights.mean())
        loss = torch.nn.functional.binary_cross_entropy_with_logits
        steps = settings.epochs * -(-len(data) // settings.batch)
        for batch in net.batches(len(data), settings, steps):
            states, cases, targets = (part[batch] for part in rows)
            net.step(loss(net(states, cases), targets, weight=weights[batch]))
        return net.head("probability")


class Net:
    """The head while it is trained. Made inside `one_thread`."""

    def __init__(self, parts: "list[torch.Tensor]", settings: HeadSettings, generator: "torch.Generator") -> None:
        import torch

        self._parts = [part.requires_grad_() for part in parts]
        self._generator = generator
        self._optimiser = torch.optim.AdamW(self._parts, lr=settings.rate, weight_decay=settings.decay, fused=True)
        self._scale = float(parts[0].shape[1] ** 0.5)

    @classmethod
    def make(cls, dimension: int, settings: HeadSettings, *, seed: int) -> "Net":
        import torch

        generator = torch.Generator().manual_seed(seed)
        hidden = settings.hidden
        first = torch.randn(2, hidden, dimension, generator=generator) / (2 * dimension) ** 0.5
        out = torch.randn(hidden, generator=generator) / hidden**0.5
        parts = [first[0].clone(), first[1].clone(), torch.zeros(hidden), out, torch.zeros(())]
        return cls(parts, settings, generator)

    def __call__(self, states: "torch.Tensor", cases: "torch.Tensor") -> "torch.Tensor":
        """[n] for [n, d] states and cases."""
        import torch

        state_in, case_in, bias_in, out, bias_out = self._parts
        hidden = torch.tanh((states @ state_in.T + cases @ case_in.T) * self._scale + bias_in)
        return hidden @ out + bias_out

    def batches(self, n: int, settings: HeadSettings, steps: int) -> "Iterator[torch.Tensor]":
        """`steps` batches of row numbers, in new order at each pass, with a rate that falls along a cosine."""
        import torch

        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimiser, steps)
        done = 0
        while done < steps:
            order = torch.randperm(n, generator=self._generator)
            for batch in (order[start : start + settings.batch] for start in range(0, n, settings.batch)):
                if done == steps:
                    return
                yield batch
                schedule.step()
                done += 1

    def step(self, loss: "torch.Tensor") -> None:
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def head(self, kind: Kind) -> Head:
        state_in, case_in, bias_in, out, bias_out = (part.detach().numpy().copy() for part in self._parts)
        return Head(state_in, case_in, bias_in, out, bias_out, kind=kind)


@contextmanager
def one_thread() -> Iterator[None]:
    """torch sums in another order with another number of threads; a head shall not depend on it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
