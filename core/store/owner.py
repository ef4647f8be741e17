"""One owner per PostgreSQL schema, or several members that share it: advisory locks that live as long as a connection.

SQLite needs none: its file lies in a workspace, and the workspace has a lock of its own.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from wisen.core.errors import StoreError
from wisen.core.store.engine import shown

_OURS = 0x7769736E  # "wisn": advisory locks are shared by all applications of a database
_TURNS = _OURS + 1
PATIENCE_SECONDS = 0.5  # the server may need a moment to notice that a killed owner is gone
MEMBERS_PATIENCE = 3.0  # another member may be bringing the schema up to date

_TAKE = text("SELECT pg_try_advisory_lock(:ours, hashtext(current_schema()))")
_SHARE = text("SELECT pg_try_advisory_lock_shared(:ours, hashtext(current_schema()))")
_LEAVE = text("SELECT pg_advisory_unlock(:ours, hashtext(current_schema()))")
_TURN = text("SELECT pg_advisory_lock(:turns, hashtext(current_schema()))")
_TURN_OVER = text("SELECT pg_advisory_unlock(:turns, hashtext(current_schema()))")
_ONE_WRITE = text("SELECT pg_advisory_xact_lock(:turns, hashtext(current_schema()))")
_HOLDER = text(
    """
    SELECT activity.application_name
    FROM pg_locks AS lock JOIN pg_stat_activity AS activity USING (pid)
    WHERE lock.locktype = 'advisory' AND lock.granted AND lock.objsubid = 2 AND lock.classid::bigint = :ours
      AND lock.objid::bigint = hashtext(current_schema())::bigint & 4294967295
      AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)
# The server's side of noticing an owner whose machine is gone; without it that takes two hours.
_KEEPALIVES = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"


def take_ownership(engine: Engine) -> Connection | None:
    """The connection that owns the schema until it is closed, or None on SQLite. Raises `StoreError` within a second
    where another process uses it."""
    if engine.dialect.name != "postgresql":
        return None
    with _connected(engine) as connection:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not connection.scalar(_TAKE, {"ours": _OURS}):
            _refuse_after(deadline, connection, engine)
    return connection


def take_membership(engine: Engine, migrate: Callable[[Connection], None]) -> Connection:
    """The connection that shares the schema with other members until it is closed, and keeps owners out. The first
    member brings the schema up to date by `migrate`. Raises `StoreError` where there is an owner, and on SQLite."""
    if engine.dialect.name != "postgresql":
        raise StoreError("a SQLite store has one owner", "share a PostgreSQL one: set WISEN_STORE_URL")
    with _connected(engine) as connection:
        deadline = time.monotonic() + MEMBERS_PATIENCE
        while True:
            if connection.scalar(_TAKE, {"ours": _OURS}):
                connection.commit()
                migrate(connection)
                connection.scalar(_SHARE, {"ours": _OURS})
                connection.scalar(_LEAVE, {"ours": _OURS})
                break
            if connection.scalar(_SHARE, {"ours": _OURS}):
                break
            _refuse_after(deadline, connection, engine)
    return connection


@contextmanager
def turn(connection: Connection) -> Iterator[None]:
    """While the block runs no other member writes: what was read stays true until it is acted upon."""
    connection.execute(_TURN, {"turns": _TURNS})
    connection.commit()
    try:
        yield
    finally:
        if not (connection.closed or connection.invalidated):
            connection.execute(_TURN_OVER, {"turns": _TURNS})
            connection.commit()


def one_write(connection: Connection) -> None:
    """Members write one at a time: until its transaction ends, this one."""
    connection.execute(_ONE_WRITE, {"turns": _TURNS})


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    """A connection to a schema that is there; it stays open unless the block fails."""
    connection = engine.connect()
    try:
        if connection.scalar(text("SELECT current_schema()")) is None:
            raise StoreError(
                f"{shown(str(engine.url))} has no schema to keep tables in", "make the one its search_path names"
            )
        yield connection
        connection.exec_driver_sql(_KEEPALIVES)
        connection.commit()
    except BaseException:
        connection.close()
        raise


def _refuse_after(deadline: float, connection: Connection, engine: Engine) -> None:
    if time.monotonic() > deadline:
        schema = connection.scalar(text("SELECT current_schema()"))
        holder = connection.scalar(_HOLDER, {"ours": _OURS}) or "one that gives no name"
        raise StoreError(
            f"another wisen process ({holder}) is using schema {schema} of {shown(str(engine.url))}",
            "wait for it, stop it, or give this one a database of its own",
        )
    connection.rollback()
    time.sleep(0.05)
