"""A tiny random Llama with a byte-level BPE tokenizer and a chat template that knows tools: it says nonsense, in every
format that is asked of it."""

from pathlib import Path

END = "<|end|>"
TEMPLATE = (
    "{% if tools %}<|system|>tools: {% for tool in tools %}{{ tool.function | tojson }} {% endfor %}"
    + END
    + "{% endif %}"
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}"
    + END
    + "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TEXTS = [
    "The quick brown fox jumps over the lazy dog. Press the blue button, then type a name.",
    'click button "Submit" and wait; Zürich, naïve, 日本語 🙂 {"name": "click", "arguments": {"ref": "b1"}}',
] * 8


def build_talker(
    folder: Path, *, template: str | None = TEMPLATE, context: int = 256, seed: int = 3, hidden: int = 32
) -> Path:
    """A checkpoint of about 40,000 parameters. Its logits are sharp enough that a seed decides what it says."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = [END, "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
    core.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=END, chat_template=template)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + 5,  # as real ones, a few rows more than tokens
        hidden_size=hidden,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.3,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
