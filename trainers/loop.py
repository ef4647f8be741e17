"""The training loop: masked rows in, weights out. It knows no algorithm: each row names the loss that it is part of,
and the loop adds up what those losses say of every token."""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Seen:
    """What a loss sees of a batch: one value per token that carries loss and had an alternative, row by row.

    logprobs: [n] with gradient. at: [n] which of `rows` a token is of. units: [n] which example it belongs to, numbered
    from 0. weights, old, reference: [n] as the rows have them; log-probabilities that a row does not know are not a
    number.
    """

    rows: tuple[Row, ...]
    logprobs: Any
    at: Any
    units: Any
    weights: Any
    old: Any
    reference: Any

    @property
    def count(self) -> int:
        """Over how many the loss is a mean: units where rows have them, else tokens that carry loss."""
        named = {row.unit for row in self.rows}
        return sum(len(row.trained) for row in self.rows) if named == {""} else len(named)

    def per_unit(self, values: Any) -> Any:
        """[units] sums of values per token."""
        return values.new_zeros(len({row.unit for row in self.rows})).index_add(0, self.units, values)

    def spread(self, values: Any) -> Any:
        """[n] values per unit, each laid on its tokens in equal parts: they add up to the same."""
        import torch

        shares = torch.ones_like(self.logprobs.detach())
        return values[self.units] / self.per_unit(shares)[self.units]


Loss = Callable[[Seen], Any]  # [n] what each token costs


def imitate(seen: Seen) -> Any:
    """-w log pi of each token."""
    return -(seen.weights * seen.logprobs)


IMITATE: Mapping[str, Loss] = {"imitate": imitate}


def batches(rows: Sequence[Row], batch_tokens: int, *, seed: int) -> list[list[Row]]:
    """Rows in batches of at most `batch_tokens` after padding, similar lengths together, batches in random order. Rows
    of one unit share a batch, however large that makes it."""
    draw = random.Random(seed)
    bundles: dict[object, list[Row]] = {}
    for number, row in enumerate(rows):
        bundles.setdefault((row.loss, row.unit) if row.unit else number, []).append(row)
    order = sorted(bundles.values(), key=lambda bundle: (_longest(bundle), draw.random()))
    result: list[list[Row]] = []
    batch: list[Row] = []
    for bundle in order:
        if batch and _longest(bundle) * (len(batch) + len(bundle)) > batch_tokens:
            result.append(batch)
            batch = []
        batch += bundle
    if batch:
        result.append(batch)
    draw.shuffle(result)
    return result


def token_logprobs(model: Any, batch: Sequence[Row], pad_id: int) -> tuple[Any, list[tuple[int, int]], Any]:
    """(log pi [n], [(row, which of its trained tokens)], hidden states) of the tokens that carry loss.

    pi is the model's next-token distribution renormalised over the tokens that were allowed there: the distribution
    that the engine sampled from. A position where one token was allowed has log pi = 0 and is not computed.
    """
    import torch

    longest = max(row.tokens for row in batch)
    ids = torch.full((len(batch), longest), pad_id)
    sees = torch.zeros((len(batch), longest), dtype=torch.long)
    places: list[tuple[int, int]] = []
    tokens: list[tuple[int, int]] = []
    targets: list[int] = []
    allowed: list[tuple[int, ...]] = []
    for index, row in enumerate(batch):
        ids[index, : row.tokens] = torch.tensor(row.ids)
        sees[index, : row.tokens] = 1
        for number, (position, options) in enumerate(zip(row.trained, row.allowed, strict=True)):
            if len(options) != 1:
                places.append((index, position - 1))
                tokens.append((index, number))
                targets.append(row.ids[position])
                allowed.append(options)
    device = model.device
    given = {"input_ids": ids.to(device), "attention_mask": sees.to(device)}
    hidden = model.base_model(**given, use_cache=False).last_hidden_state
    if not places:
        return hidden.new_zeros(0), tokens, hidden
    at = torch.tensor(places)
    logits = model.get_output_embeddings()(hidden[at[:, 0], at[:, 1]]).float()
    barred = torch.ones(logits.shape, dtype=torch.bool)
    for index, options in enumerate(allowed):
        barred[index, list(options) if options else slice(None)] = False
    logprobs = logits.masked_fill(barred.to(device), -torch.inf).log_softmax(dim=-1)
    return logprobs[torch.arange(len(targets)), torch.tensor(targets)], tokens, hidden


