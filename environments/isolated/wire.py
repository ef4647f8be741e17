"""What goes over the socket between an environment's process and ours: one record a line, as JSON.

First a `Setup`, answered by a `Reply`; then `Request` and `Reply` in turn.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from wisen.core import errors
from wisen.core.errors import EnvironmentFault, WisenError
from wisen.core.records import JSON, Action, Observation, Record, Snapshot, StepResult, Task

LIMIT = 64 * 1024 * 1024  # bytes of one line, without its end
FAULTS = {kind.__name__: kind for kind in (errors.EnvironmentFault, errors.SettingsError, errors.StoreError)}


class Call(StrEnum):
    RESET = "reset"
    STEP = "step"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"
    CLOSE = "close"
    SOLUTION = "solution"  # what the suite's oracle says: for tests
    SECRETS = "secrets"


class Setup(Record):
    """Which suite to make: `target` is `module:attribute`. `path` goes before the process's own import path. `oracle`:
    the suite is asked for its oracle alone, and makes no environment."""

    target: str
    options: JSON = {}
    path: tuple[str, ...] = ()
    oracle: bool = False


class Request(Record):
    call: Call
    task: Task | None = None
    action: Action | None = None
    observation: Observation | None = None
    snapshot: Snapshot | None = None
    screenshots: Path | None = None


class Fault(Record):
    kind: str
    problem: str
    hint: str = ""


class Reply(Record):
    """`snapshots`, of the reply to a setup: the environment keeps and restores episodes."""

    observation: Observation | None = None
    result: StepResult | None = None
    snapshot: Snapshot | None = None
    snapshots: bool = False
    actions: tuple[Action, ...] = ()
    texts: tuple[str, ...] = ()
    fault: Fault | None = None


R = TypeVar("R", bound=Record)


def line_of(record: Record) -> bytes:
    """Raises `EnvironmentFault` for what is too long, or cannot be written as JSON."""
    try:
        try:
            line = record.model_dump_json(exclude_defaults=True).encode()
        except ValueError:  # half of a surrogate pair, which is no UTF-8, can be escaped
            line = json.dumps(record.model_dump(exclude_defaults=True), default=_plain).encode()
    except (TypeError, ValueError) as error:
        raise EnvironmentFault(f"a {type(record).__name__.lower()} cannot be written as JSON: {error}") from error
    if len(line) > LIMIT:
        raise EnvironmentFault(f"a {type(record).__name__.lower()} of {len(line):,} bytes is longer than {LIMIT:,}")
    return line + b"\n"


def record_of(kind: type[R], line: bytes) -> R:
    """Raises `ValueError`."""
    try:
        return kind.model_validate_json(line)
    except ValueError:
        return kind.model_validate(json.loads(line))


def _plain(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def fault_of(error: Exception) -> Fault:
    """What a client is told of an error: one of ours as it is, any other as the environment's."""
    if isinstance(error, WisenError):
        return Fault(kind=type(error).__name__, problem=error.problem, hint=error.hint)
    return Fault(kind="EnvironmentFault", problem=f"{type(error).__name__}: {error}")


def raised(fault: Fault) -> WisenError:
    return FAULTS.get(fault.kind, EnvironmentFault)(fault.problem, fault.hint)
