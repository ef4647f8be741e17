"""An arm's outcomes as the figures that a table shows."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from wisen.core.records import ArmResult, Interval, Outcome, Task
from wisen.core.statistics import wilson


def by_template(outcomes: Iterable[Outcome]) -> dict[str, list[bool]]:
    """Successes and failures of each template, templates in order of their id."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.template_id].append(outcome.success)
    return dict(sorted(groups.items()))


def arm_result(
    name: str, label: str, tasks: Sequence[Task], outcomes: Sequence[Outcome], versus: Interval | None = None
) -> ArmResult:
    """How one arm did on `tasks`, with a Wilson interval."""
    return ArmResult(
        name=name,
        label=label,
        success=wilson(sum(outcome.success for outcome in outcomes), len(outcomes)),
        mean_steps=sum(outcome.steps for outcome in outcomes) / len(outcomes),
        tasks=len(outcomes),
        seeds=len({task.seed for task in tasks}),
        families={family: sum(group) / len(group) for family, group in by_template(outcomes).items()},
        versus=versus,
    )