def batch_loss(model: Any, batch: Sequence[Row], losses: Mapping[str, Loss], pad_id: int) -> Any:
    """The loss of a batch: of each loss in it the mean over its units or tokens, each counted by its share of the
    rows."""
    logprobs, tokens, hidden = token_logprobs(model, batch, pad_id)
    total = None
    for name in sorted({row.loss for row in batch}):
        rows = [index for index, row in enumerate(batch) if row.loss == name]
        seen = _seen(batch, rows, logprobs, tokens)
        # A batch without an alternative has a loss, and a gradient, of 0.
        part = losses[name](seen).sum() if len(seen.logprobs) else hidden.sum() * 0.0
        part = part / seen.count * (len(rows) / len(batch))
        total = part if total is None else total + part
    return total


def row_losses(model: Any, batch: Sequence[Row], pad_id: int) -> tuple[Any, int]:
    """(sum of -log pi over the tokens of the batch that carry loss, their number)."""
    logprobs, _, hidden = token_logprobs(model, batch, pad_id)
    return (-logprobs.sum() if len(logprobs) else hidden.sum() * 0.0), sum(len(row.trained) for row in batch)


def _seen(batch: Sequence[Row], rows: Sequence[int], logprobs: Any, tokens: Sequence[tuple[int, int]]) -> Seen:
    import torch

    place = {index: number for number, index in enumerate(rows)}
    mine = [number for number, (index, _) in enumerate(tokens) if index in place]
    at = [tokens[number] for number in mine]
    names = {name: number for number, name in enumerate(dict.fromkeys(batch[index].unit for index in rows))}
    unknown = math.nan

    def values(of: Callable[[Row], tuple[float, ...]], default: float) -> Any:
        return torch.tensor([of(batch[index])[number] if of(batch[index]) else default for index, number in at]).to(
            logprobs.device
        )

    return Seen(
        rows=tuple(batch[index] for index in rows),
        logprobs=logprobs if len(mine) == len(tokens) else logprobs[mine],
        at=torch.tensor([place[index] for index, _ in at], dtype=torch.long).to(logprobs.device),
        units=torch.tensor([names[batch[index].unit] for index, _ in at], dtype=torch.long).to(logprobs.device),
        weights=values(lambda row: row.weights, 1.0),
        old=values(lambda row: row.old, unknown),
        reference=values(lambda row: row.reference, unknown),
    )


def scored(model: Any, rows: Sequence[Row], batch_tokens: int, *, pad_id: int) -> list[Row]:
    """The rows with `reference`: the log-probability of each trained token under the model as it is."""
    import torch

    found: dict[int, tuple[float, ...]] = {}
    order = sorted(range(len(rows)), key=lambda index: rows[index].tokens)
    model.eval()
    while order:
        size = max(1, batch_tokens // rows[order[-1]].tokens)  # the longest go first
        part, order = order[-size:], order[:-size]
        with torch.no_grad():
            logprobs, tokens, _ = token_logprobs(model, [rows[index] for index in part], pad_id)
        values = [[0.0] * len(rows[index].trained) for index in part]
        for (at, number), value in zip(tokens, logprobs.tolist(), strict=True):
            values[at][number] = value
        found |= {index: tuple(each) for index, each in zip(part, values, strict=True)}
    return [replace(row, reference=found[index]) for index, row in enumerate(rows)]


def train(
    model: Any,
    epochs: Sequence[Sequence[Row]],
    settings: LoopSettings,
    *,
    pad_id: int,
    seed: int,
    losses: Mapping[str, Loss] = IMITATE,
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
    weights = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.95)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, len(plan), settings.warmup))
    started, done, running, first = time.monotonic(), 0, math.nan, math.nan
    model.train()
    for batch in plan:
        loss = batch_loss(model, batch, losses, pad_id)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, settings.clip)
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


def _longest(bundle: Sequence[Row]) -> int:
    return max(row.tokens for row in bundle)


def _rate(step: int, total: int, warmup: float) -> float:
    rising = max(1, int(total * warmup))
    if step < rising:
        return (step + 1) / rising
    return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
