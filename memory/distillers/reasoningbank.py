"""ReasoningBank: a language model draws strategies from successes and warnings from failures, one attempt at a time.

Source: Ouyang et al. 2025, "ReasoningBank: Scaling Agent Self-Evolving with Reasoning Memory", arXiv 2509.25140. The
method is theirs (separate prompts by outcome, few items, extraction at temperature 1); prompts and code are ours.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from wisen.core.ids import derived_seed
from wisen.core.protocols import Model
from wisen.core.records import Author, ItemKind, MemoryItem, ModelRequest, Trajectory, Verdict
from wisen.memory.distillers.attempts import Attempt, made_one, telling
from wisen.memory.distillers.writing import Lesson, distil_prompt, labelled, lesson_item, lesson_rules
from wisen.memory.structured import needs_chat, written

PROMPT_VERSION = "1"
MAX_ITEMS = 3

_SUCCESS = """You study how an agent completed a task, to help it with other tasks later. Find out what made this
attempt work: which observation was decisive, which order of actions mattered, what was checked before going on. Then
write that down as strategies that hold beyond this one task."""

_FAILURE = """You study why an agent failed a task, to keep it from failing other tasks the same way. First find the
cause: the earliest step after which the attempt could no longer succeed, and what the agent overlooked or assumed
there. Then write down the lesson that would have prevented it: how to notice the situation in time, and what to do
instead."""


class _Lessons(BaseModel):
    items: Annotated[list[Lesson], Field(max_length=MAX_ITEMS)]


class ReasoningBank:
    """Up to three items from each attempt: strategies from a success, warnings from a failure.

    Several attempts at one task are read one by one, side by side; an item that two of them yield word for word joins
    their evidence. A broken episode and one without a step teach nothing. Two malformed replies for an attempt are a
    failed distillation: a warning in the log, no items. Everything else that `model` raises is passed on.

    Items apply to the whole suite of their task, carry the trust of the environment (a page's words may be in them)
    and have ids that derive from their content. Raises `SettingsError` for a model that cannot chat.
    """

    def __init__(self, model: Model, *, temperature: float = 1.0, max_tokens: int = 1024) -> None:
        self._model = needs_chat(model, "distil")
        self._temperature = temperature
        self._max_tokens = max_tokens

    @property
    def name(self) -> str:
        return "reasoningbank"

    async def distil(self, attempts: Sequence[Attempt]) -> tuple[MemoryItem, ...]:
        """Raises `SettingsError` for attempts at several tasks, for one that may not teach (of the gate or report
        phase), and for a verdict on another trajectory. The order of the attempts does not matter."""
        calls = (self._one(*attempt) for attempt in telling(attempts))
        items: list[MemoryItem] = []
        for found in await asyncio.gather(*calls, return_exceptions=True):  # no call outlives this one
            if isinstance(found, BaseException):
                raise found
            items.extend(found)
        return made_one(items)

    async def _one(self, trajectory: Trajectory, verdict: Verdict) -> tuple[MemoryItem, ...]:
        request = self._request(trajectory, verdict)
        lessons = await written(self._model, request, _Lessons, by=self.name, about=trajectory.id)
        kind = ItemKind.STRATEGY if verdict.success else ItemKind.WARNING
        author = Author(distiller=self.name, model=self._model.name, prompt_version=PROMPT_VERSION)
        made = lessons.items if lessons else []
        return tuple(lesson_item(one, kind=kind, attempts=[(trajectory, verdict)], author=author) for one in made)

    def _request(self, trajectory: Trajectory, verdict: Verdict) -> ModelRequest:
        return distil_request(
            trajectory, verdict, temperature=self._temperature, max_tokens=self._max_tokens, distiller=self.name
        )


def distil_request(
    trajectory: Trajectory,
    verdict: Verdict,
    *,
    temperature: float = 1.0,
    max_tokens: int = 1024,
    distiller: str = "reasoningbank",
) -> ModelRequest:
    """What the model is asked for one attempt: the rules for its outcome, and the record with the verdict."""
    rules = (_SUCCESS if verdict.success else _FAILURE) + "\n" + lesson_rules(MAX_ITEMS)
    return distil_prompt(
        rules,
        labelled(trajectory, verdict),
        temperature=temperature,
        max_tokens=max_tokens,
        seed=derived_seed(distiller, PROMPT_VERSION, trajectory.id),
    )
