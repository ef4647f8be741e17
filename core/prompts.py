"""The prompt of a small backbone that chooses, as typed spans: what the agent sends, and what one is trained on."""

from collections.abc import Sequence

from wisen.core.records import MemoryItem, Message, Observation, Role, Span, SpanKind

HISTORY_LENGTH = 8
COMPACT_LINES = 24
COMPACT_LINE = 64


def compact(observation: Observation, history: Sequence[str], items: Sequence[MemoryItem]) -> tuple[Message, ...]:
    """Memory, page, what was done, and the task last, next to the act that answers it."""
    shown = positive_first(items)
    spans = [Span(kind=SpanKind.MEMORY, text=f"{item.when_to_use}\n{item.content}", item_id=item.id) for item in shown]
    spans.append(Span(kind=SpanKind.OBSERVATION, text=_shortened(observation.text)))
    spans.append(Span(kind=SpanKind.HISTORY, text="\n".join(history[-HISTORY_LENGTH:])))
    spans.append(Span(kind=SpanKind.TASK, text=observation.instruction))
    return (Message(role=Role.USER, spans=tuple(spans)),)


def positive_first(items: Sequence[MemoryItem]) -> tuple[MemoryItem, ...]:
    """Cases of failed attempts after all else; other than that the order stays (Memento, arXiv 2508.16153: positive
    cases, then negative ones)."""
    return tuple(sorted(items, key=lambda item: item.success is False))


def history_line(action: str, note: str) -> str:
    """A step as one line of history; the note is what the environment said to it."""
    return f"{action} ({note})" if note else action


def _shortened(text: str) -> str:
    lines = text.splitlines()[:COMPACT_LINES]
    return "\n".join(line if len(line) <= COMPACT_LINE else line[: COMPACT_LINE - 1] + "…" for line in lines)
