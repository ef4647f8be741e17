"""Training rows from trajectories: token ids as they were sampled, with a mask that is the sampled tokens."""

import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from wisen.core.errors import WisenError
from wisen.core.ids import derived_seed
from wisen.core.records import ModelCall, ModelRequest, SpanKind, Step, Trajectory

Ranges = tuple[tuple[int, int], ...]


class Source(StrEnum):
    """Where the tokens that carry loss come from. Only `SAMPLED` ones are the policy's own."""

    SAMPLED = "sampled"
    RENAMED = "renamed"  # sampled, and then tokenised afresh under other names
    SPLICED = "spliced"  # sampled, and set behind a prompt that was put together from two attempts
    OBSERVED = "observed"  # what an environment answered, for world modelling
    WRITTEN = "written"  # rationales over what was observed
    MADE = "made"  # lessons that nobody played


@dataclass(frozen=True)
class Row:
    """A token sequence with a mask.

    ids: the whole sequence. trained: positions in `ids` whose token carries loss, each at least 1; those are tokens
    that a policy sampled, or else `source` says what they are. allowed: for each trained position the tokens that the
    constraint admitted there (empty: all); the model's distribution is renormalised over them.

    weights: of each trained token in its loss: an advantage, the side of a pair (empty: 1 each). old, reference: its
    log-probability under the policy that sampled it, and under the weights that training begins with (empty: not
    known). memory: the ranges of `ids` that show memory. loss: the component that the row is part of. unit: rows of one
    unit belong together, such as the two sides of a pair: they share a batch, and the loss is a mean over units (empty:
    over tokens). explored: it was drawn uniformly, not by the policy.

    Provenance: the trajectory and first step that it comes from, its task and that task's template, the release that
    played it, the request that was sent and the index of the option that answered it (0 where the answer was written).
    """

    ids: tuple[int, ...]
    trained: tuple[int, ...]
    allowed: tuple[tuple[int, ...], ...]
    template_id: str
    trajectory_id: str = ""
    step: int = 0
    request: ModelRequest | None = None
    choice: int = 0
    weights: tuple[float, ...] = ()
    old: tuple[float, ...] = ()
    reference: tuple[float, ...] = ()
    memory: Ranges = ()
    loss: str = "imitate"
    unit: str = ""
    source: Source = Source.MADE
    explored: bool = False
    task_id: str = ""
    release_id: str = ""

    @property
    def tokens(self) -> int:
        return len(self.ids)

    def weighed(self, weight: float, loss: str, unit: str = "") -> "Row":
        """The row as part of a loss, each trained token with this weight."""
        return replace(self, weights=(weight,) * len(self.trained), loss=loss, unit=unit)


