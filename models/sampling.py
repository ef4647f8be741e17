"""How the next token is drawn. Pure: the same logits, settings and generator state give the same token."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from wisen.core.records import Record

MAX_TOP_LOGPROBS = 20


class Sampling(Record):
    """temperature 0 takes the most probable token. top_p: draw from the smallest set of tokens that holds this much
    probability. seed: None draws one. max_tokens: None is what the context has room for. stop: texts that end the
    reply, not part of it. top_logprobs: how many alternatives are reported for each token."""

    temperature: float = Field(1.0, ge=0, le=100)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    max_tokens: int | None = Field(None, ge=1)
    stop: tuple[str, ...] = ()
    top_logprobs: int = Field(0, ge=0, le=MAX_TOP_LOGPROBS)


def distributions(logits: Any, admitted: Sequence[Any]) -> tuple[Any, list[float], list[int]]:
    """For each row of [rows, vocabulary] logits, under the [vocabulary] mask beside it (None: all are admitted): its
    log-probabilities in float32 on the CPU, their entropy in nats, and the most probable token. That is the
    distribution that is sampled from before temperature and top_p. A row whose logits are no numbers has a best of -1.
    """
    import torch

    logits = logits.float().cpu()
    if any(mask is not None for mask in admitted):
        every = np.ones(logits.shape[1], dtype=np.bool_)
        masks = np.stack([every if mask is None else mask for mask in admitted])
        logits = logits.masked_fill(~torch.from_numpy(masks), float("-inf"))
    top, best = logits.max(dim=-1)
    best = best.masked_fill(~torch.isfinite(top), -1)
    logprobs = torch.log_softmax(logits, dim=-1)
    entropies = torch.special.entr(logprobs.exp()).sum(dim=-1)
    return logprobs, entropies.tolist(), best.tolist()


def draw(logprobs: Any, sampling: Sampling, generator: Any) -> int:
    """The token taken."""
    import torch

    if sampling.temperature == 0:
        return int(torch.argmax(logprobs))
    # The best is moved to 0 first: a tiny temperature then leaves it alone instead of overflowing.
    weights = torch.softmax((logprobs - logprobs.max()).double() / sampling.temperature, dim=-1)
    if sampling.top_p < 1:
        ordered, order = torch.sort(weights, descending=True, stable=True)
        before = torch.cumsum(ordered, dim=-1) - ordered
        weights = weights.masked_fill(
            torch.zeros_like(weights, dtype=torch.bool).scatter(0, order, before >= sampling.top_p), 0.0
        )
    return int(torch.multinomial(weights, 1, generator=generator))
