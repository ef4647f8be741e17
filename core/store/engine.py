"""Connections: how a database is opened, and errors that say what to do."""

import json
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from wisen.core.errors import StoreError

BUSY_SECONDS = 5.0
CONNECT_SECONDS = 5
HELPER_BYTES = 64 * 1024
SECRETS = ("password", "sslpassword")

logger = logging.getLogger(__name__)


def make_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://…`; on SQLite, transactions are the engine's own (see below).
    With `read_only` a SQLite file is opened so that nothing can be written to it."""
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):  # SQLAlchemy 2.0 and 2.1 disagree on the default driver
            parsed = parsed.set(drivername="postgresql+psycopg")
        options: dict[str, Any] = {"json_serializer": _dumps}
        backend = parsed.get_backend_name()
        if backend == "sqlite" and in_memory(parsed):
            # One connection: each further one to ":memory:" would see an empty database of its own.
            options |= {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        elif backend == "sqlite" and read_only:
            parsed = _read_only(parsed)
        elif backend == "postgresql":
            options["connect_args"] = _manners(parsed)
        engine = create_engine(parsed, **options)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StoreError(
            f"not a database URL: {shown(url)!r}", "use sqlite:///path/to/wisen.db or postgresql://…"
        ) from error
    except ModuleNotFoundError as error:
        raise StoreError(f"the driver {error.name!r} is not installed", "pip install 'psycopg[binary]'") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _wait if read_only else _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def in_memory(url: URL) -> bool:
    return not url.database or url.database == ":memory:"


def shown(url: str) -> str:
    """The URL without its passwords."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return url.rpartition("@")[2].partition("?")[0]
    parsed = parsed.set(drivername=parsed.get_backend_name())
    hidden = {key: "hidden" for key in SECRETS if key in parsed.query}
    return parsed.update_query_dict(hidden).render_as_string(hide_password=True) if hidden else str(parsed)


def _read_only(url: URL) -> URL:
    """SQLite's own spelling. A file in write-ahead mode needs helper files beside it even to be read; where none can
    be made and none are there, nobody is writing, and it is read as it lies."""
    path = Path(url.database or "")
    query = {"mode": "ro", "uri": "true"}
    if not path.with_name(f"{path.name}-wal").exists() and not _has_room(path.parent):
        query["immutable"] = "1"
    return url.set(database=f"file:{quote(str(path))}", query=query)


def _has_room(folder: Path) -> bool:
    if not os.access(folder, os.W_OK):
        return False
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize > HELPER_BYTES


def _manners(url: URL) -> dict[str, Any]:
    """What the URL leaves open: a server that does not answer is given up, one that vanishes is noticed within about
    a minute, and whoever looks at the server's connections sees whose this is."""
    wanted = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": f"wisen pid {os.getpid()} on {socket.gethostname()}"[:63],
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
    }
    return {key: value for key, value in wanted.items() if key not in url.query}


def _dumps(value: Any) -> str:
    # NaN and infinity are no JSON: PostgreSQL refuses them, and SQLite would hand them back unreadable.
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _wait(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")


def _configure_sqlite(connection: Any, record: Any) -> None:
    _wait(connection, record)  # without a level the driver leaves transactions to `_begin_sqlite`, also those of DDL
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    mode = cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode not in ("wal", "memory"):
        logger.warning(
            "SQLite refused write-ahead logging here (journal mode %s): readers and the writer will wait", mode
        )
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock before it reads, or two could read the same state and the later one would fail.
    writes = connection.get_execution_options().get("wisen_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(engine: Engine, owner: Connection | None = None) -> Iterator[Connection]:
    """One write transaction: committed at the end, rolled back on any error. On PostgreSQL it is the owner's own
    connection that writes, so that whoever has lost the ownership cannot write any more."""
    if owner is None:
        with engine.connect().execution_options(wisen_writes=True) as connection, connection.begin():
            yield connection
        return
    require_connection(owner)
    with owner.begin():
        yield owner


def require_connection(owner: Connection) -> None:
    if owner.closed or owner.invalidated:  # SQLAlchemy would connect again, without the lock
        raise StoreError("the connection to the database was lost", LOST)


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns what SQLAlchemy and the drivers raise into `StoreError`, on one line and with a hint."""
    try:
        yield
    except IntegrityError as error:
        raise StoreError(
            f"{doing}: {one_line(error.orig)}", "it refers to what the store lacks, or doubles what it holds"
        ) from error
    except DBAPIError as error:
        lost = error.connection_invalidated
        raise StoreError(f"{doing}: {one_line(error.orig)}", LOST if lost else _hint(str(error.orig))) from error
    except (SQLAlchemyError, ValueError) as error:  # a value that cannot be written: not a number, half a character
        raise StoreError(f"{doing}: {one_line(getattr(error, 'orig', None) or error)}") from error


def one_line(error: object) -> str:
    return " ".join(str(error).split())


def _hint(message: str) -> str:
    text = message.lower()
    for sign, hint in _HINTS.items():
        if sign in text:
            return hint
    return ""


LOST = "was the server stopped or restarted? What was finished is kept, and the same command goes on from there"
_ACCESS = "mend user and password: in WISEN_STORE_URL, or the password in PGPASSWORD or ~/.pgpass"
_ADDRESS = "is the database server running, and is the address in WISEN_STORE_URL right?"
# The first that is found in the message counts.
_HINTS = {
    "database is locked": "another process is writing to this store: wait for it, or stop it",
    "readonly": "the file or its folder is read-only: mend the permissions, or choose another folder",
    "unable to open": "the folder is missing or may not be written: create it, or choose another",
    "is full": "the disk is full: free some space and start again; nothing was half-written",
    "no space left": "the server's disk is full: free some space and start again; nothing was half-written",
    "disk i/o": "the disk refused to write: is it full or failing? Nothing was half-written",
    "not a database": "the file is no SQLite database: restore it from a backup, or move it away to begin anew",
    "malformed": "the file is damaged: restore it from a backup, or move it away to begin anew",
    "corrupt": "the file is damaged: restore it from a backup, or move it away to begin anew",
    "password": _ACCESS,
    "authentication failed": _ACCESS,
    "role ": _ACCESS,
    "permission denied": "the user may not do this: let it own the database, or a schema of its own",
    "does not exist": "make the database first: createdb NAME",
    "resolve host": _ADDRESS,
    "connection": _ADDRESS,
}