def continuation(
    prompt: Sequence[int], sampled: Sequence[int], allowed: Sequence[tuple[int, ...]]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """(ids, trained, allowed) of a prompt and what was sampled after it: the mask is exactly the sampled tokens."""
    start = len(prompt)
    admitted = tuple(allowed) or ((),) * len(sampled)
    return (*prompt, *sampled), tuple(range(start, start + len(sampled))), admitted


Filter = Callable[[Trajectory], bool]


def successes(trajectory: Trajectory) -> bool:
    """Rejection sampling's filter: the environment said that the task was done."""
    return trajectory.success is True


def step_rows(trajectories: Sequence[Trajectory], keep: Filter = successes) -> list[Row]:
    """One row per decision of the kept trajectories: chosen, or written by a model that keeps its tokens. Steps without
    sampled tokens (most remote models') give none."""
    return [row for trajectory in trajectories if keep(trajectory) for row in decisions(trajectory)]


def decisions(trajectory: Trajectory, *, strip: bool = False) -> list[Row]:
    """One row per decision of a trajectory; with `strip` as if memory had shown nothing. Of tokens that a remote server
    returned it is not known where memory stands: to strip that is a `WisenError`."""
    rows = []
    for step in trajectory.steps:
        replaced = {call.parent_id for call in step.calls}
        for call in step.calls:
            if call.reply.choice is not None and call.id in replaced:  # a draft is not what was done
                continue
            row = _decision(trajectory, step, call, strip)
            if row is not None:
                rows.append(stripped(row) if strip else row)
    return rows


def stripped(row: Row) -> Row:
    """The row without the memory that its prompt shows. What the policy thought of its tokens with memory before it is
    no importance ratio for them without it, and goes as well."""
    if not row.memory:
        return row
    gone = {at for start, end in row.memory for at in range(start, end)}
    kept = [at for at in range(len(row.ids)) if at not in gone]
    place = {at: number for number, at in enumerate(kept)}
    return replace(
        row,
        ids=tuple(row.ids[at] for at in kept),
        trained=tuple(place[at] for at in row.trained),
        old=(),
        memory=(),
    )


def _decision(trajectory: Trajectory, step: Step, call: ModelCall, strip: bool) -> Row | None:
    tokens, choice = call.reply.tokens, call.reply.choice
    if tokens is None:
        return None
    ids, trained, allowed = continuation(tokens.prompt_ids, tokens.sampled_ids, tokens.allowed)
    return Row(
        ids,
        trained,
        allowed,
        trajectory.task.template_id,
        trajectory_id=trajectory.id,
        step=step.index,
        request=call.request,
        choice=0 if choice is None else choice.index,
        old=tokens.logprobs,
        memory=_memory(trajectory, call, strip),
        source=Source.SAMPLED,
        explored=choice is not None and choice.explored,
        task_id=trajectory.task.id,
        release_id=trajectory.release_id,
    )


def _memory(trajectory: Trajectory, call: ModelCall, strip: bool) -> Ranges:
    assert call.reply.tokens is not None
    spans = [span for message in call.request.messages for span in message.spans]
    if not any(span.kind is SpanKind.MEMORY for span in spans):
        return ()
    ranges = call.reply.tokens.span_ranges
    if len(ranges) != len(spans):
        if not strip:
            return ()
        raise WisenError(
            f"{trajectory.id} shows memory, and where in its tokens is not known",
            "leave such attempts out: not ('memory' in tags)",
        )
    return tuple(place for span, place in zip(spans, ranges, strict=True) if span.kind is SpanKind.MEMORY)


def merged(rows: Sequence[Row]) -> list[Row]:
    """Consecutive rows of one trajectory as one row while each prompt extends the last row: T decisions then cost O(T)
    tokens instead of O(T²). Where it does not extend it, a new row starts. Nothing is tokenised again."""
    result: list[Row] = []
    for row in rows:
        last = result[-1] if result else None
        prompt = row.trained[0] if row.trained else row.tokens
        if (
            last is None
            or (last.trajectory_id, last.loss, last.unit, last.source) != _kind(row)
            or last.tokens > prompt
            or row.ids[: last.tokens] != last.ids
            or not _same_known(last, row)
        ):
            result.append(row)
            continue
        result[-1] = replace(
            last,
            ids=row.ids,
            trained=last.trained + row.trained,
            allowed=last.allowed + row.allowed,
            weights=last.weights + row.weights,
            old=last.old + row.old,
            memory=tuple(dict.fromkeys((*last.memory, *row.memory))),
            request=None,  # it was answered more than once
            choice=0,
        )
    return result


def _kind(row: Row) -> tuple[str, str, str, Source]:
    return row.trajectory_id, row.loss, row.unit, row.source


def _same_known(one: Row, other: Row) -> bool:
    """Whether both, or neither, know the weights and log-probabilities of their tokens."""
    return (not one.trained or not other.trained) or (bool(one.weights), bool(one.old)) == (
        bool(other.weights),
        bool(other.old),
    )


def muted(row: Row) -> Row:
    """The row as context alone: no token of it carries loss."""
    return replace(row, trained=(), allowed=(), weights=(), old=(), reference=())


def deduplicated(rows: Sequence[Row]) -> list[Row]:
    """Rows that ask and answer the same are one."""
    return list({(row.ids, row.trained): row for row in rows}.values())


def balanced(rows: Sequence[Row], cap: int, *, seed: int) -> list[Row]:
    """At most `cap` rows of each template, drawn without order: families that are easy do not drown the others."""
    return capped(rows, cap, lambda row: row.template_id, seed=seed)


def capped(rows: Sequence[Row], cap: int, of: Callable[[Row], Hashable], *, seed: int) -> list[Row]:
    """At most `cap` rows of each kind that `of` names."""
    groups: dict[Hashable, list[Row]] = defaultdict(list)
    for row in rows:
        groups[of(row)].append(row)
    kept = []
    for name, group in sorted(groups.items(), key=lambda pair: str(pair[0])):
        draw = random.Random(derived_seed(seed, "balance", name))
        kept += group if len(group) <= cap else draw.sample(group, cap)
    return kept
