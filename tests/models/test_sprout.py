"""The weights that ship: what they weigh, that they load everywhere, and that they can do what their card says."""

import asyncio
import json
import random
from dataclasses import replace
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
from wisen.trainers.sprout.evaluate import measured
from wisen.trainers.sprout.lessons import Mix, page_lesson, way_lesson
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


def test_it_can_do_what_random_weights_cannot(loaded: Any) -> None:
    """Find names on pages; follow a note, also in a kind of errand that training never held."""
    mix = Mix(notes=1, candidates=4, questions=2, wrong=0.0, outdated=0.0)
    train, held = Lexicon(Side.TRAIN, 0.5), Lexicon(Side.HELD, 0.5)
    lessons = [page_lesson(random.Random(seed), train, mix, ("press", "radio", "choose")) for seed in range(12)]
    lessons += [way_lesson(random.Random(seed), train, mix, ("button", "tool")) for seed in range(30)]
    lessons += [way_lesson(random.Random(seed), held, mix, ("module", "menu")) for seed in range(30)]
    asks = [replace(ask, skill=ask.skill.split()[0]) for lesson in lessons for ask in lesson if not ask.fair]
    codec = Codec(loaded.tokenizer)
    ours = measured(loaded.model, codec, [asks])
    random_weights = measured(build(Shape(), loaded.tokenizer, seed=0).eval(), codec, [asks])
    for skill in ("page", "note"):
        assert ours[skill].questions > 9
        assert ours[skill].right > 0.65 and ours[skill].right > random_weights[skill].right + 0.3, skill


def test_it_is_the_same_in_float32(loaded: Any) -> None:
    """Whatever it is stored in."""
    assert all(parameter.dtype is torch.float32 for parameter in loaded.model.parameters())
    stored = load_pretrained(str(sprout.folder())).model
    for (name, one), other in zip(loaded.model.named_parameters(), stored.parameters(), strict=True):
        assert torch.equal(one, other.float()), name
