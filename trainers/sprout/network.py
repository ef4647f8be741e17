"""sprout's shape, and a forward pass over its weights that is faster than the library's on a CPU: matrices in bfloat16,
all else in float32, the same result. The weights themselves stay those of a transformers model.
"""

from typing import Any

from pydantic import Field

from wisen.core.records import Record


class Shape(Record):
    """A Qwen3 (queries and keys normalised, arXiv 2505.09388): tolerates higher rates than a Llama."""

    vocab_size: int = Field(2560, ge=600)
    hidden: int = 192
    layers: int = 5
    heads: int = 4
    feed_forward: int = 512
    context: int = 2048


def build(shape: Shape, tokenizer: Any, *, seed: int) -> Any:
    """The model, randomly initialised."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.hidden // shape.heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        initializer_range=0.04,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config)


def hidden_states(model: Any, ids: Any, positions: Any, sees: Any) -> Any:
    """[rows, length, hidden] after the last norm. sees: [rows, 1, length, length] booleans."""
    import torch
    from torch.nn import functional as F

    config = model.config
    heads, width = config.num_attention_heads, config.head_dim
    rows, length = ids.shape
    low = torch.bfloat16
    base = model.model
    x = base.embed_tokens.weight[ids]
    cos, sin = _rotary(positions, width, low)
    mask = torch.zeros(sees.shape, dtype=low).masked_fill(~sees, -30_000.0)
    for layer in base.layers:
        attention, mlp = layer.self_attn, layer.mlp
        h = F.rms_norm(x, (x.shape[-1],), layer.input_layernorm.weight, 1e-6).to(low)
        weight = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).to(low)
        q, k, v = (h @ weight.t()).view(rows, length, 3, heads, width).unbind(2)
        q = _turned(F.rms_norm(q, (width,), attention.q_norm.weight.to(low), 1e-6).transpose(1, 2), cos, sin)
        k = _turned(F.rms_norm(k, (width,), attention.k_norm.weight.to(low), 1e-6).transpose(1, 2), cos, sin)
        o = F.scaled_dot_product_attention(q, k, v.transpose(1, 2), attn_mask=mask)
        o = o.transpose(1, 2).reshape(rows, length, heads * width)
        x = x + (o @ attention.o_proj.weight.to(low).t()).float()
        h = F.rms_norm(x, (x.shape[-1],), layer.post_attention_layernorm.weight, 1e-6).to(low)
        gate, up = (h @ torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).to(low).t()).chunk(2, -1)
        x = x + ((F.silu(gate) * up) @ mlp.down_proj.weight.to(low).t()).float()
    return F.rms_norm(x, (x.shape[-1],), base.norm.weight, 1e-6)


def _rotary(positions: Any, width: int, dtype: Any) -> tuple[Any, Any]:
    import torch

    rates = 10_000.0 ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = positions[:, None, :, None].float() * rates
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _turned(x: Any, cos: Any, sin: Any) -> Any:
    import torch

    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * sin
