"""The store as a whole."""

from types import TracebackType
from typing import Self

from wisen.core.store.engine import explained, make_engine, migrate, shown
from wisen.core.store.episodes import Episodes
from wisen.core.store.ledger import Ledger
from wisen.core.store.releases import Releases
from wisen.core.store.runs import Runs


class Store(Runs, Episodes, Ledger, Releases):
    """Synchronous, with one owner that writes; others may open it beside it to read. Every write is one transaction:
    after a kill at any moment it has happened whole or not at all. All methods raise `StoreError`."""

    @classmethod
    def open(cls, url: str) -> Self:
        """Open, or make, the store at `sqlite:///path`, `sqlite://` (in memory) or `postgresql://…`, and bring its
        schema up to date. Raises `StoreError` for an unreadable file or a schema newer than this code."""
        engine = make_engine(url)
        try:
            with explained(f"could not open the store {shown(url)}"):
                migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
