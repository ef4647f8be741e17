"""Opening a database: connection settings, migrations, and errors that say what to do."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from wisen.core.errors import StoreError
from wisen.core.store.tables import Table

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "wisen_schema"  # not Alembic's default name: a shared PostgreSQL may hold another application's
BUSY_SECONDS = 5.0

logger = logging.getLogger(__name__)


def make_engine(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://…`; on SQLite, transactions are the engine's own (see below)."""
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":  # SQLAlchemy 2.0 and 2.1 disagree on the default driver
            parsed = parsed.set(drivername="postgresql+psycopg")
        options: dict[str, Any] = {"json_serializer": _dumps}
        if parsed.get_backend_name() == "sqlite" and _in_memory(parsed):
            # One connection: each further one to ":memory:" would see an empty database of its own.
            options |= {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        engine = create_engine(parsed, **options)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise StoreError(
            f"not a database URL: {shown(url)!r}", "use sqlite:///path/to/wisen.db or postgresql://…"
        ) from error
    except ModuleNotFoundError as error:
        raise StoreError(f"the driver {error.name!r} is not installed", "pip install 'psycopg[binary]'") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _in_memory(url: URL) -> bool:
    return not url.database or url.database == ":memory:"


def shown(url: str) -> str:
    """The URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return url.rpartition("@")[2]


def _dumps(value: Any) -> str:
    # NaN and infinity are no JSON: PostgreSQL refuses them, and SQLite would hand them back unreadable.
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin transactions late and not for DDL; `_begin_sqlite` does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
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
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction: committed at the end, rolled back on any error."""
    with engine.connect().execution_options(wisen_writes=True) as connection, connection.begin():
        yield connection


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest version this code knows. Does not write when it is there already.

    Raises `StoreError` when the schema is newer than this code, or is not ours.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        current = context.get_current_revision()
        ours = set(Table.metadata.tables) & set(inspect(connection).get_table_names())
    known = {revision.revision for revision in script.walk_revisions()}
    if current is None and ours:
        raise StoreError(
            f"the database holds tables that wisen did not make: {', '.join(sorted(ours))}",
            "give wisen a database, or on PostgreSQL a schema, of its own",
        )
    if current is not None and current not in known:
        raise StoreError(
            f"the store has schema {current}, which this version of wisen does not know",
            "it was written by a newer wisen: update wisen, or open another store",
        )
    if current == script.get_current_head():
        return
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns what SQLAlchemy and the drivers raise into `StoreError` with a hint."""
    try:
        yield
    except IntegrityError as error:
        raise StoreError(
            f"{doing}: {error.orig}", "it refers to what the store lacks, or doubles what it holds"
        ) from error
    except DBAPIError as error:
        raise StoreError(f"{doing}: {error.orig}", _hint(str(error.orig))) from error
    except (SQLAlchemyError, ValueError) as error:  # a value that cannot be written: not a number, half a character
        raise StoreError(f"{doing}: {getattr(error, 'orig', None) or error}") from error


def _hint(message: str) -> str:
    text = message.lower()
    for sign, hint in _HINTS.items():
        if sign in text:
            return hint
    return ""


_HINTS = {
    "database is locked": "another process is writing to this store: wait for it, or stop it",
    "readonly": "the file or its folder is read-only: mend the permissions, or choose another folder",
    "unable to open": "the folder is missing or may not be written: create it, or choose another",
    "is full": "the disk is full: free some space and start again; nothing was half-written",
    "disk i/o": "the disk refused to write: is it full or failing? Nothing was half-written",
    "not a database": "the file is no SQLite database: restore it from a backup, or move it away to begin anew",
    "malformed": "the file is damaged: restore it from a backup, or move it away to begin anew",
    "connection": "is the database server running, and are address, user and password right?",
}
