"""LoRA (Hu et al. 2021, arXiv 2106.09685) by PEFT: a small adapter is trained, and merged into the weights."""

from typing import Any

from wisen.core.errors import SettingsError


def with_lora(model: Any, rank: int) -> Any:
    """The model with an adapter of that rank beside each of its linear layers; only the adapter is trained. Raises
    `SettingsError` where PEFT is not installed."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise SettingsError("train.lora needs PEFT", "pip install 'wisen[lora]', or train.lora = 0") from error
    settings = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    wrapped: Any = get_peft_model(model, settings)
    inner = wrapped.get_base_model()  # its layers are changed in place, and it answers as a plain model does
    inner.wisen_adapter = [wrapped]  # in a list, lest it become a part of itself
    return inner


def merged_back(model: Any) -> Any:
    """A plain model with the adapter in its weights."""
    (wrapped,) = model.wisen_adapter
    del model.wisen_adapter
    return wrapped.merge_and_unload()
