import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.support.played import clicking, played
from wisen.core.errors import WisenError
from wisen.core.protocols import Algorithm
from wisen.core.records import Trajectory
from wisen.models.tokens import Codec
from wisen.trainers.checkpoints import describe
from wisen.trainers.dataset import Row
from wisen.trainers.loop import LoopSettings, row_losses
from wisen.trainers.rft import RFT, RFTSettings

LOOP = LoopSettings(learning_rate=5e-3, batch_tokens=1024)
PLAIN = RFTSettings(tokens=10**9, most_epochs=10, cap=50, rename=0.0, replay=0.0, threads=1, loop=LOOP)
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
        rows = RFT(PLAIN).rows(trajectories, seed=0)
        return row_losses(model, rows, codec.pad_id)[0].item()


@pytest.mark.parametrize("extras", [{}, {"most_epochs": 30, "rename": 0.5, "replay": 0.5}])
def test_what_succeeded_becomes_more_probable(tiny: Path, codec: Codec, tmp_path: Path, extras: dict[str, Any]) -> None:
    attempts = successes(codec)
    algorithm: Algorithm = RFT(PLAIN.model_copy(update=extras))
    algorithm.train(attempts, parent=tiny, out=tmp_path / "new", seed=1)
    assert loss_of(tmp_path / "new", codec, attempts) < 0.6 * loss_of(tiny, codec, attempts)


def test_what_failed_teaches_nothing(tiny: Path, codec: Codec, tmp_path: Path) -> None:
    good = successes(codec)
    bad = [
        played(codec, [clicking("Help", ["Submit"])], success=success, number=n)
        for n, success in enumerate((False, None))
    ]
    plain = RFT(PLAIN).train(good, parent=tiny, out=tmp_path / "plain", seed=1)
    mixed = RFT(PLAIN).train([*bad, *good], parent=tiny, out=tmp_path / "mixed", seed=1)
    assert mixed.sha256 == plain.sha256
    with pytest.raises(WisenError, match="nothing to train on"):
        RFT(PLAIN).train(bad, parent=tiny, out=tmp_path / "none", seed=1)
    assert not (tmp_path / "none").exists()


def test_equal_seeds_give_equal_weights_and_the_parent_is_left_alone(tiny: Path, codec: Codec, tmp_path: Path) -> None:
    before = describe(tiny)
    settings = PLAIN.model_copy(update={"most_epochs": 2, "rename": 0.5, "replay": 1.0})
    first, again, other = (
        RFT(settings).train(successes(codec), parent=tiny, out=tmp_path / name, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.sha256 == again.sha256
    assert len({before.sha256, first.sha256, other.sha256}) == 3
    assert describe(tiny) == before


def test_the_card_says_what_made_the_weights(tiny: Path, codec: Codec, tmp_path: Path) -> None:
    settings = PLAIN.model_copy(update={"most_epochs": 2})
    record = RFT(settings).train(successes(codec), parent=tiny, out=tmp_path / "new", seed=7)
    assert (record.name, record.parent) == ("new", tiny.name)
    recipe = record.recipe
    assert (recipe["algorithm"], recipe["seed"], recipe["rows"], recipe["trajectories"]) == ("rft", 7, 6, 6)
    assert recipe["settings"] == settings.model_dump()
    assert recipe["last_loss"] <= recipe["first_loss"]
    assert json.loads((tmp_path / "new" / "card.json").read_text())["recipe"] == recipe


def test_a_name_that_is_taken_is_refused(tiny: Path, codec: Codec, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileExistsError):
        RFT(PLAIN.model_copy(update={"most_epochs": 1})).train(
            successes(codec), parent=tiny, out=tmp_path / "taken", seed=1
        )


def test_rows_are_the_successful_decisions_once_each_and_balanced(codec: Codec) -> None:
    attempts = successes(codec)
    twice = [*attempts, *(item.model_copy(update={"id": f"again-{item.id}"}) for item in attempts)]
    assert len(RFT(PLAIN).rows(twice, seed=0)) == 6
    rare = played(codec, [clicking("Go", ["Stop"])], template="rare")
    rows = RFT(PLAIN.model_copy(update={"cap": 2})).rows([*attempts, rare], seed=0)
    assert sorted(row.template_id for row in rows) == ["click-one", "click-one", "rare"]


def test_an_epoch_holds_every_row_as_it_was_sampled_and_fresh_extras(codec: Codec) -> None:
    settings = PLAIN.model_copy(update={"most_epochs": 3, "rename": 1.0, "replay": 0.5})
    algorithm = RFT(settings)
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
    assert RFT(PLAIN).epochs(rows, codec, seed=0) == [rows] * 10


def test_the_token_budget_is_met_in_whole_epochs(codec: Codec) -> None:
    rows = RFT(PLAIN).rows(successes(codec), seed=0)
    one = sum(row.tokens for row in rows)
    for budget, most, count in ((1, 9, 1), (one, 9, 1), (one + 1, 9, 2), (3 * one, 9, 3), (9 * one, 4, 4)):
        algorithm = RFT(PLAIN.model_copy(update={"tokens": budget, "most_epochs": most}))
        assert algorithm.epochs(rows, codec, seed=0) == [rows] * count
