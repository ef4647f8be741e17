"""One text on its way from prompt to last token: what is drawn, how it reads, and when it ends."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wisen.core.errors import ModelFault
from wisen.models.constraint import Choosing, Constraint
from wisen.models.engine.jobs import Scores, Taken
from wisen.models.sampling import Sampling, draw
from wisen.models.trie import ROOT
from wisen.models.vocabulary import TextStream, Vocabulary


@dataclass(frozen=True)
class Scored:
    """A token, the bytes it stands for, and its log-probability."""

    id: int
    piece: bytes
    logprob: float


@dataclass(frozen=True)
class Generated:
    """One sampled token. text: what became certain with it, perhaps nothing. top: the most probable tokens in its
    place. entropy: of the distribution that it was sampled from, in nats. finish: on the last one, "stop" or
    "length"."""

    token: Scored
    text: str
    top: tuple[Scored, ...] = ()
    entropy: float = 0.0
    finish: str = ""


class Decoding:
    """A text as a job of the engine (`wisen.models.engine.jobs.Job`): what it draws goes to `tell`, in the asker's
    thread. Options are drawn along their tree, all from one pass; of what a grammar forces nothing is computed."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        width: int,
        prompt_ids: tuple[int, ...],
        sampling: Sampling,
        limit: int,
        constraint: Constraint | None,
        *,
        owner: str = "",
        tell: Callable[[Generated | ModelFault], None],
    ) -> None:
        import torch

        self.prompt, self.owner = prompt_ids, owner
        self.tree = constraint.tree if isinstance(constraint, Choosing) else None
        self.room = limit if self.tree is None else len(self.tree.tokens)
        self.pending: list[int] = []
        self.done = self.gone = False
        self.seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        self.count = 0
        self._vocabulary, self._width = vocabulary, width
        self._sampling, self._limit, self._constraint = sampling, limit, constraint
        self._generator = torch.Generator().manual_seed(self.seed)
        self._admitted: NDArray[np.bool_] | None = None
        self._text = TextStream(sampling.stop)
        self._known = 0  # characters of the constraint's text that were passed on
        self._told: list[Generated | ModelFault] = []
        self._tell = tell

    def begin(self) -> None:
        if self.tree is None:
            self._forced()

    def admitted(self) -> NDArray[np.bool_] | None:
        return self._admitted

    def take(self, result: Taken | Scores) -> None:
        if isinstance(result, Scores):
            self._walk(result)
            return
        if result.best < 0:
            raise ModelFault(
                "the model's output is not a number", "its weights may be damaged, or its dtype too narrow"
            )
        import torch

        greedy = self._sampling.temperature == 0
        token = result.best if greedy else draw(result.logprobs, self._sampling, self._generator)
        top: list[tuple[int, float]] = []
        if self._sampling.top_logprobs:
            values, order = torch.topk(result.logprobs, min(self._sampling.top_logprobs, len(result.logprobs)))
            pairs = zip(order.tolist(), values.tolist(), strict=True)
            top = [pair for pair in pairs if pair[1] > float("-inf")]
        self._taken(token, float(result.logprobs[token]), top, result.entropy)
        self._forced()

    def fail(self, fault: ModelFault) -> None:
        self._told.append(fault)
        self.done = True

    def deliver(self) -> None:
        told, self._told = self._told, []
        for each in told:
            self._tell(each)

    def _forced(self) -> None:
        """Take what the constraint leaves no choice about."""
        while self._constraint is not None and not self.done:
            self._admitted = self._constraint.admitted(self._width)
            if self._admitted.sum() != 1:
                return
            token = int(self._admitted.argmax())
            self._taken(token, 0.0, [(token, 0.0)][: self._sampling.top_logprobs], 0.0)

    def _walk(self, scores: Scores) -> None:
        """From the root of the options' tree to the end of one of them."""
        import torch

        assert self.tree is not None
        every, node = self.tree.logprobs(scores.logits), ROOT
        while not self.done:
            children = self.tree.children[node]
            logprobs = torch.from_numpy(every[list(children)])
            place = draw(logprobs, self._sampling, self._generator)
            ranked = sorted(
                ((self.tree.tokens[child], float(every[child])) for child in children), key=lambda pair: -pair[1]
            )
            entropy = float(torch.special.entr(logprobs.exp()).sum())
            node = children[place]
            self._taken(self.tree.tokens[node], float(every[node]), ranked[: self._sampling.top_logprobs], entropy)

    def _taken(self, token: int, logprob: float, top: Sequence[tuple[int, float]], entropy: float) -> None:
        self.count += 1
        self.pending.append(token)
        ended = token in self._vocabulary.ends
        if self._constraint is not None:
            self._constraint.take(token)
            ended = ended or self._constraint.done
        text = self._new_text(token)
        finish = "stop" if ended or self._text.stopped else "length" if self.count >= self._limit else ""
        if finish:
            text += self._text.flush()
            self.done = True
        shown = tuple(self._scored(*pair) for pair in top)
        self._told.append(Generated(self._scored(token, logprob), text, shown, entropy, finish))

    def _new_text(self, token: int) -> str:
        known = self._constraint.text if self._constraint is not None else None
        if known is None:
            return self._text.push(self._vocabulary.shown(token))
        new, self._known = known[self._known :], len(known)
        return self._text.push_text(new)

    def _scored(self, token: int, logprob: float) -> Scored:
        return Scored(token, self._vocabulary.piece(token), logprob)


class Generation:
    """A text in progress: iterate over it for its tokens, and leave with `aclose` (or `contextlib.aclosing`)."""

    def __init__(self, leave: Callable[[Decoding], None]) -> None:
        self.decoding: Decoding
        self._leave = leave
        self._arrived: asyncio.Queue[Generated | ModelFault] = asyncio.Queue()
        self._ended = False

    @property
    def prompt_ids(self) -> tuple[int, ...]:
        return self.decoding.prompt

    @property
    def seed(self) -> int:
        """The request's seed, or the one that was drawn for it."""
        return self.decoding.seed

    def put(self, item: Generated | ModelFault) -> None:
        self._arrived.put_nowait(item)

    def __aiter__(self) -> AsyncIterator[Generated]:
        return self

    async def __anext__(self) -> Generated:
        if self._ended:
            raise StopAsyncIteration
        item = await self._arrived.get()
        if isinstance(item, ModelFault):
            self._ended = True
            raise item
        self._ended = bool(item.finish)
        return item

    async def aclose(self) -> None:
        self._leave(self.decoding)
