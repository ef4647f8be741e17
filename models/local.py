"""A local model: any transformers causal language model by folder or hub id, which chooses, writes, scores and embeds.

It is a face of an engine, with a name and perhaps an adapter. Faces of one engine share its weights, its cache and its
passes.
"""

import copy
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wisen.core.errors import ModelFault, SettingsError
from wisen.core.protocols import Capability
from wisen.core.records import Message, ModelReply, ModelRequest, Record, ToolSpec
from wisen.models.constraint import JsonText, Shape, compile_shape
from wisen.models.decoding import Decoding, Generation
from wisen.models.engine.engine import ContextOverflow, Engine
from wisen.models.engine.jobs import Scores, StateJob, TreeJob
from wisen.models.pretrained import load_pretrained
from wisen.models.prompting import Prompting
from wisen.models.replying import chosen, written
from wisen.models.sampling import Sampling
from wisen.models.spanning import Ranges
from wisen.models.trie import TokenTree
from wisen.models.vocabulary import Vocabulary

DEFAULT_NEW_TOKENS = 2048  # where the request sets no limit and the context has room for more


class AnswerScore(Record):
    """Of a given answer. logprob: of its text and its end, among all that the model might have written. share: its
    probability if it had to be one of the given answers, token by token."""

    logprob: float
    share: float


