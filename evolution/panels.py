"""Panels: fixed lists of tasks, pinned by a hash. What is learned from, gated on and reported on never overlaps."""

from collections.abc import Sequence

from wisen.core.errors import SettingsError
from wisen.core.ids import content_id
from wisen.core.protocols import Suite
from wisen.core.records import Panel, Split, Task


def make_panel(suite: Suite, split: Split, per_template: int, *, offset: int = 0, generation: int = 0) -> Panel:
    """A panel of a suite. The digest covers ids, seeds and versions: another version of the tasks is another panel."""
    tasks = suite.tasks(split, per_template, offset=offset)
    digest = content_id("panel", split, [(task.id, task.seed, task.params, task.version) for task in tasks])
    return Panel(name=f"{suite.name}/{split}", split=split, tasks=tasks, digest=digest, generation=generation)


def refuse_overlap(panels: Sequence[Panel], learned: Sequence[Task] = ()) -> None:
    """Raises `SettingsError` if a task is in two panels, or was learned from and is in one."""
    owner = {task.id: "the learning tasks" for task in learned}
    for panel in panels:
        for task in panel.tasks:
            if task.id in owner and owner[task.id] != panel.name:
                raise SettingsError(
                    f"task {task.id} is in {owner[task.id]} and in {panel.name}",
                    "evidence on a task that was learned from, or selected on, is none",
                )
            owner[task.id] = panel.name
