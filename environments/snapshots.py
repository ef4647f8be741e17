"""Snapshots of environments whose state is plain data: a dataclass, written as JSON beside the task."""

from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

from wisen.core.errors import EnvironmentFault
from wisen.core.records import Snapshot, Task

T = TypeVar("T")


def kept(task: Task, state: Any) -> Snapshot:
    """The snapshot of an episode. `state` is a dataclass of what JSON can say, sets and tuples included."""
    kind: Any = type(state)
    return Snapshot(task=task, state=_adapter(kind).dump_json(state))


def opened(snapshot: Snapshot, kind: type[T]) -> T:
    """The state that was kept. Raises `EnvironmentFault` where it is of another kind."""
    wanted: Any = kind
    try:
        state: T = _adapter(wanted).validate_json(snapshot.state)
    except ValueError as error:
        raise EnvironmentFault(f"this is no snapshot of {snapshot.task.id}") from error
    return state


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
