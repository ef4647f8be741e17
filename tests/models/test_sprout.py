"""The weights that ship: what they weigh, that they load everywhere, and that they can do what their card says."""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from wisen.agent.judge import ModelJudge
from wisen.core.protocols import Capability
from wisen.core.records import ModelRequest, Purpose
from wisen.models import sprout
from wisen.models.local import LocalModel
from wisen.models.pretrained import load_pretrained
from wisen.models.tokens import Codec
from wisen.trainers.sprout.evaluate import evaluate
from wisen.trainers.sprout.lessons import Mix, page_lesson
from wisen.trainers.sprout.network import Shape, build
from wisen.trainers.sprout.records import attempt
from wisen.trainers.sprout.words import Lexicon, Side

MIB = 2**20


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    return json.loads((sprout.folder() / "card.json").read_text())["recipe"]


@pytest.fixture(scope="module")
def loaded() -> Any:
    return load_pretrained(str(sprout.folder()), dtype="float32")


def test_it_is_small_and_its_card_tells_how_it_was_made(card: dict[str, Any], loaded: Any) -> None:
    files = {path.name: path.stat().st_size for path in Path(sprout.folder()).iterdir()}
    assert files["model.safetensors"] <= 20 * MIB and sum(files.values()) <= 22 * MIB
    assert loaded.model.num_parameters() == card["parameters"] <= 8_000_000
    assert card["tokens"] == card["curve"][-1]["tokens"] and len(card["curve"]) > 3
    assert card["settings"]["seed"] >= 0 and card["licence"] == "Apache-2.0"


async def test_it_chooses_and_writes_as_a_local_model() -> None:
    model = LocalModel.load(sprout.folder(), name="sprout", threads=1)
    try:
        assert {Capability.CHOICE, Capability.CHAT, Capability.TOKENS} <= model.capabilities
        asks = [ask for seed in range(8) for ask in page_lesson(random.Random(seed), Lexicon(Side.HELD, 0.8), Mix())]
        requests = [ModelRequest(purpose=Purpose.ACT, messages=ask.messages, options=ask.options) for ask in asks]
        replies = await asyncio.gather(*(model.call(request) for request in requests))
        assert all(reply.text in request.options for reply, request in zip(replies, requests, strict=True))
        made, _ = attempt(random.Random(1), Lexicon(Side.TRAIN, 0.8), Mix(), ("press",), ())
        verdict = await ModelJudge(model, max_tokens=96).judge(made)
        assert verdict.reason.count(" ") > 2, "it writes blanks"
    finally:
        await model.close()


def test_it_can_do_what_random_weights_cannot(loaded: Any, card: dict[str, Any]) -> None:
    """On fresh lessons, and near what its card says of the held-out ones."""
    codec = Codec(loaded.tokenizer)
    mix = Mix(notes=1, candidates=4, wrong=0.0, outdated=0.0)
    skills = evaluate(loaded.model, codec, lessons=24, seed=7, mix=mix)
    chance = evaluate(build(Shape(), loaded.tokenizer, seed=0).eval(), codec, lessons=24, seed=7, mix=mix)
    for name in ("note one", "page press", "page radio", "held-out: note one"):
        assert skills[name].right > skills[name].chance + 0.3, name
        assert skills[name].right > chance[name].right + 0.2, name


def test_it_is_the_same_in_float32(loaded: Any) -> None:
    """Whatever it is stored in."""
    assert all(parameter.dtype is torch.float32 for parameter in loaded.model.parameters())
    stored = load_pretrained(str(sprout.folder())).model
    for (name, one), other in zip(loaded.model.named_parameters(), stored.parameters(), strict=True):
        assert torch.equal(one, other.float()), name
