"""Loading a transformers causal language model for text, and saying in one line why one cannot be."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wisen.core.errors import SettingsError
from wisen.models.memory import check_room
from wisen.models.quiet import quiet_transformers

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, eq=False)
class Pretrained:
    """source: where it came from. context: how many tokens fit, None where the model does not say. ends: the ids that
    end a text. width: how many logits there are, perhaps more than tokens. takes: the names of the arguments of the
    model's forward pass."""

    source: str
    model: Any
    tokenizer: Any
    context: int | None
    ends: frozenset[int]
    width: int
    takes: frozenset[str]


def load_pretrained(source: str, *, device: str = "cpu", dtype: str = "auto") -> Pretrained:
    """Load from a folder or a hub id. dtype "auto" is the one it was saved in. Runs no code that comes with a model.
    Raises `SettingsError` for what is no causal language model, is incomplete, or does not fit the device's memory."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if dtype not in DTYPES:
        raise SettingsError(f"there is no dtype {dtype!r}", f"one of {', '.join(DTYPES)}")
    quiet_transformers()
    folder = Path(source).expanduser()
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise SettingsError(f"{source} is no model folder", "it has no config.json")
    try:
        place = str(folder) if folder.is_dir() else _fetched(source)
        check_room(Path(place), source, device, dtype)
        tokenizer = AutoTokenizer.from_pretrained(place)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            place, dtype=dtype if dtype == "auto" else getattr(torch, dtype), output_loading_info=True
        )
        model, found = loaded
        if missing := sorted(found["missing_keys"]):
            raise SettingsError(f"{source} lacks {len(missing)} of its weights", f"the first is {missing[0]}")
        model = model.to(device).eval()
    except SettingsError:
        raise
    except Exception as error:  # whatever the libraries raise for damaged files, missing hubs, unknown devices
        said = " ".join(str(error).split())
        hint = "" if folder.is_dir() else "neither a folder here nor a model of the hub that could be read"
        raise SettingsError(f"could not load {source}: {said[:300] or type(error).__name__}", hint) from error
    takes = frozenset(inspect.signature(model.forward).parameters)
    if "past_key_values" not in takes:
        raise SettingsError(f"{source} keeps no key-value cache", "models of this architecture cannot be served")
    width = int(model.get_output_embeddings().weight.shape[0])
    return Pretrained(source, model, tokenizer, _context(model, tokenizer), _ends(model, tokenizer), width, takes)


def _fetched(source: str) -> str:
    """The folder that a model of the hub is in, downloaded if it is not there yet: no code, and no pickled weights."""
    from huggingface_hub import snapshot_download

    return str(snapshot_download(source, allow_patterns=["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]))


def _context(model: Any, tokenizer: Any) -> int | None:
    text = model.config.get_text_config()
    size = getattr(text, "max_position_embeddings", None) or getattr(tokenizer, "model_max_length", None)
    return int(size) if size and size < 10**9 else None  # a tokenizer without a limit says 10**30


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    said = model.generation_config.eos_token_id if model.generation_config is not None else None
    ids = said if isinstance(said, list) else [said]
    return frozenset(index for index in (*ids, tokenizer.eos_token_id) if index is not None)
