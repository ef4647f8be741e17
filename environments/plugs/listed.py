"""Suites whose tasks are a list: dealt to the three panels, or put there by the benchmark's own splits."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from wisen.core.errors import SettingsError
from wisen.core.records import Split, Task

# Three of five to learn from, one to gate on, one to report on. The first three tasks of a template go to all three.
_TURNS = (Split.LEARN, Split.GATE, Split.REPORT, Split.LEARN, Split.LEARN)


def deal(templates: Mapping[str, str], *, by_template: bool = False) -> dict[str, Split]:
    """Which panel each task belongs to; `templates` maps task ids to their templates.

    The order is that of hashes of the names, so that it depends on the names alone. With `by_template` whole templates
    are dealt: what is reported on is then of kinds that nothing was learned from.
    """
    if by_template:
        turns = _in_turn(set(templates.values()))
        return {task: turns[template] for task, template in templates.items()}
    groups: dict[str, list[str]] = defaultdict(list)
    for task, template in templates.items():
        groups[template].append(task)
    return {task: split for group in groups.values() for task, split in _in_turn(group).items()}


def chosen(tasks: Sequence[Task], split: Split, per_template: int, offset: int) -> tuple[Task, ...]:
    """What `Suite.tasks` gives of a list: of each template those of the split from `offset` on, as far as they go."""
    if per_template < 0 or offset < 0:
        raise SettingsError(f"there are no tasks {offset} to {offset + per_template}", "count from 0")
    groups: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        if task.split is split:
            groups[task.template_id].append(task)
    rows = [group[offset : offset + per_template] for group in groups.values()]
    return tuple(task for turn in zip_longest(*rows) for task in turn if task is not None)


def sizes(tasks: Iterable[Task]) -> dict[Split, int]:
    counts = dict.fromkeys(Split, 0)
    for task in tasks:
        counts[task.split] += 1
    return counts


def named_splits(given: Mapping[str, Sequence[str]] | Sequence[str], what: str) -> dict[str, Split]:
    """A user's list of names, or lists by panel, as name -> panel. Raises `SettingsError`."""
    if isinstance(given, str) or not given:
        raise SettingsError(f"{what} = {given!r} names no tasks", f'write {what}=["one", "two"]')
    if not isinstance(given, Mapping):
        return deal({str(name): "" for name in given})
    found: dict[str, Split] = {}
    for key, names in given.items():
        if key not in Split.__members__.values() or isinstance(names, str):
            raise SettingsError(f"{what} has lists under learn, gate and report, not {key!r}")
        for name in names:
            if found.setdefault(str(name), Split(key)) is not Split(key):
                raise SettingsError(f"{what}: {name} is in {found[str(name)]} and in {key}")
    return found


def _in_turn(names: Iterable[str]) -> dict[str, Split]:
    ordered = sorted(names, key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest())
    return {name: _TURNS[place % len(_TURNS)] for place, name in enumerate(ordered)}
