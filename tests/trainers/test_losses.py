"""Losses against values worked by hand, and against TRL's trainers on the same rows where TRL is installed."""

import copy
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.support.table import Table
from wisen.trainers.algorithms import make_algorithm
from wisen.trainers.algorithms.kto import mismatched
from wisen.trainers.dataset import Row
from wisen.trainers.loop import IMITATE, batch_loss, scored, token_logprobs

PAD = 0


def row(ids: tuple[int, ...], trained: tuple[int, ...], **fields: Any) -> Row:
    return Row(ids, trained, ((),) * len(trained), "t", **fields)


def loss_of(name: str, rows: list[Row], options: dict[str, Any] | None = None, seed: int = 0) -> tuple[float, Any]:
    """(the loss of a batch, log pi of its tokens) with logits from a table."""
    model = Table(len(rows), max(one.tokens for one in rows), 12, seed=seed)
    losses = {**IMITATE, **make_algorithm(name, options).losses()}
    return float(batch_loss(model, rows, losses, PAD).detach()), token_logprobs(model, rows, PAD)[0].detach()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_imitation_is_the_mean_of_weighed_tokens() -> None:
    rows = [row((1, 2, 3), (1, 2), weights=(2.0, 0.5)), row((4, 5), (1,))]
    loss, logprobs = loss_of("rft", rows)
    a, b, c = logprobs.tolist()
    assert loss == pytest.approx(-(2 * a + 0.5 * b + c) / 3, abs=1e-6)


def test_dpo_by_hand() -> None:
    better = row((1, 2, 3), (1, 2), weights=(1.0, 1.0), reference=(-1.0, -2.0), unit="p", loss="dpo")
    worse = row((1, 4), (1,), weights=(-1.0,), reference=(-1.5,), unit="p", loss="dpo")
    other = [row((5, 6), (1,), weights=(w,), reference=(-3.0,), unit="q", loss="dpo") for w in (1.0, -1.0)]
    loss, logprobs = loss_of("dpo", [better, worse, *other], {"beta": 0.4, "imitate": 0.2})
    a, b, c, d, e = logprobs.tolist()
    first = -math.log(sigmoid(0.4 * ((a + 1 + b + 2) - (c + 1.5)))) - 0.2 * (a + b) / 2
    second = -math.log(sigmoid(0.4 * ((d + 3) - (e + 3)))) - 0.2 * d
    assert loss == pytest.approx((first + second) / 2, abs=1e-6)


def test_kto_by_hand() -> None:
    rows = [
        row((1, 2, 3), (1, 2), weights=(1.5, 1.5), reference=(-3.0, -3.0), unit="a", loss="kto"),
        row((4, 5), (1,), weights=(-1.0,), reference=(-2.0,), unit="b", loss="kto"),
        row((1, 5), (1,), weights=(0.0,), reference=(-3.5,), unit="a", loss="kto"),
        row((4, 2, 3), (1, 2), weights=(0.0, 0.0), reference=(-4.0, -4.0), unit="b", loss="kto"),
    ]
    loss, logprobs = loss_of("kto", rows, {"beta": 0.3})
    a, b, c, d, e, f = logprobs.tolist()
    z = max(0.0, ((d + 3.5) + (e + 4 + f + 4)) / 2)
    assert z > 0
    good, bad = 1.5 * (1 - sigmoid(0.3 * (a + b + 6 - z))), 1 - sigmoid(0.3 * (z - (c + 2)))
    assert loss == pytest.approx((good + bad) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.0, 1.0, -1.0),
        (1.5, 1.0, -1.28),  # clipped above
        (1.5, -1.0, 1.5),  # and not where that would make it cheaper
        (0.5, 1.0, -0.5),
        (0.5, -1.0, 0.8),
        (9.0, -1.0, 3.0),  # cut off for good
    ],
)
def test_the_clipped_surrogate_by_hand(ratio: float, advantage: float, expected: float) -> None:
    model = Table(1, 2, 12)
    (logprob,) = token_logprobs(model, [row((1, 2), (1,))], PAD)[0].tolist()
    one = row((1, 2), (1,), weights=(advantage,), old=(logprob - math.log(ratio),), loss="policy")
    assert loss_of("grpo", [one])[0] == pytest.approx(expected, abs=1e-5)


def test_the_k3_divergence_is_added_per_token() -> None:
    model = Table(1, 2, 12)
    (logprob,) = token_logprobs(model, [row((1, 2), (1,))], PAD)[0].tolist()
    one = row((1, 2), (1,), weights=(1.0,), old=(logprob,), reference=(logprob - 0.7,), loss="policy")
    assert loss_of("grpo", [one], {"kl": 0.1})[0] == pytest.approx(-1 + 0.1 * (math.exp(-0.7) + 0.7 - 1), abs=1e-5)


def test_webrl_by_hand() -> None:
    rows = [
        row((1, 2, 3), (1, 2), weights=(0.5, 0.5), reference=(-2.0, -2.0), unit="a", loss="webrl"),
        row((1, 4), (1,), weights=(-0.5,), reference=(-1.0,), unit="b", loss="webrl"),
    ]
    loss, logprobs = loss_of("webrl", rows, {"beta": 0.5})
    a, b, c = logprobs.tolist()
    assert loss == pytest.approx(((0.5 * (a + b + 4) - 0.5) ** 2 + (0.5 * (c + 1) + 0.5) ** 2) / 2, abs=1e-5)


