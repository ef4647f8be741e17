"""From the store to the vector index.

The ledger is the outbox: an item is committed there, and from there it goes to the index. Nothing besides is written
down of what is still to be delivered, so nothing can disagree with it: at the first delivery of a process the ids of
the two are compared, after that only what is new in the ledger is looked at. So a process may die anywhere between the
commit and the end of the index's write; the next one to start makes good what it left.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from wisen.core.records import MemoryItem
from wisen.memory.index import ChromaIndex


class Proposed(Protocol):
    """The part of the store that the outbox needs."""

    def bank_version(self) -> int: ...

    def entered(self, *, after: int = 0) -> Mapping[str, tuple[datetime, datetime]]:
        """When items were proposed first and last, by item id, after a version; reads no bodies."""
        ...

    def proposed(self, item_ids: Sequence[str]) -> tuple[MemoryItem, ...]:
        """These items as they were proposed last."""
        ...


class Outbox:
    """Delivers items to the index, those of all bank versions: any of them may be recalled from. One owner."""

    def __init__(self, ledger: Proposed, index: ChromaIndex) -> None:
        self._ledger, self._index = ledger, index
        self._delivered: int | None = None  # up to which bank version

    async def deliver(self) -> int:
        """Index what the ledger has and the index has not; returns how many items that were. The first delivery also
        removes what the ledger never had. Raises `StoreError` and `IndexFault`; what could not be delivered is
        delivered by the next call."""
        version = await asyncio.to_thread(self._ledger.bank_version)
        if version == self._delivered:
            return 0
        entered = await asyncio.to_thread(lambda: self._ledger.entered(after=self._delivered or 0))
        due = frozenset(entered)
        if self._delivered is None:
            held = await self._index.ids()
            await self._index.discard(held - due)
            # Of an item that entered twice, under another title, the index may have the earlier text.
            due = frozenset(key for key, (first, last) in entered.items() if key not in held or first != last)
        items = await asyncio.to_thread(lambda: self._ledger.proposed(sorted(due)))
        await self._index.ensure(items)
        self._delivered = version
        return len(items)
