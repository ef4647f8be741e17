"""What a request is answered does not depend on its neighbours, on the cache, or on how its prompt was read."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.talker import build_talker
from wisen.core.errors import ModelFault, SettingsError
from wisen.models.engine import CHUNK
from wisen.models.engine import linears as linears_module
from wisen.models.engine.arena import Arena, Lease, Prefixes, chunk_keys
from wisen.models.engine.core import Core, Result
from wisen.models.local import LocalModel
from wisen.models.sampling import Sampling

Ids = tuple[int, ...]
Told = list[tuple[int, float, float, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_talker(tmp_path_factory.mktemp("talker") / "weights", context=512)


@pytest.fixture
async def model(folder: Path) -> AsyncIterator[LocalModel]:
    talker = LocalModel.load(folder, name="talker", threads=1)
    yield talker
    await talker.close()


def noise(seed: int, count: int) -> Ids:
    return tuple(random.Random(seed).choices(range(5, 300), k=count))


async def told(model: LocalModel, prompt: Ids, seed: int = 0, **how: Any) -> Told:
    """Every token with its log-probability and entropy, as they are: no rounding."""
    generation = await model.start(prompt, Sampling(**{"temperature": 0.9, "seed": seed, "max_tokens": 10, **how}))
    return [(token.token.id, token.token.logprob, token.entropy, token.finish) async for token in generation]


async def episode(model: LocalModel, number: int, steps: int) -> list[Told]:
    """A prompt that grows by the reply to it and by what happened."""
    prompt, replies = noise(0, 37) + noise(number + 1, number % 5), []
    for step in range(steps):
        reply = await told(model, prompt, seed=step)
        replies.append(reply)
        prompt += tuple(token % 300 for token, *_ in reply) + noise(100 * number + step, 11 + step * 7)
    return replies


async def test_an_episode_says_the_same_bit_for_bit_beside_others_and_with_any_cache(model: LocalModel) -> None:
    assert model.engine.invariant
    alone = []
    for number in range(6):
        model.engine.forget()
        alone.append(await episode(model, number, 4))
    model.engine.forget()
    assert await asyncio.gather(*(episode(model, number, 4) for number in range(6))) == alone
    hits, misses = model.engine.prefix_tokens
    assert hits > misses  # steps found their prefixes, and episodes what they share
    assert await asyncio.gather(*(episode(model, number, 4) for number in (5, 3, 3, 0))) == [
        alone[number] for number in (5, 3, 3, 0)
    ]


async def test_tiles_give_the_same_where_shapes_would_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine whose matrix products depend on how many rows there are."""
    plain = linears_module._independent
    tried: list[tuple[int, ...]] = []

    def one_shape_only(layer: Any, width: int, like: Any, counts: Any) -> bool:
        tried.append(tuple(counts))
        return len(counts) == 1 and plain(layer, width, like, counts)

    monkeypatch.setattr(linears_module, "_independent", one_shape_only)
    tiled = LocalModel.load(folder, name="tiled", threads=1)
    assert tiled.engine._core.linears.tiled and tiled.engine.invariant and (CHUNK,) in tried
    shapes = set()
    linear = torch.nn.functional.linear

    def watched(states: Any, *rest: Any) -> Any:
        shapes.add(states.shape[-2])
        return linear(states, *rest)

    monkeypatch.setattr(torch.nn.functional, "linear", watched)
    alone = [await episode(tiled, number, 2) for number in range(3)]
    tiled.engine.forget()
    assert await asyncio.gather(*(episode(tiled, number, 2) for number in range(3))) == alone
    assert shapes == {CHUNK}
    await tiled.close()