class LocalModel:
    """Implements `wisen.core.protocols.Model`. adapter: the LoRA adapter that it answers with, "" for none."""

    def __init__(self, engine: Engine, *, name: str, adapter: str = "") -> None:
        self.name, self.adapter = name, adapter
        self.engine = engine
        try:
            self.vocabulary = Vocabulary(engine.loaded.tokenizer, engine.loaded.ends)
        except SettingsError as error:
            raise SettingsError(f"{name} cannot be served: {error.problem}", error.hint) from error
        self._prompting = Prompting(engine.loaded.tokenizer, self.vocabulary.ends)
        writes = () if self._prompting.spans else (Capability.TOOLS, Capability.SCHEMA)
        self.capabilities = frozenset((Capability.CHOICE, Capability.CHAT, Capability.TOKENS, *writes))

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        name: str,
        device: str = "cpu",
        dtype: str = "auto",
        threads: int | None = None,
        max_running: int = 16,
        max_waiting: int = 256,
        cache_bytes: int | None = None,
    ) -> Self:
        """From a folder or a hub id. Raises `SettingsError` for what cannot be served or does not fit in memory."""
        loaded = load_pretrained(str(source), device=device, dtype=dtype)
        engine = Engine(
            loaded,
            name=name,
            threads=threads,
            max_running=max_running,
            max_waiting=max_waiting,
            cache_bytes=cache_bytes,
        )
        return cls(engine, name=name)

    async def with_adapter(self, name: str, folder: Path) -> "LocalModel":
        """The same base with a LoRA adapter in PEFT's format, under a name that never means another one. Raises
        `SettingsError` for what is no such adapter, or does not fit in memory."""
        await self.engine.add_adapter(name, folder)
        face = copy.copy(self)  # its vocabulary is the base's
        face.name = face.adapter = name
        return face

    async def remove(self) -> None:
        """Stop serving this adapter: requests in progress are answered, later ones raise `NoAdapter`, its weights are
        forgotten. The base stays."""
        if not self.adapter:
            raise SettingsError(f"{self.name} is no adapter", "close the model instead")
        await self.engine.remove_adapter(self.adapter)

    @property
    def context(self) -> int:
        return self.engine.context

    @property
    def parameters(self) -> int:
        return int(self.engine.loaded.model.num_parameters())

    @property
    def running(self) -> int:
        """Requests of this engine that are being computed or wait."""
        return self.engine.running

    @property
    def chat_stops(self) -> tuple[str, ...]:
        """Texts that end a reply in this model's chat format, beside its end token."""
        return self._prompting.chat.stops

    async def call(self, request: ModelRequest) -> ModelReply:
        """Choose among `request.options`, or write where there are none. The reply carries the sampled tokens, and for
        a choice every option's log-probability."""
        if request.seed is None and (request.temperature > 0 or request.explore > 0):
            raise SettingsError("sampling needs a seed")
        if request.options and request.tools:
            raise SettingsError("a choice among options calls no tools")
        if request.tools and Capability.TOOLS not in self.capabilities:
            raise SettingsError(f"{self.name} calls no tools")
        if request.reply_schema is not None:
            self._admit_schema(request)
        prompt, ranges = self._prompting.encode(request.messages, request.tools)
        if request.options:
            return await self._choose(request, prompt, ranges)
        if request.explore > 0:
            raise SettingsError(f"{self.name} explores among options and was given none")
        return await self._write(request, prompt, ranges)

    async def close(self) -> None:
        """Stop the engine, for all of its faces. Calls that still wait raise `ModelFault`."""
        await self.engine.close()

    async def chat_prompt(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = (), opening: str = ""
    ) -> tuple[int, ...]:
        """A conversation as token ids. Raises `SettingsError` where the model's chat template refuses it."""
        return await self.engine.in_thread(lambda: self._prompting.chat.encode(messages, tools, opening))

    async def text_prompt(self, prompt: str) -> tuple[int, ...]:
        return await self.engine.in_thread(lambda: self._prompting.chat.text(prompt))

    async def start(self, prompt_ids: Sequence[int], sampling: Sampling, shape: Shape | None = None) -> Generation:
        """Begin a text. Raises `ContextOverflow`, `SettingsError` for a shape that cannot be enforced or ids that the
        model does not have, and `ModelFault` when too many wait; after that nothing is refused."""
        ids = self._checked(prompt_ids)
        limit = sampling.max_tokens or max(1, min(self.context - len(ids), DEFAULT_NEW_TOKENS))
        self.engine.check(len(ids), limit)
        constraint = None
        if shape is not None:
            tokenizer = self.engine.loaded.tokenizer
            constraint = await self.engine.in_thread(lambda: compile_shape(shape, tokenizer, self.vocabulary))
        generation = Generation(self.engine.leave)
        width = self.engine.loaded.width
        generation.decoding = Decoding(
            self.vocabulary, width, ids, sampling, limit, constraint, owner=self.adapter, tell=generation.put
        )
        if generation.decoding.tree is not None:
            self.engine.check(len(ids), generation.decoding.room)
        self.engine.submit(generation.decoding, patient=False)
        return generation

    async def score(self, prompt_ids: Sequence[int], answers: Sequence[str]) -> tuple[AnswerScore, ...]:
        """How probable each answer is after a prompt, all from one pass: P(True) is the share of "True" beside
        "False" (Kadavath et al. 2022, arXiv 2207.05221)."""
        tree = self._tree(answers)
        scores = await self._scores(self._checked(prompt_ids), tree)
        among = tree.logprobs(scores.logits)
        every = scores.logits - scores.totals
        return tuple(
            AnswerScore(logprob=float(every[list(path)].sum()), share=float(np.exp(among[list(path)].sum())))
            for path in tree.paths
        )

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, d] the last layer's states at the ends of texts, as unit vectors. A text's vector does not depend on the
        texts beside it."""
        jobs = []
        for text in texts:
            ids = self._checked(await self.text_prompt(text))
            self.engine.check(len(ids), 0)
            jobs.append(StateJob(ids, self.adapter))
        try:
            for job in jobs:
                self.engine.submit(job)
            found = np.stack([await job.answer for job in jobs])
        finally:
            for job in jobs:
                self.engine.leave(job)
        return (found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)).astype(np.float32)

    async def _choose(self, request: ModelRequest, prompt: tuple[int, ...], ranges: Ranges) -> ModelReply:
        tree = self._tree(request.options)
        scores = await self._scores(prompt, tree)
        return chosen(request, prompt, ranges, tree, scores)

    async def _scores(self, prompt: tuple[int, ...], tree: TokenTree) -> Scores:
        size = len(tree.tokens)
        if len(prompt) + size > self.context:
            raise ContextOverflow(
                f"a prompt of {len(prompt)} tokens with {size} of options exceeds the context of {self.context}"
            )
        job = TreeJob(prompt, self.adapter, tree)
        self.engine.submit(job)
        try:
            scores: Scores = await job.answer
        finally:
            self.engine.leave(job)
        return scores

    def _admit_schema(self, request: ModelRequest) -> None:
        if Capability.SCHEMA not in self.capabilities:
            raise SettingsError(f"{self.name} writes no JSON")
        if request.tools or request.options:
            raise SettingsError("a reply under a schema calls no tools, and is no choice")

    async def _write(self, request: ModelRequest, prompt: tuple[int, ...], ranges: Ranges) -> ModelReply:
        shape = None if request.reply_schema is None else JsonText(schema_=request.reply_schema)
        sampling = Sampling(
            temperature=request.temperature,
            seed=request.seed or 0,
            max_tokens=request.max_tokens,
            stop=() if shape else self.chat_stops,  # a stop may be a part of what a grammar makes
        )
        generation = await self.start(prompt, sampling, shape)
        async with aclosing(generation):
            tokens = [token async for token in generation]
        reply = written(request, prompt, ranges, tokens)
        # What the schema admitted at each token is not kept: the log-probabilities alone would mislead a trainer.
        return reply if shape is None else reply.model_copy(update={"tokens": None})

    def _checked(self, prompt_ids: Sequence[int]) -> tuple[int, ...]:
        ids = tuple(prompt_ids)
        if not ids or min(ids) < 0 or max(ids) >= self.vocabulary.size:
            raise SettingsError(
                "the prompt is empty" if not ids else "the prompt holds ids that the model does not have"
            )
        return ids

    def _tree(self, options: Sequence[str]) -> TokenTree:
        try:
            return TokenTree.of([self._prompting.option(option) for option in options])
        except ValueError as error:  # "be fu" and "befu" may be the same tokens
            raise ModelFault(f"{self.name} cannot tell these options apart: {error}") from error
