"""The schema's revision: looking at it, and bringing it up to date after a backup."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect

from wisen.core.errors import StoreError
from wisen.core.store.backup import back_up
from wisen.core.store.engine import in_memory, shown, writing
from wisen.core.store.tables import Table

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "wisen_schema"  # not Alembic's default name: a shared PostgreSQL may hold another application's

logger = logging.getLogger(__name__)


class OlderSchema(StoreError):
    """The store is of an earlier wisen: an owner must upgrade it before it can be read."""


class NoStore(StoreError):
    """The database is there, and empty."""


@dataclass(frozen=True)
class Schema:
    """`present` is None in an empty database."""

    present: str | None
    newest: str

    @property
    def current(self) -> bool:
        return self.present == self.newest


def look(connection: Connection) -> Schema:
    """Which revision is there, and which this code knows as the newest. Raises `StoreError` when the schema is newer
    than this code, or is not ours."""
    from alembic.runtime.migration import MigrationContext

    script = _scripts()
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    present = context.get_current_revision()
    if present is None and (ours := set(Table.metadata.tables) & set(inspect(connection).get_table_names())):
        raise StoreError(
            f"the database holds tables that wisen did not make: {', '.join(sorted(ours))}",
            "give wisen a database, or on PostgreSQL a schema, of its own",
        )
    if present is not None and present not in {revision.revision for revision in script.walk_revisions()}:
        raise StoreError(
            f"the store has schema {present}, which this version of wisen does not know",
            "it was written by a newer wisen: update wisen, or open another store",
        )
    return Schema(present=present, newest=str(script.get_current_head()))


def require_current(engine: Engine) -> None:
    """What a reader needs. Raises `OlderSchema`, or `NoStore` in a database without a store."""
    with engine.connect() as connection:
        schema = look(connection)
    if schema.present is None:
        raise NoStore(f"{shown(str(engine.url))} holds no store", "run `wisen evolve` first")
    if not schema.current:
        raise OlderSchema(
            f"the store has schema {schema.present}, this wisen reads {schema.newest}",
            "a command that writes, such as `wisen evolve`, upgrades it after a backup",
        )


def migrate(engine: Engine, owner: Connection | None, *, backups: Path | None, backup: bool, create: bool) -> None:
    """Bring the schema to the newest revision, in one transaction; does not write when it is there already. A store
    that holds something is backed up first, to `backups` (SQLite without one: the folder `backups` beside its file).

    Raises `StoreError`, and then nothing has changed.
    """
    from alembic import command
    from alembic.config import Config

    with engine.connect() as connection:
        schema = look(connection)
    if schema.present is None and not create:
        raise NoStore(f"{shown(str(engine.url))} holds no store", "run `wisen evolve` first")
    if schema.current:
        return
    with _changing(engine, owner) as connection:
        schema = look(connection)  # another process may have been faster
        if schema.current:
            return
        if schema.present is not None and backup:
            made = back_up(engine, schema.present, _folder(engine, backups))
            logger.warning(
                "the store is upgraded from schema %s to %s; its backup is %s", schema.present, schema.newest, made
            )
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _scripts() -> "ScriptDirectory":
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(MIGRATIONS))


def _folder(engine: Engine, backups: Path | None) -> Path:
    if backups is not None:
        return backups
    if engine.dialect.name == "sqlite" and not in_memory(engine.url):
        return Path(engine.url.database or "").absolute().parent / "backups"
    raise StoreError("the store needs an upgrade, and there is no folder for its backup", "open it in a workspace")


@contextmanager
def _changing(engine: Engine, owner: Connection | None) -> Iterator[Connection]:
    """A write transaction for a change of schema.

    SQLite changes a table by making it anew and dropping the old one, which with foreign keys in force would take the
    rows that point there for orphans. So they are off meanwhile, and are checked as a whole before the commit.
    """
    if engine.dialect.name != "sqlite":
        with writing(engine, owner) as connection:
            yield connection
        return
    with engine.connect().execution_options(wisen_writes=True) as connection:
        direct = connection.connection.cursor()  # the driver's: in a transaction the switch would do nothing
        direct.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
                if orphan := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise StoreError(f"the upgrade would leave a row of {orphan[0]} that refers to nothing")
        finally:
            direct.execute("PRAGMA foreign_keys=ON")
            direct.close()
