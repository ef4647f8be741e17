"""The training loop: masked rows in, weights out. It knows no algorithm; rows carry the weight of their loss."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wisen.core.records import Record
from wisen.trainers.dataset import Row

Progress = Callable[[int, int, float], None]  # tokens done, tokens in all, running loss


class LoopSettings(Record):
    """AdamW with a warm-up and a cosine decay to a tenth; batches of rows of similar length."""

    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    batch_tokens: int = 4096
    clip: float = 1.0


@dataclass(frozen=True)
class LoopResult:
    steps: int
    tokens: int
    first_loss: float
    last_loss: float
    seconds: float


def batches(rows: Sequence[Row], batch_tokens: int, *, seed: int) -> list[list[Row]]:
    """Rows in batches of at most `batch_tokens` after padding, similar lengths together, batches in random order."""
    draw = random.Random(seed)
    order = sorted(rows, key=lambda row: (row.tokens, draw.random()))
    result: list[list[Row]] = []
    batch: list[Row] = []
    for row in order:
        if batch and row.tokens * (len(batch) + 1) > batch_tokens:
            result.append(batch)
            batch = []
        batch.append(row)
    if batch:
        result.append(batch)
    draw.shuffle(result)
    return result


def row_losses(model: Any, batch: Sequence[Row], pad_id: int) -> tuple[Any, int]:
    """(sum of -log pi over the sampled tokens of the batch, their number).

    pi is the model's next-token distribution renormalised over the tokens that were allowed there: the distribution
    that the engine sampled from. A position where one token was allowed has -log pi = 0 and is not computed.
    """
    import torch

    longest = max(row.tokens for row in batch)
    ids = torch.full((len(batch), longest), pad_id)
    sees = torch.zeros((len(batch), longest), dtype=torch.long)
    places: list[tuple[int, int]] = []
    targets: list[int] = []
    allowed: list[tuple[int, ...]] = []
    for index, row in enumerate(batch):
        ids[index, : row.tokens] = torch.tensor(row.ids)
        sees[index, : row.tokens] = 1
        for position, options in zip(row.trained, row.allowed, strict=True):
            if len(options) != 1:
                places.append((index, position - 1))
                targets.append(row.ids[position])
                allowed.append(options)
    sampled = sum(len(row.trained) for row in batch)
    hidden = model.base_model(input_ids=ids, attention_mask=sees, use_cache=False).last_hidden_state
    if not places:
        return hidden.sum() * 0.0, sampled
    at = torch.tensor(places)
    logits = model.get_output_embeddings()(hidden[at[:, 0], at[:, 1]]).float()
    barred = torch.ones(logits.shape, dtype=torch.bool)
    for index, options in enumerate(allowed):
        barred[index, list(options) if options else slice(None)] = False
    logprobs = logits.masked_fill(barred, -torch.inf).log_softmax(dim=-1)
    return -logprobs[torch.arange(len(targets)), torch.tensor(targets)].sum(), sampled


def train(
    model: Any,
    epochs: Sequence[Sequence[Row]],
    settings: LoopSettings,
    *,
    pad_id: int,
    seed: int,
    on_progress: Progress | None = None,
) -> LoopResult:
    """Minimise the mean loss over each epoch's rows, in place. Deterministic for a seed and a number of threads."""
    import torch

    plan = [
        batch
        for number, rows in enumerate(epochs)
        for batch in batches(rows, settings.batch_tokens, seed=seed + number)
    ]
    total = sum(row.tokens for batch in plan for row in batch)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.95)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, len(plan), settings.warmup))
    started, done, running, first = time.monotonic(), 0, math.nan, math.nan
    model.train()
    for batch in plan:
        loss_sum, count = row_losses(model, batch, pad_id)
        loss = loss_sum / count
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        schedule.step()
        value = float(loss.detach())
        first = value if math.isnan(first) else first
        running = value if math.isnan(running) else 0.95 * running + 0.05 * value
        done += sum(row.tokens for row in batch)
        if on_progress is not None:
            on_progress(done, total, running)
    model.eval()
    return LoopResult(len(plan), done, first, running, time.monotonic() - started)


def _rate(step: int, total: int, warmup: float) -> float:
    rising = max(1, int(total * warmup))
    if step < rising:
        return (step + 1) / rising
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
