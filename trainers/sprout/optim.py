"""Optimisers: Muon for the matrices, AdamW for the rest, at a rate that rises, stays, and falls at the very end.

Muon: K. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; torch's implementation.
"""

from typing import Any

from pydantic import Field

from wisen.core.records import Record


class Rates(Record):
    """muon, adam: learning rates at their height. warmup: steps to get there. clip: of the gradient's norm."""

    muon: float = Field(0.02, gt=0)
    adam: float = Field(3e-3, gt=0)
    decay: float = Field(0.02, ge=0)
    warmup: int = Field(60, ge=1)
    clip: float = Field(1.0, gt=0)


class Optimisers:
    """Both, as one."""

    def __init__(self, model: Any, rates: Rates) -> None:
        import torch

        self._rates = rates
        inner = [value for name, value in model.named_parameters() if value.ndim == 2 and "embed" not in name]
        known = {id(value) for value in inner}
        rest = [value for value in model.parameters() if id(value) not in known]
        self._parts: list[Any] = [
            torch.optim.Muon(inner, lr=rates.muon, weight_decay=rates.decay, momentum=0.95),
            torch.optim.AdamW(rest, lr=rates.adam, weight_decay=0.0, betas=(0.9, 0.95)),
        ]
        self._heights = (rates.muon, rates.adam)

    def step(self, number: int, share: float) -> None:
        """One step. number: of the step, from 0. share: of the full rate, for the fall at the end."""
        share *= min(1.0, (number + 1) / self._rates.warmup)
        for part, height in zip(self._parts, self._heights, strict=True):
            for group in part.param_groups:
                group["lr"] = height * share
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> list[Any]:
        return [part.state_dict() for part in self._parts]

    def load(self, states: list[Any]) -> None:
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)
