"""Prompts as spans. Two styles: `compact` for a small backbone that chooses, `instruct` for models that converse."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from wisen.core.ids import content_id
from wisen.core.prompts import COMPACT_LINE, COMPACT_LINES, HISTORY_LENGTH, compact, positive_first
from wisen.core.records import MemoryItem, Message, Observation, Role, Span, SpanKind

__all__ = [
    "COMPACT_LINE",
    "COMPACT_LINES",
    "HISTORY_LENGTH",
    "Style",
    "advice",
    "compact",
    "harness_parts",
    "harness_version",
    "instruct",
    "positive_first",
]

PROMPT_VERSION = "1"

SYSTEM = """\
You act in an environment, one action at a time, until the task is done.
Each turn you see the task, what you did so far and what the environment shows now. Take the one action that brings \
the task forward. Do only what the task asks for; a wrong action can end the episode."""

WITH_TOOLS = "Answer with exactly one tool call."
WITH_OPTIONS = "Answer with exactly one of the listed actions, word for word, on a line of its own, and nothing else."
IN_WORDS = "Answer with the action alone, as the environment takes it: no explanation, no quotes around it."

MEMORY_NOTE = (
    "Advice from earlier attempts at similar tasks. It may not fit this one: "
    "judge it against what you see before you follow it."
)


class Style(StrEnum):
    COMPACT = "compact"
    INSTRUCT = "instruct"


def instruct(
    observation: Observation, history: Sequence[str], items: Sequence[MemoryItem], *, tools: bool
) -> tuple[Message, ...]:
    """System rules, then one message with advice, task, history and observation."""
    how = WITH_TOOLS if tools else WITH_OPTIONS if observation.actions else IN_WORDS
    system = Message(role=Role.SYSTEM, spans=(Span(kind=SpanKind.SYSTEM, text=f"{SYSTEM}\n{how}"),))
    shown = positive_first(items)
    spans = [Span(kind=SpanKind.MEMORY, text=f"{MEMORY_NOTE}\n{advice(item)}", item_id=item.id) for item in shown]
    spans.append(Span(kind=SpanKind.TASK, text=f"Task: {observation.instruction}"))
    if history:
        done = "\n".join(f"{number}. {line}" for number, line in enumerate(history, start=1))
        spans.append(Span(kind=SpanKind.HISTORY, text=f"Done so far:\n{done}"))
    spans.append(Span(kind=SpanKind.OBSERVATION, text=f"The environment shows:\n{observation.text}"))
    if not tools and observation.actions:
        listed = "\n".join(observation.actions)
        spans.append(Span(kind=SpanKind.OBSERVATION, text=f"Possible actions:\n{listed}"))
    return (system, Message(role=Role.USER, spans=tuple(spans)))


def advice(item: MemoryItem) -> str:
    """A memory item as a person would be told it."""
    lines = [f"{item.title}", f"When: {item.when_to_use}"]
    if item.when_not:
        lines.append(f"Not when: {item.when_not}")
    return "\n".join([*lines, item.content])


def harness_version(**limits: int | float) -> str:
    """Names what surrounds the model: prompts and limits. Another harness is another release."""
    return content_id("harness", *harness_parts(**limits))


def harness_parts(**limits: int | float) -> list[Any]:
    """What the harness is made of."""
    return [PROMPT_VERSION, SYSTEM, WITH_TOOLS, WITH_OPTIONS, IN_WORDS, MEMORY_NOTE, COMPACT_LINE, limits]
