import json

import pytest

from tests.memory.build import trajectory
from wisen.core.errors import SettingsError
from wisen.core.protocols import Capability
from wisen.core.records import Purpose
from wisen.memory.selection import best_of, scaling_figures
from wisen.memory.structured import MalformedReply
from wisen.models.scripted import ScriptedModel

ATTEMPTS = [trajectory("Do it.", [f"click {number}"], number=number) for number in range(3)]


def choice(index: int) -> str:
    return json.dumps({"index": index, "analysis": " It ended well. "})


async def test_one_call_sees_all_attempts_and_chooses_one() -> None:
    model = ScriptedModel([choice(2)])
    found = await best_of(model, ATTEMPTS)
    assert (found.index, found.analysis) == (1, "It ended well.")
    (request,) = model.requests
    assert (request.purpose, request.temperature) == (Purpose.JUDGE, 0.0)
    assert all(f"Action: click {number}" in request.messages[1].text for number in range(3))
    assert "VERDICT" not in request.messages[1].text


@pytest.mark.parametrize("wrong", [choice(0), choice(4), choice(-1), '{"index": "1", "analysis": "x"}', "Attempt 1."])
async def test_an_index_that_is_none_of_theirs_is_malformed(wrong: str) -> None:
    assert (await best_of(ScriptedModel([wrong, choice(3)]), ATTEMPTS)).index == 2
    with pytest.raises(MalformedReply):
        await best_of(ScriptedModel([wrong, wrong]), ATTEMPTS)


async def test_what_cannot_be_chosen_from_is_refused_and_one_needs_no_call() -> None:
    silent = ScriptedModel([])
    assert (await best_of(silent, ATTEMPTS[:1])).index == 0
    with pytest.raises(SettingsError, match="best of several"):
        await best_of(silent, [])
    with pytest.raises(SettingsError, match="one task"):
        await best_of(silent, [ATTEMPTS[0], trajectory("Do it.", ["x"], of=2)])
    with pytest.raises(SettingsError, match="choose among attempts"):
        await best_of(ScriptedModel([], capabilities=[Capability.CHOICE]), ATTEMPTS)


def test_the_figures_of_a_run() -> None:
    outcomes = [[True, False, False], [False, False, False], [True, True, False]]
    found = scaling_figures(outcomes, chosen=[0, 2, 2])
    assert (found.tasks, found.k) == (3, 3)
    assert (found.pass_at_1, found.best_of_n, found.pass_at_k) == pytest.approx((1 / 3, 1 / 3, 2 / 3))
    two = scaling_figures(outcomes, k=2)
    assert two.best_of_n is None
    assert two.pass_at_k == pytest.approx((2 / 3 + 0 + 1) / 3)
    uneven = scaling_figures([[True], [False, True, True]])
    assert (uneven.k, uneven.pass_at_k) == (1, uneven.pass_at_1)


@pytest.mark.parametrize(
    ("outcomes", "chosen", "k"),
    [([], None, None), ([[True]], None, 2), ([[True]], [1], None), ([[True]], [-1], None), ([[True]], [], None)],
)
def test_figures_of_what_was_not_run_are_refused(
    outcomes: list[list[bool]], chosen: list[int] | None, k: int | None
) -> None:
    with pytest.raises(ValueError):
        scaling_figures(outcomes, chosen=chosen, k=k)
