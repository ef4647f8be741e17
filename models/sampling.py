"""How the next token is drawn. Pure: the same logits, settings and generator state give the same token."""

from typing import Any

from pydantic import Field

from wisen.core.errors import ModelFault
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


def log_probabilities(logits: Any, admitted: Any = None) -> Any:
    """[vocabulary] log-probabilities in float32 on the CPU, of the distribution that is sampled from before temperature
    and top_p: tokens that a constraint does not admit have none. Raises `ModelFault` for logits that are no numbers."""
    import torch

    logits = logits.float().cpu()
    if admitted is not None:
        logits = logits.masked_fill(~torch.from_numpy(admitted), float("-inf"))
    if not torch.isfinite(logits.max()):
        raise ModelFault("the model's output is not a number", "its weights may be damaged, or its dtype too narrow")
    return torch.log_softmax(logits, dim=-1)


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
