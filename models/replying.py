"""From what the engine computed to a reply. Pure."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from wisen.core.ids import content_id, derived_seed
from wisen.core.records import Choice, ModelReply, ModelRequest, SampledTokens, Usage
from wisen.models.decoding import Generated
from wisen.models.engine.jobs import Scores
from wisen.models.spanning import Ranges
from wisen.models.toolcalls import FreeReply, gathered
from wisen.models.trie import TokenTree


def chosen(
    request: ModelRequest, prompt: tuple[int, ...], ranges: Ranges, tree: TokenTree, scores: Scores
) -> ModelReply:
    """The option taken, with every option's log-probability under constrained decoding."""
    nodes = tree.logprobs(scores.logits)
    options = np.array([nodes[list(path)].sum() for path in tree.paths])
    index, explored = pick(options, request)
    path = tree.paths[index]
    return ModelReply(
        text=request.options[index],
        choice=Choice(logprobs=tuple(round(float(value), 6) for value in options), index=index, explored=explored),
        tokens=SampledTokens(
            prompt_ids=prompt,
            span_ranges=ranges,
            sampled_ids=tuple(tree.tokens[node] for node in path),
            logprobs=tuple(round(float(nodes[node]), 6) for node in path),
            entropies=tuple(round(_entropy(nodes[list(tree.children[tree.parents[node]])]), 6) for node in path),
            allowed=tree.allowed(path),
        ),
        usage=Usage(prompt_tokens=len(prompt), completion_tokens=len(path)),
    )


def written(request: ModelRequest, prompt: tuple[int, ...], ranges: Ranges, tokens: Sequence[Generated]) -> ModelReply:
    """The text as it was written, and the calls in it where tools were offered."""
    text = "".join(each.text for each in tokens)
    finish = tokens[-1].finish
    calls: tuple[Any, ...] = ()
    if request.tools:
        reader = FreeReply(
            [tool.name for tool in request.tools],
            lambda index: "call_" + content_id("", prompt, request.seed, index).lstrip("-"),
        )
        text, calls = gathered([*reader.push(text), *reader.flush()])
    return ModelReply(
        text=text,
        tool_calls=calls,
        tokens=SampledTokens(
            prompt_ids=prompt,
            span_ranges=ranges,
            sampled_ids=tuple(each.token.id for each in tokens),
            logprobs=tuple(round(each.token.logprob, 6) for each in tokens),
            entropies=tuple(round(each.entropy, 6) for each in tokens),
        ),
        usage=Usage(prompt_tokens=len(prompt), completion_tokens=len(tokens)),
        finish_reason="tool_calls" if calls and finish == "stop" else finish,
    )


def pick(logprobs: Any, request: ModelRequest) -> tuple[int, bool]:
    """(index, explored): the option taken. `explore` is the share of draws that are uniform; temperature 0 takes the
    most probable, the first of equals; else option i has probability proportional to exp(logprob_i / temperature)."""
    draw = random.Random(derived_seed(request.seed, "pick"))
    if request.explore > 0 and draw.random() < request.explore:
        return draw.randrange(len(logprobs)), True
    if request.temperature <= 0:
        return int(np.argmax(logprobs)), False
    weights = np.exp((logprobs - logprobs.max()) / request.temperature)
    return draw.choices(range(len(weights)), weights=weights.tolist())[0], False


def _entropy(logprobs: Any) -> float:
    return float(-(np.exp(logprobs) * logprobs).sum()) + 0.0
