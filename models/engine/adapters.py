"""LoRA adapters (Hu et al. 2021, arXiv 2106.09685) from folders in PEFT's format, read without importing PEFT.

PEFT takes seconds to import, and switches a whole model from one adapter to another; here several serve in one pass.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wisen.core.errors import SettingsError

_PREFIX = "base_model.model."
# What would change the result and is not computed here, with the value that leaves it out.
_NEUTRAL: Mapping[str, Any] = {
    "use_dora": False,
    "bias": "none",
    "modules_to_save": None,
    "alpha_pattern": {},
    "lora_bias": False,
    "trainable_token_indices": None,
    "target_parameters": None,
    "layer_replication": None,
    "alora_invocation_tokens": None,
    "arrow_config": None,
}


def read_adapter(folder: Path) -> dict[str, tuple[Any, Any, float]]:
    """(A [r, in], B [out, r], scale) by the name of the layer that scale·B·A is added to. Raises `SettingsError`."""
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / "adapter_config.json").read_text())
        weights = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"could not read the adapter {folder}: {error}", "PEFT's save_pretrained writes it"
        ) from error
    except Exception as error:  # safetensors has an exception of its own for a damaged file
        raise SettingsError(f"could not read the adapter {folder}: {error}", "its weights are damaged") from error
    if config.get("peft_type") != "LORA":
        raise SettingsError(f"{folder} is no LoRA adapter but {config.get('peft_type')}", "only LoRA is served")
    for key, neutral in _NEUTRAL.items():
        if (config.get(key) or neutral) != neutral:
            raise SettingsError(f"the adapter {folder} uses {key}, which is not served", "merge it into its base")
    layers = {}
    for key, down in weights.items():
        name, is_down, _ = key.removeprefix(_PREFIX).partition(".lora_A.")
        if not is_down:
            if ".lora_B." not in key:
                raise SettingsError(f"the adapter {folder} holds {key}, which is no part of LoRA", "merge it instead")
            continue
        up = weights.get(key.replace(".lora_A.", ".lora_B."))
        if up is None:
            raise SettingsError(f"the adapter {folder} lacks a half of {name}")
        rank = down.shape[0]
        scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
        layers[name] = (down, up, float(scale))
    if not layers:
        raise SettingsError(f"the adapter {folder} changes nothing")
    return layers
