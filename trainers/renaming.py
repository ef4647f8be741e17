"""Augmentation by renaming: labels of a page are replaced consistently, so that a policy learns to match names
instead of remembering them.

The renamed rows are new rows: they are tokenised afresh, and never stand in for what was sampled.
"""

import random
import re
import string
from collections.abc import Sequence
from dataclasses import replace

from wisen.core.ids import derived_seed
from wisen.core.records import Message, ModelRequest, SpanKind
from wisen.models.tokens import Codec
from wisen.trainers.dataset import Row, Source, continuation

_QUOTED = re.compile(r'"([^"\n]+)"')


def labels_of(request: ModelRequest) -> tuple[str, ...]:
    """The quoted names in a request's options, in order of appearance."""
    return tuple(dict.fromkeys(name for option in request.options for name in _QUOTED.findall(option)))


def renamed(row: Row, codec: Codec, pool: Sequence[str], *, share: float, seed: int) -> Row | None:
    """The row with about `share` of its labels replaced by others of `pool` or by made-up ones, the same everywhere in
    prompt and options; None where nothing was renamed, or two options would become one."""
    if row.request is None:
        return None
    draw = random.Random(derived_seed(seed, row.ids))
    names = {name: _new_name(pool, draw) for name in labels_of(row.request) if draw.random() < share}
    if not names:
        return None
    request = _rename(row.request, names)
    if len(set(request.options)) < len(request.options):
        return None
    try:
        sampled, admitted = codec.answer(request.options, row.choice)
    except ValueError:  # different as text, the same as tokens
        return None
    prompt, ranges = codec.prompt(request.messages)
    spans = [span for message in request.messages for span in message.spans]
    memory = tuple(place for span, place in zip(spans, ranges, strict=True) if span.kind is SpanKind.MEMORY)
    ids, trained, allowed = continuation(prompt, sampled, admitted)
    made = replace(row, ids=ids, trained=trained, allowed=allowed, request=request, old=(), source=Source.RENAMED)
    return replace(made, memory=memory if row.memory else ())


def _rename(request: ModelRequest, names: dict[str, str]) -> ModelRequest:
    whole = sorted(names, key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, whole)) + r")(?!\w)")

    def text(value: str) -> str:
        return pattern.sub(lambda match: names[match[0]], value)

    def message(value: Message) -> Message:
        spans = tuple(
            span if span.kind is SpanKind.MEMORY else span.model_copy(update={"text": text(span.text)})
            for span in value.spans
        )
        return value.model_copy(update={"spans": spans})

    return request.model_copy(
        update={
            "messages": tuple(message(value) for value in request.messages),
            "options": tuple(text(option) for option in request.options),
        }
    )


def _new_name(pool: Sequence[str], draw: random.Random) -> str:
    if pool and draw.random() < 0.5:
        return draw.choice(pool)
    letters = string.ascii_letters + string.digits
    return "".join(draw.choice(letters) for _ in range(draw.randint(2, 7)))