def test_losses_of_several_kinds_count_by_their_rows() -> None:
    imitated, policy = row((1, 2), (1,)), row((3, 4), (1,), weights=(2.0,), old=(-1.0,), loss="policy")
    loss, logprobs = loss_of("grpo", [imitated, policy, imitated])
    ratio = math.exp(logprobs[1].item() + 1)
    expected = -(logprobs[0].item() + logprobs[2].item()) / 2 * 2 / 3 - min(2 * ratio, 2 * min(ratio, 1.28)) / 3
    assert loss == pytest.approx(expected, abs=1e-5)


# Beside TRL: whatever its trainers do with the same token ids and masks. ------------------------------------------

PROMPTS = ((5, 6, 7), (8, 9), (10, 11, 12, 13))
ANSWERS = ((20, 21), (22, 23, 24), (25,))
OTHERS = ((26, 27, 28), (29,), (30, 31))


@pytest.fixture(scope="module")
def models(tiny: Path) -> tuple[Any, Any]:
    """(a model, what it was before it moved)."""
    reference = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    model = copy.deepcopy(reference)
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=noise)
    return model, reference


def answered(prompt: tuple[int, ...], answer: tuple[int, ...], **fields: Any) -> Row:
    return row((*prompt, *answer), tuple(range(len(prompt), len(prompt) + len(answer))), **fields)


def ours(name: str, rows: list[Row], models: tuple[Any, Any], options: dict[str, Any] | None = None) -> float:
    model, reference = models
    with_reference = scored(reference, rows, 64, pad_id=PAD)
    losses = {**IMITATE, **make_algorithm(name, options).losses()}
    return float(batch_loss(model, with_reference, losses, PAD).detach())


def trainer_of(kind: str, models: tuple[Any, Any], folder: Path, tiny: Path, data: dict[str, Any], **given: Any) -> Any:
    trl = pytest.importorskip("trl", reason="TRL is not installed: losses are compared with hand-worked values alone")
    from datasets import Dataset

    logging.getLogger("accelerate").setLevel(logging.ERROR)
    settings = getattr(trl, f"{kind}Config")(
        output_dir=str(folder), report_to="none", use_cpu=True, bf16=False, max_length=None, **given
    )
    reference = {} if kind == "SFT" else {"ref_model": models[1]}
    trainer = getattr(trl, f"{kind}Trainer")(
        model=copy.deepcopy(models[0]),
        args=settings,
        processing_class=PreTrainedTokenizerFast.from_pretrained(tiny),
        train_dataset=Dataset.from_dict(data),
        **reference,
    )
    trainer.model.eval()
    return trainer


def theirs(trainer: Any, examples: list[dict[str, Any]]) -> float:
    with torch.no_grad():
        return float(trainer.compute_loss(trainer.model, trainer.data_collator(examples)))


def test_imitation_is_trls_sft_loss(models: tuple[Any, Any], tmp_path: Path, tiny: Path) -> None:
    rows = [answered(prompt, answer) for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)]
    labels = [[token if at in one.trained else -100 for at, token in enumerate(one.ids)] for one in rows]
    data = {"input_ids": [list(one.ids) for one in rows], "labels": labels}
    trainer = trainer_of("SFT", models, tmp_path, tiny, data)
    examples = [{"input_ids": ids, "labels": label} for ids, label in zip(*data.values(), strict=True)]
    assert ours("rft", rows, models) == pytest.approx(theirs(trainer, examples), abs=1e-5)


TEXT = {
    "prompt": ["a"] * 3,
    "chosen": ["b"] * 3,
    "rejected": ["c"] * 3,
}  # its trainers ask for texts, and get ids below


@pytest.mark.parametrize("beta", [0.1, 0.7])
def test_dpo_is_trls(models: tuple[Any, Any], tmp_path: Path, tiny: Path, beta: float) -> None:
    rows = []
    for number, (prompt, better, worse) in enumerate(zip(PROMPTS, ANSWERS, OTHERS, strict=True)):
        rows += [
            answered(prompt, answer, weights=(side,) * len(answer), unit=f"pair-{number}", loss="dpo")
            for answer, side in ((better, 1.0), (worse, -1.0))
        ]
    trainer = trainer_of("DPO", models, tmp_path, tiny, TEXT, beta=beta)
    examples = [
        {"prompt_ids": list(prompt), "chosen_ids": list(better), "rejected_ids": list(worse)}
        for prompt, better, worse in zip(PROMPTS, ANSWERS, OTHERS, strict=True)
    ]
    found = ours("dpo", rows, models, {"beta": beta, "imitate": 0})
    assert found == pytest.approx(theirs(trainer, examples), abs=1e-5)
    assert abs(found - math.log(2)) > 1e-3  # the two models do differ


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.2, 0.9)])
def test_kto_is_trls(models: tuple[Any, Any], tmp_path: Path, tiny: Path, weights: tuple[float, float]) -> None:
    labels = (True, False, True)
    rows = [
        answered(
            prompt, answer, unit=str(number), loss="kto", weights=(weights[0] if good else -weights[1],) * len(answer)
        )
        for number, (prompt, answer, good) in enumerate(zip(PROMPTS, ANSWERS, labels, strict=True))
    ]
    data = {"prompt": ["a"] * 3, "completion": ["b"] * 3, "label": list(labels)}
    trainer = trainer_of(
        "KTO", models, tmp_path, tiny, data, beta=0.5, desirable_weight=weights[0], undesirable_weight=weights[1]
    )
    examples = [
        {"prompt_ids": list(prompt), "completion_ids": list(answer), "KL_completion_ids": list(before), "label": good}
        for prompt, answer, before, good in zip(PROMPTS, ANSWERS, (ANSWERS[-1], *ANSWERS[:-1]), labels, strict=True)
    ]
    found = ours("kto", [*rows, *mismatched(rows)], models, {"beta": 0.5})
    assert found == pytest.approx(theirs(trainer, examples), abs=1e-5)
