"""Panels: fixed lists of tasks, pinned by a hash. What is learned from, gated on and reported on never overlaps."""

from collections.abc import Sequence

from wisen.core.errors import SettingsError
from wisen.core.ids import content_id
from wisen.core.protocols import Suite
from wisen.core.records import Panel, Split, Task

FAR = 900_000  # learning seeds that no cycle collects from, and that an unlimited suite has


def limited(suite: Suite) -> bool:
    """Whether learning tasks of a template end before seeds that an unlimited suite has. Nothing else need be said by
    a suite: it gives fewer than it is asked for."""
    return len(suite.tasks(Split.LEARN, 1, offset=FAR)) < len(suite.tasks(Split.LEARN, 1))


def require_tasks(suite: Suite) -> None:
    """Raises `SettingsError` for a suite that has nothing for one of the panels."""
    for split in Split:
        if not suite.tasks(split, 1):
            raise SettingsError(
                f"the suite {suite.name} has no tasks under {split}", "learning, gate and report each need some"
            )


def make_panel(suite: Suite, split: Split, per_template: int, *, offset: int = 0, generation: int = 0) -> Panel:
    """A panel of a suite. The digest covers ids, seeds and versions: another version of the tasks is another panel."""
    tasks = suite.tasks(split, per_template, offset=offset)
    digest = content_id("panel", split, [(task.id, task.seed, task.params, task.version) for task in tasks])
    return Panel(name=f"{suite.name}/{split}", split=split, tasks=tasks, digest=digest, generation=generation)


def refuse_overlap(panels: Sequence[Panel], learned: Sequence[Task] = ()) -> None:
    """Raises `SettingsError` if a task is in two panels, or was learned from and is in one."""
    for found in overlaps(panels, learned):
        raise SettingsError(found, "evidence on a task that was learned from, or selected on, is none")


def overlaps(panels: Sequence[Panel], learned: Sequence[Task] = (), *, by_template: bool = False) -> list[str]:
    """What is in two of them, in words: each task, or each template."""
    what = "template" if by_template else "task"
    owner = dict.fromkeys(_keys(learned, by_template), "the learning tasks")
    found = []
    for panel in panels:
        for key in _keys(panel.tasks, by_template):
            if owner.setdefault(key, panel.name) != panel.name:
                found.append(f"{what} {key} is in {owner[key]} and in {panel.name}")
    return found


def _keys(tasks: Sequence[Task], by_template: bool) -> dict[str, None]:
    """Each once, in their order."""
    return dict.fromkeys(task.template_id if by_template else task.id for task in tasks)
