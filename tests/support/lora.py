"""LoRA adapters as PEFT saves them."""

from pathlib import Path
from typing import Any

TARGETS = ["q_proj", "v_proj", "down_proj", "o_proj"]


def build_adapter(base: Path, folder: Path, *, seed: int, **config: Any) -> Path:
    """A LoRA adapter as PEFT saves it, with weights that matter."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fields = {"r": 4, "lora_alpha": 8, "target_modules": TARGETS, "task_type": "CAUSAL_LM", **config}
        wrapped = get_peft_model(model, LoraConfig(**fields))
        for name, weight in wrapped.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.2)
    wrapped.save_pretrained(folder)
    return folder
