"""Where the spans of a conversation stand in its tokens, for chat templates that know nothing of spans.

The template is filled in a second time, each span's text replaced by a mark. What stands between the marks is the
template's own; put together with the texts it must give the first result, letter for letter. Pure.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from wisen.core.records import Message

Ranges = tuple[tuple[int, int], ...]
_MARK = re.compile("\ue0f0([0-9]+)\ue0f1")  # private letters: no template writes them


def marked(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same messages, each span's text a mark with its number."""
    number = 0
    result = []
    for message in messages:
        spans = []
        for span in message.spans:
            spans.append(span.model_copy(update={"text": f"\ue0f0{number}\ue0f1"}))
            number += 1
        result.append(message.model_copy(update={"spans": tuple(spans)}))
    return tuple(result)


def places(template: str, whole: str, texts: Sequence[str]) -> Ranges | None:
    """[start, end) in characters of each text in `whole`. template: as filled in with marks. Texts may have lost the
    blanks at their ends: many templates trim a message. None where that does not explain `whole`."""
    between = _MARK.split(template)
    if [int(number) for number in between[1::2]] != list(range(len(texts))):
        return None  # left out, repeated, or in another order
    at, found = len(between[0]), []
    if not whole.startswith(between[0]):
        return None
    for text, after in zip(texts, between[2::2], strict=True):
        forms = (form for form in (text, text.rstrip(), text.lstrip(), text.strip()) if whole.startswith(form, at))
        end = next((end for form in forms if whole.startswith(after, end := at + len(form))), None)
        if end is None:
            return None
        found.append((at, end))
        at = end + len(after)
    return tuple(found) if at == len(whole) else None


def tokens_within(offsets: Sequence[tuple[int, int]], found: Sequence[tuple[int, int]]) -> Ranges:
    """[start, end) in tokens of each [start, end) in characters: of all tokens that hold a part of it, so that nothing
    of it is left where they are taken out. A token with parts of two belongs to the first. offsets: of each token."""
    begins, ends = [begin for begin, _ in offsets], [end for _, end in offsets]
    result: list[tuple[int, int]] = []
    for start, end in found:
        first = bisect_right(ends, start) if end > start else bisect_left(begins, start)
        first = max(first, result[-1][1] if result else 0)
        result.append((first, max(first, bisect_left(begins, end)) if end > start else first))
    return tuple(result)
