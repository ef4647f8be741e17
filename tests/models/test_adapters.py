"""LoRA adapters beside one another over one base: each answers for itself, whoever shares a pass, and as PEFT does."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.lora import build_adapter
from tests.support.talker import build_talker
from tests.support.tiny import asking
from wisen.core.errors import SettingsError
from wisen.models.local import LocalModel
from wisen.models.sampling import Sampling


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_talker(tmp_path_factory.mktemp("base") / "weights")


@pytest.fixture(scope="module")
def folders(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    made = {f"a{seed}": build_adapter(base, root / f"a{seed}", seed=seed) for seed in range(2)}
    made["rs"] = build_adapter(base, root / "rs", seed=7, r=3, use_rslora=True, target_modules=["gate_proj"])
    return made


@pytest.fixture
async def faces(base: Path, folders: dict[str, Path]) -> AsyncIterator[dict[str, LocalModel]]:
    model = LocalModel.load(base, name="base", threads=1)
    yield {"base": model, **{name: await model.with_adapter(name, folder) for name, folder in folders.items()}}
    await model.close()


async def text_of(model: LocalModel, prompt: tuple[int, ...], **how: Any) -> list[tuple[int, float]]:
    generation = await model.start(prompt, Sampling(**{"temperature": 0, "max_tokens": 12, **how}))
    return [(token.token.id, token.token.logprob) async for token in generation]


async def test_an_adapter_s_tokens_are_peft_s(
    faces: dict[str, LocalModel], base: Path, folders: dict[str, Path]
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    prompt = tuple(random.Random(1).choices(range(5, 300), k=50))
    told = {}
    for name, folder in folders.items():
        reference = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
        found = await text_of(faces[name], prompt)
        told[name] = [token for token, _ in found]
        with torch.inference_mode():
            logits = reference(torch.tensor([[*prompt, *told[name]]])).logits[0, len(prompt) - 1 : -1]
        logprobs = logits.log_softmax(-1)
        assert logprobs.argmax(-1).tolist() == told[name]
        assert [value for _, value in found] == pytest.approx(
            [float(row[token]) for row, token in zip(logprobs, told[name], strict=True)], abs=1e-4
        )
    assert len({tuple(each) for each in told.values()}) == len(folders)


async def test_under_load_nobody_is_answered_by_another_adapter(
    faces: dict[str, LocalModel], base: Path, folders: dict[str, Path]
) -> None:
    """Equal prompts, mixed passes, prefixes in the cache under every name, and adapters that arrive meanwhile."""
    draw = random.Random(3)
    common = tuple(draw.choices(range(5, 300), k=40))
    prompts = [common + tuple(draw.choices(range(5, 300), k=size)) for size in (0, 3, 9, 30)]
    asked = [(name, prompt, seed) for name in faces for prompt in prompts for seed in range(2)]
    alone = {}
    for name, prompt, seed in asked:
        alone[name, prompt, seed] = await text_of(faces[name], prompt, temperature=0.8, seed=seed)
    for first, second in ((first, second) for first in faces for second in faces if first < second):
        assert alone[first, prompts[0], 0] != alone[second, prompts[0], 0]

    fresh = LocalModel.load(base, name="base", threads=1)
    served = {"base": fresh, "a0": await fresh.with_adapter("a0", folders["a0"])}

    here = {name: asyncio.Event() for name in faces}
    for name in served:
        here[name].set()

    async def ask(name: str, prompt: tuple[int, ...], seed: int) -> None:
        await here[name].wait()
        assert await text_of(served[name], prompt, temperature=0.8, seed=seed) == alone[name, prompt, seed], name

    async def arrive() -> None:
        for name in ("a1", "rs"):
            await asyncio.sleep(0.02)
            served[name] = await fresh.with_adapter(name, folders[name])
            here[name].set()

    many = [*asked, *asked]
    draw.shuffle(many)
    await asyncio.gather(arrive(), *(ask(*each) for each in many))
    await fresh.close()


async def test_a_choice_is_the_adapter_s(faces: dict[str, LocalModel]) -> None:
    request = asking("Press it.", ["click one", "click two", "type three"])
    replies = await asyncio.gather(*(face.call(request) for face in faces.values()))
    assert len({reply.choice.logprobs for reply in replies if reply.choice}) == len(faces)


async def test_a_name_never_means_another_adapter(faces: dict[str, LocalModel], folders: dict[str, Path]) -> None:
    await faces["base"].with_adapter("a0", folders["a0"])  # the same again is no harm
    with pytest.raises(SettingsError, match="another adapter has the name a0"):
        await faces["base"].with_adapter("a0", folders["a1"])


def edited(folder: Path, at: Path, **fields: Any) -> Path:
    at.mkdir()
    for path in folder.iterdir():
        (at / path.name).write_bytes(path.read_bytes())
    config = json.loads((at / "adapter_config.json").read_text())
    (at / "adapter_config.json").write_text(json.dumps({**config, **fields}))
    return at


async def test_what_cannot_be_served_is_one_line(
    faces: dict[str, LocalModel], folders: dict[str, Path], tmp_path: Path
) -> None:
    base = faces["base"]
    wide = build_talker(tmp_path / "wide", hidden=48)
    cases = [
        (tmp_path / "nowhere", "could not read"),
        (edited(folders["a0"], tmp_path / "dora", use_dora=True), "uses use_dora"),
        (edited(folders["a0"], tmp_path / "ia3", peft_type="IA3"), "is no LoRA adapter but IA3"),
        (build_adapter(wide, tmp_path / "other", seed=1), "a model of another shape"),
        (build_adapter(base_folder(base), tmp_path / "head", seed=1, target_modules=["lm_head"]), "lm_head"),
    ]
    (tmp_path / "dora" / "x").write_text("")
    for folder, said in cases:
        with pytest.raises(SettingsError, match=said) as error:
            await base.with_adapter("new", folder)
        assert "\n" not in str(error.value)
    assert "new" not in base.engine._core.adapters


def base_folder(model: LocalModel) -> Path:
    return Path(model.engine.loaded.source)
