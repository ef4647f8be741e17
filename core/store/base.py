"""What all parts of the store share: transactions, and the way of a record in and out of a JSON column."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from sqlalchemy import ColumnElement, Connection, Engine, Text, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute

from wisen.core.errors import StoreError
from wisen.core.records import JSON, Record
from wisen.core.store.engine import explained, require_connection, writing
from wisen.core.store.owner import one_write, turn

R = TypeVar("R", bound=Record)
CHUNK = 500  # ids in one query: SQLite bounds the number of parameters, by default at 32,766, in old builds at 999


class StoreBase:
    """Holds the engine. Safe to call from several threads: writes take turns, on the owner's connection if there is
    one."""

    def __init__(
        self, engine: Engine, owner: Connection | None = None, *, read_only: bool = False, shared: bool = False
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._read_only = read_only
        self._shared = shared
        self._turn = threading.RLock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """While the block runs nobody else writes. For a write that rests on what was read before it; where there is
        one owner, other threads of it wait."""
        with self._turn, ExitStack() as stack:
            if self._owner is not None and self._shared:
                with explained("could not write"):
                    require_connection(self._owner)
                    stack.enter_context(turn(self._owner))
            yield

    @contextmanager
    def _read(self, doing: str) -> Iterator[Connection]:
        with explained(f"could not read {doing}"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self, doing: str) -> Iterator[Connection]:
        if self._read_only:
            raise StoreError(f"could not write {doing}: the store is open to be read only")
        with explained(f"could not write {doing}"), self._turn, writing(self._engine, self._owner) as connection:
            if self._shared:
                one_write(connection)
            yield connection


def to_body(record: Record) -> JSON:
    """The record as JSON values. Raises `StoreError` for what JSON cannot hold."""
    try:
        return record.model_dump(mode="json")
    except PydanticSerializationError as error:
        raise StoreError(f"a {type(record).__name__} holds what cannot be written as JSON: {error}") from error


def as_text(body: InstrumentedAttribute[dict[str, Any]]) -> ColumnElement[str]:
    """The JSON text itself. Parsing it in one go, in strict mode, is both safer and faster than by way of a dict."""
    return cast(body, Text)


def parse(record: type[R], text: str) -> R:
    """Strict: an unknown field, a missing one or a wrong type is an error, not a guess."""
    try:
        return record.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise StoreError(
            f"a stored {record.__name__} cannot be read: {error}",
            "the store was written by another version of wisen, or changed by hand",
        ) from error


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    """The distinct ids in their first order, in lists short enough for one query."""
    distinct = list(dict.fromkeys(ids))
    for start in range(0, len(distinct), CHUNK):
        yield distinct[start : start + CHUNK]


def next_seq(connection: Connection, column: InstrumentedAttribute[int]) -> int:
    """One more than the highest. Inside a write transaction nobody else can take it; unlike a database's own counter
    it leaves no hole when a transaction fails."""
    return int(connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one()) + 1
