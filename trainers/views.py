"""Views of a dataset beside single decisions: pairs, splices, next states, reflections. Pure."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from wisen.core.prompts import HISTORY_LENGTH, compact, history_line
from wisen.core.records import Message, ModelRequest, SpanKind, Step, Trajectory
from wisen.models.tokens import Codec
from wisen.trainers.dataset import Row, Source

REVISION = "that was wrong; back to where it began"


def pairs(
    attempts: Sequence[Trajectory], worth: Callable[[Trajectory], float], *, gap: float
) -> list[tuple[Trajectory, Trajectory]]:
    """(better, worse) of attempts at one task, wherever the returns are `gap` apart."""
    return [(one, other) for one in attempts for other in attempts if worth(one) - worth(other) >= gap]


def diverging(one: Sequence[Row], other: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows of two attempts from where they part: equal rows at the beginning go, and of the first that differ the
    tokens that both begin with carry no loss."""
    same = 0
    while same < min(len(one), len(other)) and (one[same].ids, one[same].trained) == (
        other[same].ids,
        other[same].trained,
    ):
        same += 1
    left, right = list(one[same:]), list(other[same:])
    if left and right:
        shared = common(left[0].ids, right[0].ids)
        left[0], right[0] = _since(left[0], shared), _since(right[0], shared)
    return [row for row in left if row.trained], [row for row in right if row.trained]


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _since(row: Row, start: int) -> Row:
    kept = [number for number, at in enumerate(row.trained) if at >= start]
    if len(kept) == len(row.trained):
        return row

    def of(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(values[number] for number in kept) if values else ()

    return replace(
        row,
        trained=tuple(row.trained[number] for number in kept),
        allowed=tuple(row.allowed[number] for number in kept),
        weights=of(row.weights),
        old=of(row.old),
        reference=of(row.reference),
    )


@dataclass(frozen=True)
class Splice:
    """A bad attempt up to `bad` decisions, and the good one from `shared` on, which is where they parted."""

    bad_attempt: Trajectory
    good_attempt: Trajectory
    shared: int
    bad: int

    @property
    def returned(self) -> bool:
        """Whether the bad attempt itself had come back to what the good one saw where they parted."""
        seen = self.bad_attempt.steps[self.bad - 1].result.observation
        return seen.text == self.good_attempt.steps[self.shared].observation.text


def splice(bad: Trajectory, good: Trajectory) -> Splice | None:
    """Where to go over from one to the other: after the first decision, from where they parted on, that the actor
    itself thought less of than of another, or else at the bad one's end. None where they never parted."""
    shared = 0
    for one, other in zip(bad.steps, good.steps, strict=False):
        if (one.observation.text, str(one.action)) != (other.observation.text, str(other.action)):
            break
        shared += 1
    if shared >= min(len(bad.steps), len(good.steps)):
        return None
    doubted = (number for number, step in enumerate(bad.steps) if number >= shared and _doubted(step))
    return Splice(bad, good, shared, next(doubted, len(bad.steps) - 1) + 1)


def _doubted(step: Step) -> bool:
    choices = [call.reply.choice for call in step.calls if call.reply.choice is not None]
    return bool(choices) and max(choices[-1].logprobs) > choices[-1].logprobs[choices[-1].index]


def spliced_rows(found: Splice, rows: Sequence[Row], codec: Codec) -> list[Row]:
    """The good attempt's decisions from where the two parted, as if the bad ones had come before: they stand in the
    history, without loss. Prompts are made afresh; what the policy sampled is what it sampled."""
    bad, good = found.bad_attempt.steps, found.good_attempt.steps
    before = [*map(_line, bad[: found.bad]), REVISION]
    made = []
    for row in rows:
        if row.step < found.shared or row.request is None:
            continue
        history = [*before, *map(_line, good[found.shared : row.step])][-HISTORY_LENGTH:]
        request = _with_history(row.request, "\n".join(history))
        if request is None:
            continue
        prompt, ranges = codec.prompt(request.messages)
        spans = [span for message in request.messages for span in message.spans]
        moved = len(prompt) - row.trained[0]
        made.append(
            replace(
                row,
                ids=(*prompt, *row.ids[row.trained[0] :]),
                trained=tuple(at + moved for at in row.trained),
                old=(),
                memory=tuple(at for span, at in zip(spans, ranges, strict=True) if span.kind is SpanKind.MEMORY),
                request=request,
                source=Source.SPLICED,
            )
        )
    return made


def _with_history(request: ModelRequest, text: str) -> ModelRequest | None:
    """None where the request shows no history."""
    shown = False

    def changed(message: Message) -> Message:
        nonlocal shown
        spans = []
        for span in message.spans:
            if span.kind is SpanKind.HISTORY:
                span, shown = span.model_copy(update={"text": text}), True
            spans.append(span)
        return message.model_copy(update={"spans": tuple(spans)})

    messages = tuple(changed(message) for message in request.messages)
    return request.model_copy(update={"messages": messages}) if shown else None


def next_states(trajectory: Trajectory, rows: Sequence[Row], codec: Codec, *, longest: int) -> list[Row]:
    """For each decision what the environment answered, after prompt and action: the loss is on the answer alone, at
    most `longest` tokens of it."""
    made = []
    for row in rows:
        step = trajectory.steps[row.step]
        answer = _answer(step, codec)[: longest + 1]  # the first is its tag
        start = row.tokens + 1
        made.append(
            replace(
                row,
                ids=(*row.ids, *answer),
                trained=tuple(range(start, row.tokens + len(answer))),
                allowed=((),) * (len(answer) - 1),
                weights=(),
                old=(),
                source=Source.OBSERVED,
            )
        )
    return [row for row in made if row.trained]


def reflections(attempts: Sequence[tuple[Trajectory, Sequence[Row]]], codec: Codec) -> list[Row]:
    """For each decision of a success whose state other attempts answered otherwise: a rationale that compares what was
    seen to come of each, and then the success's action, both with loss."""
    tried: dict[str, dict[str, Step]] = defaultdict(dict)
    for trajectory, _ in attempts:
        for step in trajectory.steps:
            tried[_state(step)].setdefault(str(step.action), step)
    made = []
    for trajectory, rows in attempts:
        for row in rows if trajectory.success else ():
            step = trajectory.steps[row.step]
            others = [one for action, one in tried[_state(step)].items() if action != str(step.action)]
            if not others:
                continue
            words = [*(_told(one) for one in others), _told(step), f"so {step.action}"]
            thought = (*codec.written("; ".join(words)), codec.act_id)
            start = row.trained[0]
            moved = len(thought)
            made.append(
                replace(
                    row,
                    ids=(*row.ids[:start], *thought, *row.ids[start:]),
                    trained=(*range(start, start + moved - 1), *(at + moved for at in row.trained)),
                    allowed=(*((),) * (moved - 1), *row.allowed),
                    weights=(),
                    old=(),
                    source=Source.WRITTEN,
                )
            )
    return made


def _line(step: Step) -> str:
    return history_line(str(step.action), step.result.info.get("note", ""))


def _state(step: Step) -> str:
    return f"{step.observation.instruction}\n{step.observation.text}"


def _told(step: Step) -> str:
    """What came of a step, in one line: the environment's note, the first line that is new, or that nothing changed."""
    note = str(step.result.info.get("note", ""))
    known = set(step.observation.text.splitlines())
    fresh = next((line for line in step.result.observation.text.splitlines() if line not in known), "")
    ended = "it ended well" if step.result.success else "it ended" if step.result.terminated else ""
    return f"{step.action} gave {note or fresh or ended or 'no change'}"


def _answer(step: Step, codec: Codec) -> tuple[int, ...]:
    (message,) = compact(step.result.observation, (), ())
    text = next(span.text for span in message.spans if span.kind is SpanKind.OBSERVATION)
    note = str(step.result.info.get("note", ""))
    return codec.span(SpanKind.OBSERVATION, "\n".join(part for part in (note, text) if part))
