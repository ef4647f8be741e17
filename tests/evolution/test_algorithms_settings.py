"""Which algorithms a run's settings can ask for, and what they say where their data would not exist."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wisen.core.errors import SettingsError
from wisen.core.records import Note
from wisen.evolution import cycle
from wisen.evolution.settings import EvolveSettings
from wisen.evolution.workbench import Bench
from wisen.trainers.algorithms import algorithm_names
from wisen.trainers.algorithms.base import NothingToTrain


@pytest.mark.parametrize("name", algorithm_names())
def test_every_algorithm_can_be_asked_for(name: str) -> None:
    settings = EvolveSettings.model_validate({"train": {"algorithm": name}, "collect": {"attempts": 4}})
    assert settings.trains


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"train": {"algorithm": "grpo"}}, "grpo compares attempts at one task.*collect.attempts to 4"),
        ({"train": {"algorithm": "dpo"}}, "dpo compares attempts at one task"),
        ({"train": {"algorithm": "ppo"}}, "there is no algorithm 'ppo'"),
        ({"train": {"algorithm": "kto", "options": {"beta": -1}}}, "'kto' does not take these options: beta"),
        ({"trainer": "rft", "train": {"algorithm": "kto"}}, "trainer is rft, and train.algorithm is kto"),
        (
            {"train": {"data": {"returns": "reward"}}, "collect": {"rewards": "shuffled"}},
            "the control permutes successes",
        ),
    ],
)
def test_what_the_cycle_has_no_data_for_is_told_before_it_begins(given: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        EvolveSettings.model_validate(given)


def test_where_nothing_is_trained_the_algorithm_does_not_matter() -> None:
    EvolveSettings.model_validate({"trainer": "none", "train": {"algorithm": "grpo"}})


async def test_a_later_cycle_without_anything_to_learn_from_leaves_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first one it is the settings' fault."""

    def nothing(*_: Any) -> None:
        raise NothingToTrain("all attempts were worth the same")

    monkeypatch.setattr(cycle, "_fine_tuned", nothing)
    notes: list[Note] = []
    store = SimpleNamespace(checkpoint=lambda name: None)
    bench = cast(Bench, SimpleNamespace(store=store, in_thread=asyncio.to_thread, emit=notes.append))
    assert await cycle._train(bench, 2, "base") is None
    assert [note.text for note in notes] == ["cycle 2: all attempts were worth the same; the weights stay as they are"]
    with pytest.raises(NothingToTrain):
        await cycle._train(bench, 1, "base")
