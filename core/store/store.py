"""The store as a whole."""

from pathlib import Path
from types import TracebackType
from typing import Self

from wisen.core.store.engine import explained, make_engine, shown
from wisen.core.store.episodes import Episodes
from wisen.core.store.ledger import Ledger
from wisen.core.store.owner import take_membership, take_ownership
from wisen.core.store.releases import Releases
from wisen.core.store.runs import Runs
from wisen.core.store.upgrade import look, migrate, require_current


class Store(Runs, Episodes, Ledger, Releases):
    """Synchronous, with one owner that writes; others may `read` beside it. Every write is one transaction: after a
    kill at any moment it has happened whole or not at all. All methods raise `StoreError`."""

    @classmethod
    def open(
        cls, url: str, *, backups: Path | None = None, backup: bool = True, create: bool = True, shared: bool = False
    ) -> Self:
        """Open, or make, the store at `sqlite:///path`, `sqlite://` (in memory) or `postgresql://…`, and bring its
        schema up to date. An older store is backed up to the folder `backups` first; SQLite's default is `backups`
        beside the file. On PostgreSQL this process then owns the schema; for SQLite the workspace has a lock. With
        `shared` it is one of several members instead, whose writes take turns: PostgreSQL only.

        Raises `StoreError` for an unreadable file, a schema newer than this code, another owner, a backup that cannot
        be made, and without `create` where there is no store yet.
        """
        engine = make_engine(url)
        try:
            with explained(f"could not open the store {shown(url)}"):
                if shared:
                    member = take_membership(
                        engine, lambda one: migrate(engine, one, backups=backups, backup=backup, create=create)
                    )
                    try:
                        require_current(engine)  # the others may be of an older version
                    except BaseException:
                        member.close()
                        raise
                    return cls(engine, member, shared=True)
                owner = take_ownership(engine)
                try:
                    migrate(engine, owner, backups=backups, backup=backup, create=create)
                except BaseException:
                    if owner is not None:
                        owner.close()
                    raise
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, owner)

    @classmethod
    def read(cls, url: str) -> Self:
        """Open a store to read it, beside whoever owns it; writing is refused. Raises `StoreError`, and `OlderSchema`
        where an owner must upgrade it first."""
        engine = make_engine(url, read_only=True)
        try:
            with explained(f"could not open the store {shown(url)}"):
                require_current(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, read_only=True)

    def schema(self) -> str:
        """The revision of its schema."""
        with self._read("the schema") as connection:
            return look(connection).present or ""

    def close(self) -> None:
        if self._owner is not None:
            self._owner.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
