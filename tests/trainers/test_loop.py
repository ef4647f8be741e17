import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from wisen.trainers.dataset import Row
from wisen.trainers.loop import LoopSettings, batches, row_losses, train

PAD = 0
SETTINGS = LoopSettings(learning_rate=1e-2, batch_tokens=48)

# A prompt of five tokens; then a free token, one with three allowed, one with a single one allowed, one with two.
ROW = Row((5, 6, 7, 8, 9, 20, 21, 22, 23), (5, 6, 7, 8), ((), (21, 30, 31), (22,), (40, 23)), "t")
SHORT = Row((11, 12, 13), (2,), ((13, 14, 15),), "t")
PAGE = Row((50, 60, 51, 52, 61, 53), (2, 5), ((), (53, 54)), "t")  # what is trained need not be at the end

rows_strategy = st.lists(
    st.integers(2, 40).map(lambda size: Row(tuple(range(size)), (size - 1,), ((),), "t")), max_size=30
)


@pytest.fixture(scope="module")
def start(tiny: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()


@pytest.fixture
def model(start: Any) -> Any:
    return copy.deepcopy(start)


def naive(model: Any, row: Row) -> Any:
    """The loss of a row alone, position by position, from the logits over the whole vocabulary."""
    total = torch.zeros(())
    for position, allowed in zip(row.trained, row.allowed, strict=True):
        logits = model(torch.tensor([row.ids[:position]])).logits[0, -1]
        chosen = list(allowed) or list(range(len(logits)))
        total = total - logits[row.ids[position]] + logits[chosen].logsumexp(0)
    return total


def gradient(model: Any, loss: Any) -> Any:
    model.zero_grad()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def test_the_loss_is_that_of_the_distribution_that_was_sampled_from(model: Any) -> None:
    rows = [ROW, SHORT, PAGE]
    loss, sampled = row_losses(model, rows, PAD)
    assert sampled == 7
    expected = sum(naive(model, row) for row in rows)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-4)
    assert torch.allclose(gradient(model, loss), gradient(model, expected), atol=1e-4)


def test_padding_and_neighbours_add_nothing(model: Any) -> None:
    together, _ = row_losses(model, [SHORT, ROW], PAD)
    alone = sum(row_losses(model, [row], PAD)[0].item() for row in (SHORT, ROW))
    assert together.item() == pytest.approx(alone, abs=1e-4)
    other_pad, _ = row_losses(model, [SHORT, ROW], 99)
    assert together.item() == pytest.approx(other_pad.item(), abs=1e-4)


def test_tokens_that_nobody_sampled_carry_no_loss(model: Any) -> None:
    """The prompt's last part is given, so it is conditioned on, and predicting it costs nothing: with the same
    prefix, what the loss asks for does not change with tokens that come after the last sampled one."""
    tail = Row((*SHORT.ids, 70, 71), SHORT.trained, SHORT.allowed, "t")
    first, second = (row_losses(model, [row], PAD)[0] for row in (SHORT, tail))
    assert first.item() == pytest.approx(second.item(), abs=1e-5)
    assert torch.allclose(gradient(model, first), gradient(model, second), atol=1e-5)


def test_a_decision_without_an_alternative_has_no_loss_and_no_gradient(model: Any) -> None:
    forced = Row(ROW.ids, ROW.trained, ((20,), (21,), (22,), (23,)), "t")
    loss, sampled = row_losses(model, [forced], PAD)
    assert (loss.item(), sampled) == (0.0, 4)
    assert not gradient(model, loss).any()
    mixed, _ = row_losses(model, [forced, SHORT], PAD)
    assert mixed.item() == pytest.approx(naive(model, SHORT).item(), abs=1e-4)


def test_tokens_that_were_not_allowed_do_not_matter(model: Any) -> None:
    """Raising the logit of a token that the constraint shut out changes nothing; of an allowed one it does."""
    head = model.get_output_embeddings()
    model.get_output_embeddings = lambda: lambda hidden: head(hidden) + lift
    for token, matters in ((14, True), (16, False)):
        lift = torch.zeros(head.weight.shape[0])
        before, _ = row_losses(model, [SHORT], PAD)
        lift[token] = 3.0
        after, _ = row_losses(model, [SHORT], PAD)
        assert (abs(before.item() - after.item()) > 1e-3) == matters


@given(rows_strategy, st.integers(40, 120), st.integers(0, 9))
def test_batches_hold_every_row_once_within_the_budget(rows: list[Row], budget: int, seed: int) -> None:
    made = batches(rows, budget, seed=seed)
    assert sorted(map(id, rows)) == sorted(id(row) for batch in made for row in batch)
    for batch in made:
        assert batch
        assert len(batch) * max(row.tokens for row in batch) <= budget
    assert made == batches(rows, budget, seed=seed)


def test_a_row_beyond_the_budget_is_a_batch_of_its_own() -> None:
    long = Row(tuple(range(100)), (99,), ((),), "t")
    assert sorted(map(len, batches([SHORT, long, SHORT], 20, seed=0))) == [1, 2]


def test_batches_come_in_another_order_for_another_seed() -> None:
    rows = [Row(tuple(range(size)), (size - 1,), ((),), "t") for size in range(2, 40)]
    assert batches(rows, 60, seed=0) != batches(rows, 60, seed=1)
    assert [row.tokens for batch in batches(rows, 60, seed=0) for row in batch] != list(range(2, 40))


def test_training_lowers_the_loss_and_tells_of_its_progress(model: Any) -> None:
    before = row_losses(model, [ROW, SHORT, PAGE], PAD)[0].item()
    seen: list[tuple[int, int, float]] = []
    result = train(
        model,
        [[ROW, SHORT, PAGE]] * 10,
        SETTINGS,
        pad_id=PAD,
        seed=0,
        on_progress=lambda done, total, loss: seen.append((done, total, loss)),
    )
    assert row_losses(model, [ROW, SHORT, PAGE], PAD)[0].item() < 0.3 * before
    assert result.steps == 10
    assert result.tokens == 10 * (ROW.tokens + SHORT.tokens + PAGE.tokens)
    assert result.first_loss == pytest.approx(before / 7, abs=1e-4)
    assert result.last_loss < result.first_loss
    assert [done for done, _, _ in seen] == sorted({done for done, _, _ in seen})
    assert seen[-1] == (result.tokens, result.tokens, result.last_loss)
    assert not model.training


def test_training_is_deterministic_for_a_seed(start: Any) -> None:
    rows = [Row((5 + number, 6, 7 + number), (2,), ((),), "t") for number in range(40)]

    def weights(seed: int) -> bytes:
        model = copy.deepcopy(start)
        train(model, [rows] * 2, SETTINGS, pad_id=PAD, seed=seed)
        return b"".join(parameter.detach().numpy().tobytes() for parameter in model.parameters())

    assert weights(1) == weights(1)
    assert weights(1) != weights(2)


def test_no_batch_leaves_anything_that_is_not_a_number(model: Any) -> None:
    forced = Row((5, 6, 7), (2,), ((7,),), "t")
    result = train(model, [[forced], [forced]], SETTINGS, pad_id=PAD, seed=0)
    assert result.last_loss == 0.0
    assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


def test_nothing_to_train_on_changes_nothing(model: Any, start: Any) -> None:
    result = train(model, [[], []], SETTINGS, pad_id=PAD, seed=0)
    assert (result.steps, result.tokens) == (0, 0)
    assert math.isnan(result.first_loss)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), start.parameters(), strict=True))
