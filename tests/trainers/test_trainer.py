import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.support.attempted import Move, attempted
from tests.support.played import clicking, played
from tests.support.talker import build_talker
from wisen.core import protocols
from wisen.core.errors import SettingsError, WisenError
from wisen.core.records import Trajectory
from wisen.models.tokens import Codec
from wisen.trainers.checkpoints import describe
from wisen.trainers.dataset import Row
from wisen.trainers.estimate import estimate
from wisen.trainers.loop import LoopSettings, batches, row_losses
from wisen.trainers.settings import TrainSettings
from wisen.trainers.trainer import Trainer, balanced_units

LOOP = LoopSettings(learning_rate=5e-3, batch_tokens=1024)
PLAIN = TrainSettings(tokens=10**9, most_epochs=10, cap=50, rename=0.0, replay=0.0, threads=1, loop=LOOP)
NAMES = ("Submit", "Cancel", "Help", "Next", "Back", "Search")


def successes(codec: Codec) -> list[Trajectory]:
    return [
        played(codec, [clicking(name, [other for other in NAMES if other != name][:3])], number=number)
        for number, name in enumerate(NAMES)
    ]


def loss_of(folder: Path, codec: Codec, trajectories: list[Trajectory]) -> float:
    """-log pi of what was chosen, summed, under the constraint: what a lower number makes more probable."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        rows = Trainer(PLAIN).rows(trajectories, seed=0)
        return row_losses(model, rows, codec.pad_id)[0].item()


@pytest.mark.parametrize("extras", [{}, {"most_epochs": 30, "rename": 0.5, "replay": 0.5}])
def test_what_succeeded_becomes_more_probable(tiny: Path, codec: Codec, tmp_path: Path, extras: dict[str, Any]) -> None:
    attempts = successes(codec)
    algorithm: protocols.Trainer = Trainer(PLAIN.model_copy(update=extras))
    algorithm.train(attempts, parent=tiny, out=tmp_path / "new", seed=1)
    assert loss_of(tmp_path / "new", codec, attempts) < 0.6 * loss_of(tiny, codec, attempts)


def test_what_failed_teaches_nothing(tiny: Path, codec: Codec, tmp_path: Path) -> None:
    good = successes(codec)
    bad = [
        played(codec, [clicking("Help", ["Submit"])], success=success, number=n)
        for n, success in enumerate((False, None))
    ]
    plain = Trainer(PLAIN).train(good, parent=tiny, out=tmp_path / "plain", seed=1)
    mixed = Trainer(PLAIN).train([*bad, *good], parent=tiny, out=tmp_path / "mixed", seed=1)
    assert mixed.sha256 == plain.sha256
    with pytest.raises(WisenError, match="nothing to train on"):
        Trainer(PLAIN).train(bad, parent=tiny, out=tmp_path / "none", seed=1)
    assert not (tmp_path / "none").exists()


def test_equal_seeds_give_equal_weights_and_the_parent_is_left_alone(tiny: Path, codec: Codec, tmp_path: Path) -> None:
    before = describe(tiny)
    settings = PLAIN.model_copy(update={"most_epochs": 2, "rename": 0.5, "replay": 1.0})
    first, again, other = (
        Trainer(settings).train(successes(codec), parent=tiny, out=tmp_path / name, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.sha256 == again.sha256
    assert len({before.sha256, first.sha256, other.sha256}) == 3
    assert describe(tiny) == before


def test_the_card_says_what_made_the_weights(tiny: Path, codec: Codec, tmp_path: Path) -> None:
    settings = PLAIN.model_copy(update={"most_epochs": 2})
    record = Trainer(settings).train(successes(codec), parent=tiny, out=tmp_path / "new", seed=7)
    assert (record.name, record.parent) == ("new", tiny.name)
    recipe = record.recipe
    assert (recipe["algorithm"], recipe["seed"], recipe["rows"], recipe["trajectories"]) == ("rft", 7, 6, 6)
    assert recipe["settings"] == settings.model_dump()
    assert recipe["last_loss"] <= recipe["first_loss"]
    assert json.loads((tmp_path / "new" / "card.json").read_text())["recipe"] == recipe


def test_a_name_that_is_taken_is_refused(tiny: Path, codec: Codec, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileExistsError):
        Trainer(PLAIN.model_copy(update={"most_epochs": 1})).train(
            successes(codec), parent=tiny, out=tmp_path / "taken", seed=1
        )


def test_rows_are_the_successful_decisions_once_each_and_balanced(codec: Codec) -> None:
    attempts = successes(codec)
    twice = [*attempts, *(item.model_copy(update={"id": f"again-{item.id}"}) for item in attempts)]
    assert len(Trainer(PLAIN).rows(twice, seed=0)) == 6
    rare = played(codec, [clicking("Go", ["Stop"])], template="rare")
    rows = Trainer(PLAIN.model_copy(update={"cap": 2})).rows([*attempts, rare], seed=0)
    assert sorted(row.template_id for row in rows) == ["click-one", "click-one", "rare"]


def test_an_epoch_holds_every_row_as_it_was_sampled_and_fresh_extras(codec: Codec) -> None:
    settings = PLAIN.model_copy(update={"most_epochs": 3, "rename": 1.0, "replay": 0.5})
    algorithm = Trainer(settings)
    rows = algorithm.rows(successes(codec), seed=0)
    epochs = algorithm.epochs(rows, codec, seed=0)
    assert len(epochs) == 3
    extras: list[list[Row]] = []
    for epoch in epochs:
        assert epoch[: len(rows)] == rows
        extras.append(epoch[len(rows) :])
        assert sum(row.template_id == "made-up" for row in epoch) == 3
        assert sum(row.template_id == "click-one" for row in extras[-1]) > 0
    assert extras[0] != extras[1]
    assert algorithm.epochs(rows, codec, seed=0) == epochs
    assert Trainer(PLAIN).epochs(rows, codec, seed=0) == [rows] * 10


def test_the_token_budget_is_met_in_whole_epochs(codec: Codec) -> None:
    rows = Trainer(PLAIN).rows(successes(codec), seed=0)
    one = sum(row.tokens for row in rows)
    for budget, most, count in ((1, 9, 1), (one, 9, 1), (one + 1, 9, 2), (3 * one, 9, 3), (9 * one, 4, 4)):
        algorithm = Trainer(PLAIN.model_copy(update={"tokens": budget, "most_epochs": most}))
        assert algorithm.epochs(rows, codec, seed=0) == [rows] * count


def test_an_adapter_is_trained_in_place_of_all_weights_and_merged(tiny: Path, codec: Codec, tmp_path: Path) -> None:
    attempts = successes(codec)
    settings = PLAIN.model_copy(update={"lora": 4, "most_epochs": 5, "checkpointing": True})
    Trainer(settings).train(attempts, parent=tiny, out=tmp_path / "new", seed=1)
    before, after = (dict(weights_of(folder)) for folder in (tiny, tmp_path / "new"))
    assert before.keys() == after.keys(), "a plain model, which anything loads"
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed and all("proj" in key for key in changed), "linear layers alone"
    assert loss_of(tmp_path / "new", codec, attempts) < 0.9 * loss_of(tiny, codec, attempts)


def weights_of(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict().items()


def test_a_backbone_without_tags_is_trained_on_what_it_sampled(tmp_path: Path) -> None:
    parent = build_talker(tmp_path / "talker")
    (parent / "card.json").write_text('{"parent": null, "recipe": {}}')
    attempts = [
        attempted([Move((10, 11), (50 + number, 60), (-1.0, -2.0))], success=number % 2 == 0, number=number)
        for number in range(4)
    ]
    plain = PLAIN.model_copy(update={"most_epochs": 2})
    for name in ("rft", "dpo", "grpo"):
        Trainer(plain.model_copy(update={"algorithm": name})).train(
            attempts, parent=parent, out=tmp_path / name, seed=0
        )
        assert describe(tmp_path / name).sha256 != describe(parent).sha256
    with pytest.raises(SettingsError, match="in wisen's own tags"):
        Trainer(plain.model_copy(update={"replay": 1.0})).train(attempts, parent=parent, out=tmp_path / "x", seed=0)
    with pytest.raises(SettingsError, match="no tags for spans"):
        Trainer(plain.model_copy(update={"algorithm": "agent-r"})).rows(attempts, seed=0)


def test_a_row_that_the_model_has_no_places_for_is_refused(tiny: Path, tmp_path: Path) -> None:
    long = attempted([Move((10,) * 300, (50,))])
    with pytest.raises(WisenError, match="a row has 301 tokens, and the model has places for 256"):
        Trainer(PLAIN).train([long], parent=tiny, out=tmp_path / "x", seed=0)


def test_pairs_stay_together_under_the_cap_and_in_a_batch() -> None:
    rows = [
        Row((1,) * size, (1,), ((),), "t", weights=(side,), loss="dpo", unit=f"pair-{number}")
        for number in range(9)
        for size, side in ((2 + number, 1.0), (20 - number, -1.0))
    ]
    kept = balanced_units(rows, 4, seed=0)
    assert len(kept) == 8 and all(count == 2 for count in Counter(row.unit for row in kept).values())
    for batch in batches(kept, 45, seed=0):
        assert all(count == 2 for count in Counter(row.unit for row in batch).values())


def test_an_estimate_counts_what_the_run_then_does(tiny: Path, codec: Codec, tmp_path: Path) -> None:
    attempts = successes(codec)
    settings = PLAIN.model_copy(update={"most_epochs": 2, "replay": 1.0})
    told = estimate(Trainer(settings), attempts, parent=tiny, seed=3)
    done = Trainer(settings).train(attempts, parent=tiny, out=tmp_path / "new", seed=3).recipe
    assert (told.rows, told.trajectories, told.tokens, told.steps) == (
        done["rows"],
        done["trajectories"],
        done["tokens"],
        done["steps"],
    )
    parameters = sum(value.numel() for _, value in weights_of(tiny))
    assert told.needed > 12 * parameters and told.seconds > 0  # weights, gradients, two moments; tied ones once
