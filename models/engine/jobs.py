"""What is asked of the engine, besides text: the probabilities of given answers, and hidden states."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wisen.core.errors import ModelFault
from wisen.models.trie import TokenTree

R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Taken:
    """What the model says of the next token, under a constraint if there is one: [vocabulary] log-probabilities, their
    entropy in nats, and the most probable token."""

    logprobs: Any
    entropy: float
    best: int


class Job(Protocol):
    """A request as the scheduler sees it. `begin`, `take` and `fail` run in the computing thread, `deliver` in that of
    the one who asked.

    owner: the adapter, "" for none. room: how many tokens may come after the prompt. tree: options to be read after the
    prompt, all at once. pending: tokens that were chosen and not read yet. done: nothing more is to be computed.
    """

    prompt: tuple[int, ...]
    owner: str
    room: int
    tree: TokenTree | None
    pending: list[int]
    done: bool
    gone: bool

    def begin(self) -> None: ...

    def admitted(self) -> NDArray[np.bool_] | None:
        """[vocabulary] which tokens may come next; None: all."""
        ...

    def take(self, result: Any) -> None:
        """`Taken` for the next token; for a tree its `Scores`; for a job that wants states, these [d]."""
        ...

    def fail(self, fault: ModelFault) -> None: ...

    def deliver(self) -> None: ...


@dataclass(frozen=True, eq=False)
class Scores:
    """Of each node of a tree: the logit of its token, and the log of the sum over the whole vocabulary in its place."""

    logits: NDArray[np.float64]
    totals: NDArray[np.float64]


class _Once:
    """A job that ends with the pass that reads the end of its prompt."""

    tree: TokenTree | None = None
    room = 0
    states = False

    def __init__(self, prompt: Sequence[int], owner: str) -> None:
        self.prompt, self.owner = tuple(prompt), owner
        self.pending: list[int] = []
        self.done = self.gone = False
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._outcome: Any = None

    def begin(self) -> None:
        return None

    def admitted(self) -> None:
        return None

    def take(self, result: Any) -> None:
        self._outcome, self.done = result, True

    def fail(self, fault: ModelFault) -> None:
        self._outcome, self.done = fault, True

    def deliver(self) -> None:
        if self.answer.done() or not self.done:
            return
        if isinstance(self._outcome, ModelFault):
            self.answer.set_exception(self._outcome)
        else:
            self.answer.set_result(self._outcome)


class TreeJob(_Once):
    """All options after a prompt, in one pass over their tree. `answer` is a future of `Scores`."""

    def __init__(self, prompt: Sequence[int], owner: str, tree: TokenTree) -> None:
        super().__init__(prompt, owner)
        self.tree, self.room = tree, len(tree.tokens)


class StateJob(_Once):
    """The last layer's state at the end of a prompt. `answer` is a future of a [d] float32 array."""

    states = True
