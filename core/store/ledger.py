"""The bank's ledger: an append-only list of events. The bank itself is a fold over it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from wisen.core.records import JSON, EventKind, LedgerEvent, MemoryItem, utcnow
from wisen.core.store.base import StoreBase, as_text, chunks, next_seq, parse, to_body
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
            return append_to(connection, events)

    def events(self, up_to: int | None = None, *, after: int = 0) -> tuple[LedgerEvent, ...]:
        """The events in order; with `up_to`, those that made that version; with `after`, those since that one."""
        query = select(as_text(LedgerRow.body)).where(LedgerRow.seq > after).order_by(LedgerRow.seq)
        if up_to is not None:
            query = query.where(LedgerRow.seq <= up_to)
        with self._read("the ledger") as connection:
            return tuple(parse(LedgerEvent, body) for body in connection.scalars(query))

    def entered(self, *, after: int = 0) -> dict[str, tuple[datetime, datetime]]:
        """When each item was proposed first and last, by item id; with `after`, by the events after that version.
        Reads columns only, no bodies."""
        query = (
            select(LedgerRow.item_id, func.min(LedgerRow.created_at), func.max(LedgerRow.created_at))
            .where(LedgerRow.kind == EventKind.PROPOSED, LedgerRow.seq > after)
            .group_by(LedgerRow.item_id)
        )
        with self._read("when items entered") as connection:
            return {key: (first, last) for key, first, last in connection.execute(query)}

    def proposed(self, item_ids: Sequence[str]) -> tuple[MemoryItem, ...]:
        """These items as they were proposed last, in order of id. Unknown ids are left out."""
        found: dict[str, MemoryItem] = {}
        with self._read("items") as connection:
            for keys in chunks(item_ids):
                wanted = LedgerRow.item_id.in_(keys), LedgerRow.kind == EventKind.PROPOSED
                query = select(as_text(LedgerRow.body)).where(*wanted).order_by(LedgerRow.seq)
                events = (parse(LedgerEvent, body) for body in connection.scalars(query))
                found.update((event.item_id, event.item) for event in events if event.item is not None)
        return tuple(found[key] for key in sorted(found))

    def bank_version(self) -> int:
        """The `seq` of the last event, 0 for the empty bank."""
        with self._read("the bank version") as connection:
            return next_seq(connection, LedgerRow.seq) - 1


def append_to(connection: Connection, events: Sequence[LedgerEvent]) -> int:
    """Append within a transaction that writes more than this; returns the bank version."""
    first, now = next_seq(connection, LedgerRow.seq), utcnow()
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
