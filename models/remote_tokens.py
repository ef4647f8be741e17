"""Token ids and log-probabilities in a server's reply, where vLLM puts them: `prompt_token_ids` beside the choices,
`token_ids` in a choice, a log-probability per sampled token in `logprobs.content`. `wisen models serve` does the same.
"""

import math
from typing import Any

from wisen.core.errors import SettingsError
from wisen.core.records import SampledTokens

# vLLM writes this for a token that its sampler had ruled out.
_IMPOSSIBLE = -9999.0


def asked_tokens() -> dict[str, Any]:
    """The fields of a request that ask for them."""
    return {"logprobs": True, "extra_body": {"return_token_ids": True}}


def sampled_tokens(model: str, response: Any) -> SampledTokens:
    """What was read and sampled. Where spans lie in the prompt, and what a constraint admitted, no server tells.

    Raises `SettingsError` where the server did not send all of it: the setting would be ignored.
    """
    (choice, *_) = response.choices
    prompt: Any = getattr(response, "prompt_token_ids", None)
    ids: Any = _field(getattr(choice, "provider_specific_fields", None), "token_ids")  # where LiteLLM puts it
    entries = _field(getattr(choice, "logprobs", None), "content")
    if not _whole(prompt) or not _whole(ids):
        raise SettingsError(
            f"{model} sent no token ids",
            "vLLM from 0.10.2 on and `wisen models serve` send them; else set remote.tokens to false",
        )
    logprobs = [_field(entry, "logprob") for entry in entries or ()]
    if len(logprobs) != len(ids) or not all(_probable(value) for value in logprobs):
        raise SettingsError(
            f"{model} sent {len(logprobs)} log-probabilities for {len(ids)} tokens",
            "serve it with --logprobs-mode raw_logprobs, or set remote.tokens to false",
        )
    return SampledTokens(
        prompt_ids=tuple(prompt),
        span_ranges=(),
        sampled_ids=tuple(ids),
        logprobs=tuple(round(float(value), 6) for value in logprobs),
    )


def _field(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def _whole(ids: Any) -> bool:
    return isinstance(ids, list) and bool(ids) and all(isinstance(each, int) for each in ids)


def _probable(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and _IMPOSSIBLE < value <= 1e-3
