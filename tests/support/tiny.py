"""A real backbone for tests: built on the spot in about a second, too small to know anything."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from wisen.core.records import (
    Message,
    ModelRequest,
    Purpose,
    Role,
    Span,
    SpanKind,
)
from wisen.models.tiny import TinyShape, build_tiny

SHAPE = TinyShape(vocab_size=400, hidden_size=32, layers=2, heads=2, feed_forward=64, context=256)
TEXTS = ('click button "Submit"', 'Click on the "Cancel" button.', 'text "Where to go?"', "link textbox") * 8


def build(folder: Path, *, seed: int = 1, texts: Iterable[str] = TEXTS) -> Path:
    """A tiny checkpoint at `folder`."""
    build_tiny(folder, texts, SHAPE, seed=seed)
    return folder


def asking(
    task: str, options: Sequence[str], *, page: str = "", memory: str = "", seed: int | None = 0, **fields: float
) -> ModelRequest:
    """A request to choose, with the spans that an agent sends."""
    spans = (
        *((Span(kind=SpanKind.MEMORY, text=memory, item_id="mem-1"),) if memory else ()),
        Span(kind=SpanKind.OBSERVATION, text=page),
        Span(kind=SpanKind.HISTORY, text=""),
        Span(kind=SpanKind.TASK, text=task),
    )
    return ModelRequest(
        purpose=Purpose.ACT,
        messages=(Message(role=Role.USER, spans=spans),),
        options=tuple(options),
        seed=seed,
        temperature=fields.get("temperature", 0.0),
        explore=fields.get("explore", 0.0),
    )
