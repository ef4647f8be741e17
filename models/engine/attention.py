"""Attention over the arena, registered with transformers: every piece of a pass attends to its own sequence alone.

One call per piece, in a shape that only its own place in its sequence decides: what a request gets is the same, bit for
bit, whatever else is in the pass.
"""

from dataclasses import dataclass, field
from typing import Any

from wisen.core.errors import SettingsError
from wisen.models.engine.arena import Arena

NAME = "wisen"


@dataclass(frozen=True, eq=False)
class Span:
    """Rows [first, first + size) of a pass, which attend to the places [start, start + length) of the arena.

    mask: [size, length], 0 where a row may look and -inf elsewhere; None where it may look at all. positions: of the
    keys, and, as its last `size`, of the rows.
    """

    first: int
    size: int
    start: int
    length: int
    mask: Any
    positions: Any
    masks: dict[tuple[int, int], Any] = field(default_factory=dict)  # by (heads per key head, window)

    def mask_of(self, group: int, window: int) -> Any:
        """The mask of rows that are repeated for each head of a group, narrowed to a sliding window (0: none)."""
        if (group, window) not in self.masks:
            mask = self.mask
            if window and self.length > window:
                far = self.positions[None, :] <= self.positions[-self.size :, None] - window
                mask = mask.masked_fill(far, float("-inf"))
            self.masks[group, window] = mask.repeat(group, 1) if group > 1 else mask
        return self.masks[group, window]


@dataclass(frozen=True, eq=False)
class Plan:
    """What the attention of one pass needs: where new keys go (one place per row), and who looks where."""

    arena: Arena
    places: Any
    spans: list[Span]
    rows: int


def register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, lambda *args, **kwargs: None)


def attend(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Any = None,
    wisen_plan: Plan | None = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """query [1, heads, rows, d], key and value [1, key heads, rows, d]; gives [1, rows, heads, d]."""
    import torch

    if wisen_plan is None or kwargs.get("position_bias") is not None:
        raise SettingsError("this architecture computes attention in a way of its own", "it cannot be served here")
    keys, values = wisen_plan.arena.store(module.layer_idx, key, value, wisen_plan.places)
    heads, group = query.shape[1], query.shape[1] // key.shape[1]
    plain = softcap is None and s_aux is None
    parts, done = [], 0
    for span in wisen_plan.spans:
        start, length = span.start, span.length
        window = sliding_window or 0
        if span.mask is None and window and length > window:
            start, length, window = start + length - window, window, 0
        q = query.narrow(2, span.first, span.size)
        if group > 1:
            q = q.reshape(1, heads // group, group * span.size, -1)
        k, v = keys.narrow(2, start, length), values.narrow(2, start, length)
        mask = None if span.mask is None else span.mask_of(group, window)
        if plain:
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling)
        else:
            out = _spelt_out(q, k, v, mask, scaling, softcap, s_aux)
        parts.append(out.reshape(heads, span.size, -1).transpose(0, 1))
        done = span.first + span.size
    if done < wisen_plan.rows:
        parts.append(parts[0].new_zeros(wisen_plan.rows - done, *parts[0].shape[1:]))
    return torch.cat(parts)[None], None


def _spelt_out(q: Any, k: Any, v: Any, mask: Any, scaling: float | None, softcap: float | None, sinks: Any) -> Any:
    """Attention with capped scores (Gemma 2) or with a sink per head (gpt-oss), which torch's own has not."""
    import torch

    scores = torch.matmul(q, k.transpose(2, 3)) * (scaling if scaling is not None else q.shape[-1] ** -0.5)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if mask is not None:
        scores = scores + mask
    if sinks is None:
        return torch.matmul(torch.softmax(scores.float(), dim=-1).to(q.dtype), v)
    each = sinks.reshape(1, k.shape[1], -1, 1).repeat_interleave(q.shape[2] * k.shape[1] // sinks.numel(), dim=2)
    weights = torch.softmax(torch.cat([scores, each.to(scores.dtype)], dim=-1).float(), dim=-1)[..., :-1]
    return torch.matmul(weights.to(q.dtype), v)
