"""The local engine: a transformers causal language model that chooses among given options.

Concurrent requests are gathered into batches. Each row is padded to a multiple of `ROW_STEP` tokens and is batched only
with rows of its own length, so that its result does not depend on its neighbours, bit for bit (tested on CPU).
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wisen.core.errors import ModelFault, SettingsError
from wisen.core.ids import derived_seed
from wisen.core.protocols import Capability
from wisen.core.records import Choice, ModelReply, ModelRequest, SampledTokens, Usage
from wisen.models.quiet import quiet_transformers
from wisen.models.tokens import Codec
from wisen.models.trie import ROOT, TokenTree

ROW_STEP = 32


@dataclass(frozen=True, eq=False)
class _Row:
    """One request as tokens, and where its answer goes."""

    request: ModelRequest
    prompt: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    tree: TokenTree
    answer: "asyncio.Future[ModelReply]"

    @property
    def length(self) -> int:
        return -(-(len(self.prompt) + len(self.tree.tokens)) // ROW_STEP) * ROW_STEP


class LocalEngine:
    """Serves one checkpoint folder in the transformers format. One thread computes; callers wait without blocking."""

    capabilities = frozenset((Capability.CHOICE, Capability.TOKENS))

    def __init__(self, folder: Path, *, name: str, max_batch: int = 8, device: str = "cpu", threads: int = 1) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        quiet_transformers()
        self.name = name
        self._torch = torch
        self._codec = Codec.load(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._model = model.to(device).eval()
        self._device = device
        self._threads = threads
        self._context = int(self._model.config.max_position_embeddings)
        self._max_batch = max_batch
        self._waiting: list[_Row] = []
        self._pump: asyncio.Task[None] | None = None
        self._open: set[asyncio.Future[ModelReply]] = set()

    async def call(self, request: ModelRequest) -> ModelReply:
        """Choose among `request.options`. The reply carries every option's log-probability and the sampled tokens."""
        row = self._row(request)
        self._waiting.append(row)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._serve())
        self._open.add(row.answer)
        try:
            return await row.answer
        finally:
            self._open.discard(row.answer)

    async def close(self) -> None:
        """Stop. Calls that still wait raise `ModelFault`."""
        if self._pump is not None and not self._pump.done():
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        self._waiting = []
        for answer in self._open:
            if not answer.done():
                answer.set_exception(ModelFault(f"{self.name} was closed while it was asked"))

    def _row(self, request: ModelRequest) -> _Row:
        if not request.options:
            raise SettingsError(
                f"{self.name} chooses among options and was given none",
                "this environment needs a model that writes text",
            )
        if request.seed is None and (request.temperature > 0 or request.explore > 0):
            raise SettingsError("sampling needs a seed")
        prompt, ranges = self._codec.prompt(request.messages)
        try:
            tree = TokenTree.of([self._codec.option(option) for option in request.options])
        except ValueError as error:  # "be fu" and "befu" may be the same tokens
            raise ModelFault(f"{self.name} cannot tell these options apart: {error}") from error
        row = _Row(request, prompt, ranges, tree, asyncio.get_running_loop().create_future())
        if row.length > self._context:
            raise ModelFault(
                f"a prompt of {len(prompt)} tokens with {len(tree.tokens)} of options "
                f"exceeds the context of {self._context}"
            )
        return row

    async def _serve(self) -> None:
        while self._waiting:
            await asyncio.sleep(0)  # lets every episode that is ready put its request in first
            length = self._waiting[0].length
            batch = [row for row in self._waiting if row.length == length][: self._max_batch]
            taken = set(batch)
            self._waiting = [row for row in self._waiting if row not in taken]
            try:
                replies = await asyncio.to_thread(self._compute, batch)
            except Exception as error:  # whatever torch raises belongs to the callers, not to this task
                for row in batch:
                    if not row.answer.done():
                        row.answer.set_exception(ModelFault(f"{self.name} failed: {error}"))
                continue
            for row, reply in zip(batch, replies, strict=True):
                if not row.answer.done():
                    row.answer.set_result(reply)

    def _compute(self, batch: Sequence[_Row]) -> list[ModelReply]:
        """One forward pass over [rows, length]: each row is its prompt followed by its token tree."""
        torch = self._torch
        # Torch counts threads per calling thread, and another count rounds the last digit otherwise.
        torch.set_num_threads(self._threads)
        length = batch[0].length
        ids = torch.full((len(batch), length), self._codec.pad_id)
        positions = torch.zeros((len(batch), length), dtype=torch.long)
        sees = torch.zeros((len(batch), 1, length, length), dtype=torch.bool)
        for index, row in enumerate(batch):
            start, size = len(row.prompt), len(row.tree.tokens)
            end = start + size
            ids[index, :end] = torch.tensor(row.prompt + row.tree.tokens)
            positions[index, :end] = torch.tensor([*range(start), *(start + depth for depth in row.tree.depths)])
            sees[index, 0, :start, :start] = torch.ones(start, start, dtype=torch.bool).tril()
            sees[index, 0, start:end, :start] = True
            sees[index, 0, start:end, start:end] = torch.from_numpy(row.tree.ancestry())
            sees[index, 0, range(end, length), range(end, length)] = True  # padding sees itself: no empty softmax
        blocked = torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)
        with torch.inference_mode():
            hidden = self._model.base_model(
                input_ids=ids.to(self._device),
                attention_mask=blocked.to(self._device),
                position_ids=positions.to(self._device),
                use_cache=False,
            ).last_hidden_state
            replies = []
            for index, row in enumerate(batch):
                start = len(row.prompt)
                at = [start - 1 if parent == ROOT else start + parent for parent in row.tree.parents]
                logits = self._model.get_output_embeddings()(hidden[index, at])
                scores = logits[range(len(at)), list(row.tree.tokens)]
                replies.append(_reply(row, scores.double().cpu().numpy()))
        return replies


def _reply(row: _Row, scores: Any) -> ModelReply:
    tree, request = row.tree, row.request
    nodes = tree.logprobs(scores)
    options = np.array([nodes[list(path)].sum() for path in tree.paths])
    index, explored = pick(options, request)
    path = tree.paths[index]
    return ModelReply(
        text=request.options[index],
        choice=Choice(logprobs=tuple(round(float(value), 6) for value in options), index=index, explored=explored),
        tokens=SampledTokens(
            prompt_ids=row.prompt,
            span_ranges=row.ranges,
            sampled_ids=tuple(tree.tokens[node] for node in path),
            logprobs=tuple(round(float(nodes[node]), 6) for node in path),
            allowed=tree.allowed(path),
        ),
        usage=Usage(prompt_tokens=len(row.prompt), completion_tokens=len(path)),
    )


def pick(logprobs: Any, request: ModelRequest) -> tuple[int, bool]:
    """(index, explored): the option taken. `explore` is the share of draws that are uniform; temperature 0 takes the
    most probable, the first of equals; else option i has probability proportional to exp(logprob_i / temperature)."""
    draw = random.Random(derived_seed(request.seed, "pick"))
    if request.explore > 0 and draw.random() < request.explore:
        return draw.randrange(len(logprobs)), True
    if request.temperature <= 0:
        return int(np.argmax(logprobs)), False
    weights = np.exp((logprobs - logprobs.max()) / request.temperature)
    return draw.choices(range(len(weights)), weights=weights.tolist())[0], False
