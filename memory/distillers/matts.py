"""MaTTS, parallel: several attempts at one task, told side by side, and what separates those that worked.

Source: Ouyang et al. 2025, "ReasoningBank: Scaling Agent Self-Evolving with Reasoning Memory", arXiv 2509.25140,
memory-aware test-time scaling. The method is theirs (k attempts, judged, one contrast call, at most 5 items); prompts
and code are ours. Choosing the best of the attempts is `wisen.memory.selection`.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from wisen.core.ids import derived_seed
from wisen.core.protocols import Model
from wisen.core.records import Author, ItemKind, MemoryItem, ModelRequest
from wisen.memory.distillers.attempts import Attempt, made_one, telling
from wisen.memory.distillers.writing import (
    Lesson,
    distil_prompt,
    lesson_item,
    lesson_rules,
    refuse_values,
    side_by_side,
    values_of,
)
from wisen.memory.structured import needs_chat, written
from wisen.memory.transcript import cut_for

PROMPT_VERSION = "1"
MAX_ITEMS = 5

_CONTRAST = """You compare several attempts of an agent at one and the same task, each with its verdict, to help it with
other tasks later. Look at them side by side: what do all that succeeded have in common, that those that failed lack?
Where do a success and a failure part, and what did each assume there? What did some do that made no difference? Trust a
pattern that several attempts show over one that a single attempt shows. Where all succeeded, write down what they
share; where all failed, what each of them overlooked, and what none of them tried."""


class _Lessons(BaseModel):
    items: Annotated[list[Lesson], Field(max_length=MAX_ITEMS)]


class MaTTS:
    """Up to five items from one contrast of all attempts at a task: strategies where any of them succeeded, warnings
    where none did. All of them are the evidence of each item.

    One attempt alone has nothing to be held against, and teaches nothing: let collection make several
    (`collect.attempts`). A reply that spells out a value of the task is malformed. Two malformed replies are a failed
    distillation: a warning in the log, no items. Everything else that `model` raises is passed on. Raises
    `SettingsError` for a model that cannot chat.
    """

    def __init__(self, model: Model, *, temperature: float = 1.0, max_tokens: int = 1536) -> None:
        self._model = needs_chat(model, "distil")
        self._temperature = temperature
        self._max_tokens = max_tokens

    @property
    def name(self) -> str:
        return "matts"

    async def distil(self, attempts: Sequence[Attempt]) -> tuple[MemoryItem, ...]:
        """Raises `SettingsError` for attempts at several tasks, for one that may not teach (of the gate or report
        phase), and for a verdict on another trajectory. The order of the attempts does not matter."""
        told = telling(attempts)
        if len(told) < 2:
            return ()
        values = values_of(trajectory for trajectory, _ in told)
        lessons = await written(
            self._model,
            self._request(told),
            _Lessons,
            by=self.name,
            about=told[0][0].task.id,
            check=lambda reply: refuse_values(values, _texts(reply)),
        )
        solved = any(verdict.success for _, verdict in told)
        kind = ItemKind.STRATEGY if solved else ItemKind.WARNING
        author = Author(distiller=self.name, model=self._model.name, prompt_version=PROMPT_VERSION)
        made = lessons.items if lessons else []
        return made_one(lesson_item(one, kind=kind, attempts=told, author=author) for one in made)

    def _request(self, told: Sequence[Attempt]) -> ModelRequest:
        return distil_prompt(
            _CONTRAST + "\n" + lesson_rules(MAX_ITEMS),
            side_by_side(told, **cut_for(len(told))),
            temperature=self._temperature,
            max_tokens=self._max_tokens,
            seed=derived_seed(self.name, PROMPT_VERSION, *(trajectory.id for trajectory, _ in told)),
        )


def _texts(reply: _Lessons) -> list[str]:
    return [text for item in reply.items for text in (item.title, item.when_to_use, item.when_not, item.content)]
