"""Training rows from trajectories: token ids as they were sampled, with a mask that is the sampled tokens."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wisen.core.ids import derived_seed
from wisen.core.records import ModelRequest, Trajectory


@dataclass(frozen=True)
class Row:
    """One decision. `sampled` follows `prompt`; the loss falls on `sampled` alone, and at each of its positions the
    model's distribution is renormalised over `allowed` there (empty: over the whole vocabulary).

    Provenance: the trajectory and step that it comes from, the template of the task, and the request that was sent.
    """

    prompt: tuple[int, ...]
    sampled: tuple[int, ...]
    allowed: tuple[tuple[int, ...], ...]
    trajectory_id: str
    step: int
    template_id: str
    request: ModelRequest
    choice: int

    @property
    def tokens(self) -> int:
        return len(self.prompt) + len(self.sampled)


Filter = Callable[[Trajectory], bool]


def successes(trajectory: Trajectory) -> bool:
    """Rejection sampling's filter: the environment said that the task was done."""
    return trajectory.success is True


def step_rows(trajectories: Sequence[Trajectory], keep: Filter = successes) -> list[Row]:
    """One row per decision of the kept trajectories. Steps without sampled tokens (a remote model's) give none."""
    rows = []
    for trajectory in trajectories:
        if not keep(trajectory):
            continue
        for step in trajectory.steps:
            for call in step.calls:
                tokens, choice = call.reply.tokens, call.reply.choice
                if tokens is None or choice is None:
                    continue
                rows.append(
                    Row(
                        tokens.prompt_ids,
                        tokens.sampled_ids,
                        tokens.allowed,
                        trajectory.id,
                        step.index,
                        trajectory.task.template_id,
                        call.request,
                        choice.index,
                    )
                )
    return rows


def deduplicated(rows: Sequence[Row]) -> list[Row]:
    """Rows that ask and answer the same are one."""
    return list({(row.prompt, row.sampled): row for row in rows}.values())


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
