"""Training rows from trajectories: token ids as they were sampled, with a mask that is the sampled tokens."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wisen.core.ids import derived_seed
from wisen.core.records import ModelRequest, Trajectory


@dataclass(frozen=True)
class Row:
    """A token sequence with a mask.

    ids: the whole sequence. trained: positions in `ids` whose token carries loss, each at least 1; those are tokens
    that a policy sampled. allowed: for each trained position the tokens that the constraint admitted there (empty:
    all); the model's distribution is renormalised over them.

    Provenance: the trajectory and step that it comes from, the template of the task, the request that was sent and the
    index of the option that answered it (0 where the answer was written).
    """

    ids: tuple[int, ...]
    trained: tuple[int, ...]
    allowed: tuple[tuple[int, ...], ...]
    template_id: str
    trajectory_id: str = ""
    step: int = 0
    request: ModelRequest | None = None
    choice: int = 0

    @property
    def tokens(self) -> int:
        return len(self.ids)


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
    rows = []
    for trajectory in trajectories:
        if not keep(trajectory):
            continue
        for step in trajectory.steps:
            replaced = {call.parent_id for call in step.calls}
            for call in step.calls:
                tokens, choice = call.reply.tokens, call.reply.choice
                if tokens is None or (choice is not None and call.id in replaced):  # a draft is not what was done
                    continue
                ids, trained, allowed = continuation(tokens.prompt_ids, tokens.sampled_ids, tokens.allowed)
                rows.append(
                    Row(
                        ids,
                        trained,
                        allowed,
                        trajectory.task.template_id,
                        trajectory_id=trajectory.id,
                        step=step.index,
                        request=call.request,
                        choice=0 if choice is None else choice.index,
                    )
                )
    return rows


def deduplicated(rows: Sequence[Row]) -> list[Row]:
    """Rows that ask and answer the same are one."""
    return list({(row.ids, row.trained): row for row in rows}.values())


def balanced(rows: Sequence[Row], cap: int, *, seed: int) -> list[Row]:
    """At most `cap` rows of each template, drawn without order: families that are easy do not drown the others."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.template_id].append(row)
    kept = []
    for template, group in sorted(groups.items()):
        draw = random.Random(derived_seed(seed, "balance", template))
        kept += group if len(group) <= cap else draw.sample(group, cap)
    return kept
