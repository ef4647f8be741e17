"""One request's way from prompt to last token: the decode loop over a key-value cache, a token at a time."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wisen.core.errors import ModelFault
from wisen.models.constraint import Constraint
from wisen.models.pretrained import Pretrained
from wisen.models.sampling import Sampling, draw, log_probabilities
from wisen.models.vocabulary import TextStream, Vocabulary

CHUNK = 512  # prompt tokens read in one turn


@dataclass(frozen=True)
class Scored:
    """A token, the bytes it stands for, and its log-probability."""

    id: int
    piece: bytes
    logprob: float


@dataclass(frozen=True)
class Generated:
    """One sampled token. text: what became certain with it, perhaps nothing. top: the most probable tokens in its
    place. finish: on the last one, "stop" or "length"."""

    token: Scored
    text: str
    top: tuple[Scored, ...] = ()
    finish: str = ""


class Decoding:
    """One request's state. `advance` is for the computing thread; the rest never changes."""

    def __init__(
        self,
        loaded: Pretrained,
        vocabulary: Vocabulary,
        prompt_ids: tuple[int, ...],
        sampling: Sampling,
        limit: int,
        constraint: Constraint | None,
    ) -> None:
        import torch
        from transformers import DynamicCache

        self.prompt_ids = prompt_ids
        self.seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        self._loaded, self._vocabulary = loaded, vocabulary
        self._sampling, self._limit, self._constraint = sampling, limit, constraint
        self._generator = torch.Generator().manual_seed(self.seed)
        self._cache: Any = DynamicCache(config=loaded.model.config)
        self._unread = list(prompt_ids)  # tokens that are not in the cache yet
        self._text = TextStream(sampling.stop)
        self._known = 0  # characters of the constraint's text that were passed on
        self._count = 0

    def advance(self) -> Generated | None:
        """The next token, or None after a piece of the prompt that is not its last."""
        import torch

        admitted = None
        if self._constraint is not None:
            admitted = self._constraint.admitted(self._loaded.width)
            if admitted.sum() == 1:  # forced: nothing to compute
                token = int(admitted.argmax())
                return self._taken(token, 0.0, ((token, 0.0),)[: self._sampling.top_logprobs])
        logits = self._read()
        if logits is None:
            return None
        logprobs = log_probabilities(logits, admitted)
        token = draw(logprobs, self._sampling, self._generator)
        values, order = torch.topk(logprobs, min(self._sampling.top_logprobs, len(logprobs)))
        pairs = zip(order.tolist(), values.tolist(), strict=True)
        return self._taken(token, float(logprobs[token]), tuple(pair for pair in pairs if pair[1] > float("-inf")))

    def _read(self) -> Any:
        """[vocabulary] logits after all tokens so far; None while there are more to read."""
        import torch

        part, self._unread = self._unread[:CHUNK], self._unread[CHUNK:]
        options = {"logits_to_keep": 1} if "logits_to_keep" in self._loaded.takes else {}
        with torch.inference_mode():
            ids = torch.tensor([part], device=self._loaded.model.device)
            out = self._loaded.model(input_ids=ids, past_key_values=self._cache, use_cache=True, **options)
        return None if self._unread else out.logits[0, -1]

    def _taken(self, token: int, logprob: float, top: Sequence[tuple[int, float]]) -> Generated:
        self._count += 1
        self._unread.append(token)
        ended = token in self._vocabulary.ends
        if self._constraint is not None:
            self._constraint.take(token)
            ended = ended or self._constraint.done
        text = self._told(token)
        finish = "stop" if ended or self._text.stopped else "length" if self._count >= self._limit else ""
        if finish:
            text += self._text.flush()
        return Generated(self._scored(token, logprob), text, tuple(self._scored(*pair) for pair in top), finish)

    def _told(self, token: int) -> str:
        known = self._constraint.text if self._constraint is not None else None
        if known is None:
            return self._text.push(self._vocabulary.shown(token))
        new, self._known = known[self._known :], len(known)
        return self._text.push_text(new)

    def _scored(self, token: int, logprob: float) -> Scored:
        return Scored(token, self._vocabulary.piece(token), logprob)


def advanced(decoding: Decoding, name: str) -> Generated | ModelFault | None:
    """A step, with what went wrong as a value."""
    try:
        return decoding.advance()
    except ModelFault as fault:
        return fault
    except Exception as error:  # whatever torch raises belongs to the one who asked, not to the others
        return ModelFault(f"{name} failed: {error}")
