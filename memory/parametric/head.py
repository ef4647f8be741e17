"""The head: two layers over [state] and [case + plan]. Needs numpy only; a recall loads no torch."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Kind = Literal["probability", "value"]


@dataclass(frozen=True)
class Head:
    """Q of showing a case in a state; d is the embedder's dimension, h the hidden width.

    state_in, case_in: [h, d]. bias_in, out: [h]. bias_out: []. Showing nothing is the case whose vector is zero, which
    no text has. kind: `probability`, whose Q is a chance of success (the two layers give its log-odds), or `value`,
    whose Q is a soft return.
    """

    state_in: Floats
    case_in: Floats
    bias_in: Floats
    out: Floats
    bias_out: Floats
    kind: Kind = "probability"

    @property
    def dimension(self) -> int:
        return int(self.state_in.shape[1])

    def raw(self, states: Floats, cases: Floats) -> Floats:
        """[n] log-odds, or values, for [n, d] (or [1, d]) states and [n, d] cases."""
        hidden = np.tanh((states @ self.state_in.T + cases @ self.case_in.T) * _scale(self) + self.bias_in)
        return np.asarray(hidden @ self.out + self.bias_out, np.float32)

    def q(self, state: Floats, cases: Floats) -> Floats:
        """[n] Q of showing each of the [n, d] cases in the state [d]."""
        raw = self.raw(state[None], cases)
        return raw if self.kind == "value" else np.asarray(1 / (1 + np.exp(-raw)), np.float32)

    def nothing(self, state: Floats) -> float:
        """Q of showing nothing in the state."""
        return float(self.q(state, np.zeros((1, self.dimension), np.float32))[0])

    def gain(self, states: Floats, cases: Floats) -> Floats:
        """[n] what each case adds to its state over showing nothing, in log-odds, or in value."""
        return self.raw(states, cases) - self.raw(states, np.zeros_like(cases[:1]))


def _scale(head: Head) -> np.float32:
    """Unit vectors have coordinates of 1 / sqrt(d); layers learn best from about 1."""
    return np.float32(head.dimension**0.5)


def policy(q: Floats, temperature: float) -> NDArray[np.float64]:
    """[n] softmax(Q / temperature): with which probability each case is chosen. Raises `ValueError` unless the
    temperature is above 0."""
    if temperature <= 0:
        raise ValueError(f"a temperature lies above 0, not at {temperature}")
    raised = np.exp((q.astype(np.float64) - q.max()) / temperature)
    return np.asarray(raised / raised.sum())