async def test_a_common_prompt_is_read_once(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 0
    run = Core.run

    def counted(core: Core, pieces: Any) -> list[Result]:
        nonlocal rows
        rows += sum(len(piece.ids) for piece in pieces)
        return run(core, pieces)

    monkeypatch.setattr(Core, "run", counted)
    prompt = noise(9, 300)
    found = await asyncio.gather(*(told(model, prompt, seed=seed) for seed in range(8)))
    assert len({str(each) for each in found}) == 8
    assert rows < 300 + 8 * (2 * CHUNK + 10)


async def test_the_cache_is_bounded_and_waits_for_room(folder: Path) -> None:
    each = 2 * 2 * 2 * 8 * 4  # layers, keys and values, heads, width, bytes
    small = LocalModel.load(folder, name="small", threads=1, cache_bytes=each * 512)
    assert small.context == 512
    many = [told(small, noise(seed, 150), seed=seed) for seed in range(12)]
    found = await asyncio.gather(*many)
    small.engine.forget()
    assert found == [await told(small, noise(seed, 150), seed=seed) for seed in range(12)]
    assert all(keys.shape[2] == 512 + 3 * CHUNK for keys, _ in small.engine._core.arena._layers.values())
    await small.close()
    with pytest.raises(SettingsError, match="room for keys and values of 9 tokens only"):
        LocalModel.load(folder, name="none", threads=1, cache_bytes=each * 9)


async def test_one_that_leaves_makes_room(model: LocalModel) -> None:
    generation = await model.start(noise(1, 400), Sampling(seed=1, max_tokens=100))
    async for _ in generation:
        break
    await generation.aclose()
    assert model.running == 0
    await told(model, noise(2, 20))
    assert not model.engine._scheduler._running


async def test_a_fault_of_the_engine_s_own_reaches_all_and_passes(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = await told(model, noise(1, 40))

    def broken(prefixes: Prefixes, *given: Any) -> None:
        raise RuntimeError("no such place")

    with monkeypatch.context() as patch:
        patch.setattr(Prefixes, "take", broken)
        ends = await asyncio.gather(*(told(model, noise(seed, 40)) for seed in range(3)), return_exceptions=True)
    assert [str(end) for end in ends] == ["talker failed: no such place"] * 3
    assert model.running == 0
    assert await told(model, noise(1, 40)) == expected


async def test_given_answers_are_scored_and_states_read(model: LocalModel, folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(folder)
    prompt, answers = noise(4, 70), ["True", "False", "Perhaps not"]
    scores = await model.score(prompt, answers)
    assert sum(score.share for score in scores) == pytest.approx(1, abs=1e-6)
    for answer, score in zip(answers, scores, strict=True):
        ids = [*model.engine.loaded.tokenizer(answer, add_special_tokens=False)["input_ids"], model.vocabulary.ends[0]]
        with torch.inference_mode():
            logprobs = reference(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        assert score.logprob == pytest.approx(sum(float(logprobs[n, t]) for n, t in enumerate(ids)), abs=1e-3)
    texts = ["Press the blue button, then type a name.", "click", "Press the blue button, then type a name."]
    states = await model.embed(texts)
    assert states.shape == (3, 32) and (states[0] == states[2]).all() and (states[0] != states[1]).any()
    ids = model.engine.loaded.tokenizer(texts[0])["input_ids"]
    with torch.inference_mode():
        expected = reference.model(torch.tensor([ids])).last_hidden_state[0, -1]
    assert states[0] == pytest.approx((expected / expected.norm()).numpy(), abs=1e-4)
    assert (await model.embed(texts[1:2]) == states[1:2]).all()


SMALL: dict[str, Any] = {
    "vocab_size": 410,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "eos_token_id": 0,
    "bos_token_id": None,
    "pad_token_id": None,
}
GPT2 = {"vocab_size": 410, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.3}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "biased": ("Qwen2Config", {}),
    "normed heads": ("Qwen3Config", {}),
    "windowed": ("MistralConfig", {"sliding_window": 20}),
    "capped": ("Gemma2Config", {"sliding_window": 24, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 6.0}),
    "two windows": ("Gemma3TextConfig", {"sliding_window": 24}),
    "learned places": ("GPT2Config", {**GPT2, "eos_token_id": 0, "bos_token_id": None}),
    "sinks": ("GptOssConfig", {"sliding_window": 24, "num_local_experts": 2, "num_experts_per_tok": 1}),
}


def build_kind(talker: Path, folder: Path, config: Any) -> Path:
    from transformers import AutoModelForCausalLM

    for path in talker.iterdir():
        if "token" in path.name or "template" in path.name:
            folder.mkdir(exist_ok=True)
            (folder / path.name).write_bytes(path.read_bytes())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
async def test_other_architectures_say_what_transformers_says(kind: str, folder: Path, tmp_path: Path) -> None:
    import transformers

    name, fields = KINDS[kind]
    config = getattr(transformers, name)(**(fields if name == "GPT2Config" else {**SMALL, **fields}))
    at = build_kind(folder, tmp_path / "weights", config)
    model = LocalModel.load(at, name="kind", threads=1, dtype="float32")
    reference = transformers.AutoModelForCausalLM.from_pretrained(at, dtype=torch.float32)
    prompt = noise(3, 75)
    found = await told(model, prompt, temperature=0, max_tokens=20)
    ids = [token for token, *_ in found]
    with torch.inference_mode():
        logits = reference(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1].float()
    logprobs = logits.log_softmax(-1)
    assert [value for _, value, *_ in found] == pytest.approx(
        [float(row[token]) for row, token in zip(logprobs, ids, strict=True)], abs=1e-3
    )
    best = logprobs.max(-1).values
    assert all(float(best[place] - logprobs[place, token]) < 1e-3 for place, token in enumerate(ids))
    again = await told(model, prompt, temperature=0, max_tokens=20)
    assert again == found and model.engine.prefix_tokens[0] >= 64
    await model.close()


def test_an_architecture_that_cannot_be_served_is_one_line(folder: Path, tmp_path: Path) -> None:
    from transformers import BloomConfig, MambaConfig

    bloom = BloomConfig(vocab_size=410, hidden_size=32, n_layer=2, n_head=4)
    mamba = MambaConfig(vocab_size=410, hidden_size=32, num_hidden_layers=2, state_size=8)
    for name, config in (("bloom", bloom), ("mamba", mamba)):
        at = build_kind(folder, tmp_path / name, config)
        with pytest.raises(SettingsError, match="cannot be served") as error:
            LocalModel.load(at, name="x")
        assert "\n" not in str(error.value)


async def test_weights_that_are_no_numbers_are_one_fault(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    at = tmp_path / "nan"
    at.mkdir()
    for path in folder.iterdir():
        (at / path.name).write_bytes(path.read_bytes())
    weights = load_file(at / "model.safetensors")
    weights["model.norm.weight"] *= float("nan")
    save_file(weights, at / "model.safetensors", metadata={"format": "pt"})
    model = LocalModel.load(at, name="nan", threads=1)
    with pytest.raises(ModelFault, match="not a number"):
        await told(model, noise(1, 20))
    with pytest.raises(ModelFault, match="not a number"):
        await model.score(noise(1, 20), ["a", "b"])
    await model.close()


def test_a_model_larger_than_the_memory_is_refused_before_it_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wisen.models import memory

    needed = memory.weight_bytes(folder, "auto")
    assert needed == (folder / "model.safetensors").stat().st_size // 1000 * 1000 or needed > 50_000
    assert memory.weight_bytes(folder, "bfloat16") * 2 == needed
    assert (memory.free_bytes("cpu") or 0) > needed
    monkeypatch.setattr(memory, "free_bytes", lambda device: needed - 1)
    with pytest.raises(SettingsError, match=r"needs 0\.0 GiB for its weights, and cpu has 0\.0 GiB free"):
        LocalModel.load(folder, name="large")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_leases_never_overlap_and_hold_what_they_say(data: st.DataObject) -> None:
    arena = Arena(20 * CHUNK + CHUNK)
    prefixes = Prefixes(arena)
    held: dict[int, bytes] = {}  # what is in the cache at the place where a chunk begins
    arena.copy = lambda source, target, count: held.update(  # type: ignore[method-assign]
        {target + at: held[source + at] for at in range(0, count, CHUNK)}
    )
    running: list[tuple[Lease, tuple[bytes, ...]]] = []
    for _ in range(data.draw(st.integers(1, 25))):
        if running and data.draw(st.booleans()):
            lease, keys = running.pop(data.draw(st.integers(0, len(running) - 1)))
            lease.valid = max(lease.valid, CHUNK * data.draw(st.integers(0, len(keys))))
            held.update({lease.start + CHUNK * place: key for place, key in enumerate(keys[: lease.valid // CHUNK])})
            prefixes.release(lease)
            continue
        ids = [token for token in data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=5)) for _ in range(CHUNK)]
        ids = ids[: len(ids) - data.draw(st.sampled_from([0, 3]))]
        keys = chunk_keys(ids, data.draw(st.sampled_from(["", "a"])))
        size = len(ids) + CHUNK * data.draw(st.integers(1, 4))
        lease = prefixes.take(keys, len(ids), size)
        if lease is None:
            assert running
            continue
        assert lease.valid < len(ids) and lease.size >= size and 0 <= lease.start <= arena.nowhere - lease.size
        for place in range(lease.valid // CHUNK):
            assert held[lease.start + CHUNK * place] == keys[place]
        for other in prefixes._leases:
            assert other is lease or other.start >= lease.start + lease.size or other.start + other.size <= lease.start
        running.append((lease, keys))
