"""One owner per PostgreSQL schema: an advisory lock that lives as long as the owner's connection.

SQLite needs none: its file lies in a workspace, and the workspace has a lock of its own.
"""

import time

from sqlalchemy import Connection, Engine, text

from wisen.core.errors import StoreError
from wisen.core.store.engine import shown

_OURS = 0x7769736E  # "wisn": advisory locks are shared by all applications of a database
PATIENCE_SECONDS = 0.5  # the server may need a moment to notice that a killed owner is gone

_TAKE = text("SELECT pg_try_advisory_lock(:ours, hashtext(current_schema()))")
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
    where another process owns it."""
    if engine.dialect.name != "postgresql":
        return None
    connection = engine.connect()
    try:
        schema = connection.scalar(text("SELECT current_schema()"))
        if schema is None:
            raise StoreError(
                f"{shown(str(engine.url))} has no schema to keep tables in", "make the one its search_path names"
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not connection.scalar(_TAKE, {"ours": _OURS}):
            if time.monotonic() > deadline:
                holder = connection.scalar(_HOLDER, {"ours": _OURS}) or "one that gives no name"
                raise StoreError(
                    f"another wisen process ({holder}) is using schema {schema} of {shown(str(engine.url))}",
                    "wait for it, stop it, or give this one a database of its own",
                )
            time.sleep(0.05)
        connection.exec_driver_sql(_KEEPALIVES)
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection
