"""Lessons as rows of tokens. The questions of a lesson are branches after their common beginning: each sees that and
itself, at the positions that it would have alone, so that one row holds several prompts as the engine reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wisen.models.tokens import Codec
from wisen.models.trie import TokenTree
from wisen.trainers.sprout.lessons import Ask

ROWS = (256, 512, 768, 1024)  # lengths of rows; attention is paid for all of a row
READ = 3  # of the rest of the text every so many tokens carries loss: the wide softmax is a good part of the cost


@dataclass
class Pack:
    """One lesson. ids, positions: its tokens. branch: 0 for the common beginning, else the question's number. answers:
    (place, token) of every answer token, place being the token before it. points: (place, token, admitted tokens)
    where an answer could have gone another way. asks: number of questions. verdict: whether they ask for one."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    answers: list[tuple[int, int]] = field(default_factory=list)
    points: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)
    asks: int = 0
    verdict: bool = False


def pack(codec: Codec, asks: Sequence[Ask], most: int = ROWS[-1]) -> Pack:
    """As many of the questions as fit."""
    spans = [[span for message in ask.messages for span in message.spans] for ask in asks]
    shared = 0
    while all(len(one) > shared + 1 for one in spans) and len({one[shared] for one in spans}) == 1:
        shared += 1
    made = Pack()
    for span in spans[0][:shared]:
        made.ids += codec.span(span.kind, span.text)
    start = len(made.ids)
    made.positions, made.branch = list(range(start)), [0] * start
    for ask, parts in zip(asks, spans, strict=True):
        ids = [token for span in parts[shared:] for token in codec.span(span.kind, span.text)]
        ids.append(codec.act_id)
        try:
            answer, admitted = _answer(codec, ask)
        except ValueError:  # two options that are different as text are the same as tokens
            continue
        if len(made.ids) + len(ids) + len(answer) > most:
            continue
        made.asks += 1
        made.verdict = bool(ask.rivals)
        begin = len(made.ids)
        at = begin + len(ids) - 1  # the place that the first answer token is told from
        for offset, token in enumerate(answer):
            made.answers.append((at + offset, token))
            if admitted and len(admitted[offset]) > 1:
                made.points.append((at + offset, token, admitted[offset]))
        made.ids += [*ids, *answer]
        made.positions += range(start, start + len(ids) + len(answer))
        made.branch += [made.asks] * (len(ids) + len(answer))
    return made


def _answer(codec: Codec, ask: Ask) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    if ask.options:
        return codec.answer(ask.options, ask.options.index(ask.answer))
    if not ask.rivals:
        return codec.written(ask.answer), ()
    tree = TokenTree.of([codec.written(text) for text in ask.rivals])
    path = tree.paths[ask.rivals.index(ask.answer)]
    return tuple(tree.tokens[node] for node in path), tree.allowed(path)


class Shelf:
    """Collects packs into rows of each length until a batch is full."""

    def __init__(self, batch_tokens: int) -> None:
        self._batch_tokens = batch_tokens
        self._open: dict[int, list[list[Pack]]] = {length: [] for length in ROWS}

    def put(self, made: Pack) -> tuple[int, list[list[Pack]]] | None:
        """(row length, rows) once there are enough rows of a length."""
        if not made.asks:
            return None
        length = next(one for one in ROWS if one >= len(made.ids))
        rows = self._open[length]
        room = next((row for row in rows[-8:] if sum(len(one.ids) for one in row) + len(made.ids) <= length), None)
        if room is not None:
            room.append(made)
            return None
        rows.append([made])
        if len(rows) * length <= self._batch_tokens:
            return None
        self._open[length] = [rows.pop()]
        return length, rows


@dataclass
class Batch:
    """Tensors of a batch: ids, positions [rows, length]; sees [rows, 1, length, length] booleans; places into the
    flattened rows with their tokens."""

    ids: Any
    positions: Any
    sees: Any
    answers: Any
    answer_tokens: Any
    points: Any
    point_tokens: Any
    barred: Any
    other: Any
    other_tokens: Any
    asks: int
    tokens: int


def batch_of(length: int, rows: Sequence[Sequence[Pack]], pad: int, vocabulary: int) -> Batch:
    import torch

    count = len(rows)
    ids = torch.full((count, length), pad)
    positions = torch.zeros((count, length), dtype=torch.long)
    document = torch.full((count, length), -1)
    branch = torch.zeros((count, length), dtype=torch.long)
    answers: list[tuple[int, int]] = []
    points: list[tuple[int, int, tuple[int, ...]]] = []
    for index, row in enumerate(rows):
        at = 0
        for number, one in enumerate(row):
            end = at + len(one.ids)
            ids[index, at:end] = torch.tensor(one.ids)
            positions[index, at:end] = torch.tensor(one.positions)
            branch[index, at:end] = torch.tensor(one.branch)
            document[index, at:end] = number
            base = index * length + at
            answers += [(base + place, token) for place, token in one.answers]
            points += [(base + place, token, admitted) for place, token, admitted in one.points]
            at = end
    before = torch.ones(length, length, dtype=torch.bool).tril()
    same = document[:, :, None] == document[:, None, :]
    along = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    sees = (same & along & before)[:, None]
    barred = torch.ones((len(points), vocabulary), dtype=torch.bool)
    for index, (_, _, admitted) in enumerate(points):
        barred[index, list(admitted)] = False
    # The rest of the text, for the loss of a language model: the next token in the same lesson and branch.
    follows = (document[:, :-1] == document[:, 1:]) & (branch[:, :-1] == branch[:, 1:]) & (document[:, :-1] >= 0)
    places = torch.nonzero(follows.reshape(-1)).squeeze(1)
    places = places + places // (length - 1)
    taken = torch.zeros(count * length, dtype=torch.bool)
    taken[[place for place, _ in answers]] = True
    places = places[~taken[places]][::READ]
    return Batch(
        ids=ids,
        positions=positions,
        sees=sees,
        answers=torch.tensor([place for place, _ in answers]),
        answer_tokens=torch.tensor([token for _, token in answers]),
        points=torch.tensor([place for place, _, _ in points], dtype=torch.long),
        point_tokens=torch.tensor([token for _, token, _ in points], dtype=torch.long),
        barred=barred,
        other=places,
        other_tokens=ids.reshape(-1)[places + 1],
        asks=sum(one.asks for row in rows for one in row),
        tokens=sum(len(one.ids) for row in rows for one in row),
    )
