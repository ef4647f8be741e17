"""The bank's ledger: an append-only list of events. The bank itself is a fold over it."""

from collections.abc import Sequence

from sqlalchemy import insert, select

from wisen.core.records import JSON, LedgerEvent, utcnow
from wisen.core.store.base import StoreBase, as_text, next_seq, parse, to_body
from wisen.core.store.runs import get_mark, put_mark
from wisen.core.store.tables import LedgerRow


class Ledger(StoreBase):
    def append_events(self, events: Sequence[LedgerEvent], *, mark: tuple[str, str, JSON] | None = None) -> int:
        """Append all events, or none, and return the bank version. `seq` is assigned here; what the events say of it
        is ignored. A `mark` (run id, key, value) is written in the same transaction; where it stands already, these
        events were appended before, and nothing happens."""
        with self._write("the ledger") as connection:
            first = next_seq(connection, LedgerRow.seq)
            if mark is not None:
                if get_mark(connection, mark[0], mark[1]) is not None:
                    return first - 1
                put_mark(connection, *mark)
            now = utcnow()
            rows = [
                {
                    "seq": seq,
                    "kind": event.kind,
                    "item_id": event.item_id,
                    "created_at": now,
                    "body": to_body(event.model_copy(update={"seq": seq})),
                }
                for seq, event in enumerate(events, start=first)
            ]
            if rows:
                connection.execute(insert(LedgerRow), rows)
            return first - 1 + len(rows)

    def events(self, up_to: int | None = None) -> tuple[LedgerEvent, ...]:
        """The events in order; with `up_to`, those that made that version."""
        query = select(as_text(LedgerRow.body)).order_by(LedgerRow.seq)
        if up_to is not None:
            query = query.where(LedgerRow.seq <= up_to)
        with self._read("the ledger") as connection:
            return tuple(parse(LedgerEvent, body) for body in connection.scalars(query))

    def bank_version(self) -> int:
        """The `seq` of the last event, 0 for the empty bank."""
        with self._read("the bank version") as connection:
            return next_seq(connection, LedgerRow.seq) - 1
