"""How sprout is trained: rows that hold several prompts, a fast forward pass, a run that goes on where it stood."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from wisen.models.tokens import Codec
from wisen.trainers.sprout.lessons import Mix, way_lesson
from wisen.trainers.sprout.mixture import training_lesson
from wisen.trainers.sprout.network import Shape, build, hidden_states
from wisen.trainers.sprout.packing import ROWS, Shelf, batch_of, pack
from wisen.trainers.sprout.tokenizer import train_tokenizer
from wisen.trainers.sprout.train import Run, SproutSettings
from wisen.trainers.sprout.words import Lexicon, Side

SMALL = Shape(vocab_size=800, hidden=32, layers=1, heads=2, feed_forward=64)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(0, SMALL.vocab_size, lessons=60)


def test_what_is_written_is_read_back_with_its_blanks(tokenizer: Any) -> None:
    text = '{"success": true, "reason": "Every step, é and 日 too, did it."}'
    ids = Codec(tokenizer).written(text)
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert tokenizer.decode(Codec(tokenizer).text("a b")) == "ab", "what is read has none"


def test_a_question_in_a_row_is_read_as_if_it_were_alone(tokenizer: Any) -> None:
    codec, model = Codec(tokenizer), build(SMALL, tokenizer, seed=0)
    asks = next(
        lesson
        for seed in range(20)
        if len(lesson := way_lesson(random.Random(seed), Lexicon(Side.TRAIN), Mix(notes=2))) == 3
    )
    together, other = pack(codec, asks), pack(codec, asks[:1])
    batch = batch_of(1024, [[other, together]], codec.pad_id, len(tokenizer))
    with torch.inference_mode():
        hidden = hidden_states(model, batch.ids, batch.positions, batch.sees)[0]
        for number, ask in enumerate(asks, start=1):
            prompt, _ = codec.prompt(ask.messages)
            alone = torch.tensor([prompt])
            expected = model.model(input_ids=alone).last_hidden_state[0, -1]
            branch = [at for at, value in enumerate(together.branch) if value == number]
            tag = next(at for at in branch if together.ids[at] == codec.act_id)
            found = hidden[len(other.ids) + tag]
            assert together.positions[tag] == len(prompt) - 1
            torch.testing.assert_close(found, expected, atol=0.06, rtol=0.05)  # matrices in bfloat16


def test_the_marked_tokens_are_the_answers_and_their_forks(tokenizer: Any) -> None:
    codec = Codec(tokenizer)
    for number in range(60):
        asks = training_lesson(0, number, 1e9)
        made = pack(codec, asks)
        assert len(made.ids) <= ROWS[-1] and len(made.ids) == len(made.positions) == len(made.branch)
        for place, token in made.answers:
            assert made.ids[place + 1] == token
        for place, token, admitted in made.points:
            assert token in admitted and len(admitted) > 1 and (place, token) in made.answers
        if made.asks == len(asks):
            assert len(made.answers) == sum(
                len(codec.option(ask.answer) if ask.options else codec.written(ask.answer)) for ask in asks
            )


def test_rows_are_filled_without_loss(tokenizer: Any) -> None:
    codec, shelf, given, came = Codec(tokenizer), Shelf(2048), 0, 0
    for number in range(80):
        made = pack(codec, training_lesson(0, number, 1e9))
        given += made.asks
        if filled := shelf.put(made):
            length, rows = filled
            assert len(rows) * length <= 2048
            assert all(sum(len(one.ids) for one in row) <= length for row in rows)
            came += sum(one.asks for row in rows for one in row)
    assert 0 < came <= given


def test_a_run_goes_on_where_it_stood(tmp_path: Path, tokenizer: Any) -> None:
    tokenizer.save_pretrained(tmp_path / "run" / "tokenizer", save_jinja_files=False)
    settings = SproutSettings(shape=SMALL, batch_tokens=1024)
    run = Run(tmp_path / "run", settings)
    before = run.model.model.embed_tokens.weight.clone()
    run.train(0.03, settle=0.5, report=10, lessons=4)
    assert run.progress.step > 1 and not torch.equal(before, run.model.model.embed_tokens.weight)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    again = Run(tmp_path / "run", settings)
    assert 0 < again.progress.step == state["progress"]["step"] <= run.progress.step
    for name, value in again.model.state_dict().items():
        assert torch.equal(value, state["model"][name])
    again.train(0.02, settle=0.5, report=10, lessons=4)
    assert again.progress.step > state["progress"]["step"]
    curve = [json.loads(line) for line in (tmp_path / "run" / "curve.jsonl").read_text().splitlines()]
    # The first call's only point lies in its fall, which the second does not go on from.
    assert [point["tokens"] for point in curve] == [again.progress.tokens]
    card = json.loads((tmp_path / "run" / "weights" / "card.json").read_text())["recipe"]
    assert card["tokens"] == again.progress.tokens and "held-out: judge" in card["skills"]
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "weights", dtype=torch.float32)
    assert loaded.num_parameters() == card["parameters"]
