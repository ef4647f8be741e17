"""A copy of the store from before its schema changes."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Engine, text

from wisen.core.errors import StoreError
from wisen.core.store.engine import one_line

SKIP = "WISEN_NO_BACKUP=1 goes on without"


def back_up(engine: Engine, revision: str, folder: Path) -> Path:
    """Write the whole store to a new file of `folder`, named after its schema revision and the time (UTC).

    SQLite by its backup interface, PostgreSQL by `pg_dump` (its custom format). The file appears whole or not at all.
    Raises `StoreError`.
    """
    sqlite = engine.dialect.name == "sqlite"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    path = folder / f"wisen-{revision}-{stamp}.{'db' if sqlite else 'dump'}"
    with _whole(path) as scratch:
        if sqlite:
            _copy(Path(engine.url.database or ""), scratch)
        else:
            _dump(engine, scratch)
    return path


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; at the end it is on the disk and bears its name, or is gone."""
    scratch = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        scratch.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"no backup could be made in {path.parent}: {one_line(getattr(error, 'strerror', None) or error)}",
            f"nothing was changed: mend that, or if you have a backup of your own, {SKIP}",
        ) from error
    finally:
        with suppress(OSError):
            scratch.unlink()


def _copy(database: Path, scratch: Path) -> None:
    source = sqlite3.connect(f"file:{quote(str(database.absolute()))}?mode=ro", uri=True)
    with closing(source), closing(sqlite3.connect(scratch)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")  # one file that holds all, and not a helper file beside it
        (verdict,) = target.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")


def _dump(engine: Engine, scratch: Path) -> None:
    program = shutil.which("pg_dump")
    if program is None:
        raise StoreError(
            "the store needs an upgrade, and there is no pg_dump on the PATH to make a backup first",
            f"install PostgreSQL's client programs, or if you have a backup of your own, {SKIP}",
        )
    from psycopg.conninfo import make_conninfo

    _, given = engine.dialect.create_connect_args(engine.url)
    given.pop("context", None)  # SQLAlchemy's, for the driver
    secret = given.pop("password", None)  # never among the arguments, where every user of the machine could read it
    with engine.connect() as connection:
        schema = connection.scalar(text("SELECT quote_ident(current_schema())"))
    run = subprocess.run(
        [program, "--format=custom", f"--schema={schema}", f"--file={scratch}", f"--dbname={make_conninfo(**given)}"],
        env={**os.environ, **({"PGPASSWORD": str(secret)} if secret else {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise StoreError(
            f"pg_dump made no backup: {one_line(run.stderr)}",
            f"nothing was changed: mend that, or if you have a backup of your own, {SKIP}",
        )
