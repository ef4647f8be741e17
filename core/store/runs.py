"""Runs and their marks of progress."""

from sqlalchemy import Connection, insert, select, update

from wisen.core.errors import StoreError
from wisen.core.ids import canonical
from wisen.core.records import JSON, RunInfo, utcnow
from wisen.core.store.base import StoreBase, next_seq
from wisen.core.store.tables import MarkRow, RunRow

_COLUMNS = (RunRow.id, RunRow.title, RunRow.settings, RunRow.created_at, RunRow.finished_at)


class Runs(StoreBase):
    def start_run(self, run_id: str, settings: JSON, title: str = "") -> None:
        """Register a run. Starting it again, to resume it, changes nothing.

        Raises `StoreError` when it was started with other settings: its parts would not belong together.
        """
        with self._write(f"run {run_id}") as connection:
            known = connection.execute(select(RunRow.settings).where(RunRow.id == run_id)).scalar_one_or_none()
            if known is not None:
                changed = sorted(
                    key for key in {*known, *settings} if canonical(known.get(key)) != canonical(settings.get(key))
                )
                if changed:
                    raise StoreError(
                        f"run {run_id} was started with other settings ({', '.join(changed)})",
                        "resume it with the settings it was started with, or start a new run",
                    )
                return
            connection.execute(
                insert(RunRow).values(
                    id=run_id,
                    seq=next_seq(connection, RunRow.seq),
                    title=title,
                    settings=settings,
                    created_at=utcnow(),
                    finished_at=None,
                )
            )

    def run(self, run_id: str) -> RunInfo | None:
        with self._read("a run") as connection:
            row = connection.execute(select(*_COLUMNS).where(RunRow.id == run_id)).one_or_none()
        return None if row is None else RunInfo(**row._mapping)

    def runs(self) -> tuple[RunInfo, ...]:
        """All runs, newest last."""
        with self._read("the runs") as connection:
            rows = connection.execute(select(*_COLUMNS).order_by(RunRow.seq)).all()
        return tuple(RunInfo(**row._mapping) for row in rows)

    def finish_run(self, run_id: str) -> None:
        """Note the time of its end, once. Raises `StoreError` for an unknown run."""
        with self._write(f"run {run_id}") as connection:
            require_run(connection, run_id)
            unfinished = (RunRow.id == run_id) & RunRow.finished_at.is_(None)
            connection.execute(update(RunRow).where(unfinished).values(finished_at=utcnow()))

    def mark(self, run_id: str, key: str, value: JSON) -> None:
        """Write a fact of progress, once. The same value again is no change; another raises `StoreError`."""
        with self._write(f"mark {key}") as connection:
            put_mark(connection, run_id, key, value)

    def marked(self, run_id: str, key: str) -> JSON | None:
        with self._read("a mark") as connection:
            return get_mark(connection, run_id, key)

    def marks(self, run_id: str) -> dict[str, JSON]:
        """All marks of a run, ordered by key."""
        query = select(MarkRow.key, MarkRow.value).where(MarkRow.run_id == run_id).order_by(MarkRow.key)
        with self._read("the marks") as connection:
            return dict(connection.execute(query).all())


def get_mark(connection: Connection, run_id: str, key: str) -> JSON | None:
    query = select(MarkRow.value).where(MarkRow.run_id == run_id, MarkRow.key == key)
    return connection.execute(query).scalar_one_or_none()


def put_mark(connection: Connection, run_id: str, key: str, value: JSON) -> None:
    known = get_mark(connection, run_id, key)
    if known is not None:
        if canonical(known) != canonical(value):
            raise StoreError(f"run {run_id} is marked {key} = {canonical(known)}; {canonical(value)} contradicts it")
        return
    require_run(connection, run_id)
    connection.execute(insert(MarkRow).values(run_id=run_id, key=key, value=value, created_at=utcnow()))


def require_run(connection: Connection, run_id: str) -> None:
    if connection.execute(select(RunRow.id).where(RunRow.id == run_id)).one_or_none() is None:
        raise StoreError(f"the store knows no run {run_id!r}", "call start_run first")
