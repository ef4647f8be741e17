"""A real causal language model of half a million parameters, built from a seed on the spot.

It knows nothing: what it learns it learns from its own episodes. It exists so that the whole loop runs for real without
a key, a GPU or a hub.
"""

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from wisen.core.records import Record
from wisen.models.quiet import quiet_transformers
from wisen.models.tokens import train_tokenizer


class TinyShape(Record):
    """A Llama's shape (Touvron et al. 2023, arXiv 2302.13971)."""

    vocab_size: int = Field(1024, ge=300)
    hidden_size: int = Field(128, ge=16)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    feed_forward: int = Field(384, ge=16)
    context: int = Field(1024, ge=128)
    initializer_range: float = Field(0.06, gt=0)  # 0.02, the usual one, learns markedly slower at this width


def build_tiny(folder: Path, texts: Iterable[str], shape: TinyShape, *, seed: int) -> int:
    """Write a randomly initialised Llama and a tokenizer trained on `texts` to `folder`, in the transformers format.
    Returns the number of parameters. Same texts, shape and seed: same files. The folder appears whole or not at all;
    one that is there already is replaced."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    quiet_transformers()
    tokenizer = train_tokenizer(texts, shape.vocab_size)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        initializer_range=shape.initializer_range,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    scratch = folder.with_name(folder.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    model.save_pretrained(scratch)
    tokenizer.save_pretrained(scratch, save_jinja_files=False)  # its template in the file that every checkpoint copies
    recipe = {
        "algorithm": "random initialisation",
        "seed": seed,
        "shape": shape.model_dump(),
        "parameters": model.num_parameters(),
    }
    (scratch / "card.json").write_text(json.dumps({"parent": None, "recipe": recipe}, indent=2, sort_keys=True) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(scratch, folder)
    return int(model.num_parameters())
