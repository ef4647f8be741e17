"""What tests of curators share: attempts in the shape that a curator reads, and one step of it through a real bank."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from tests.memory.build import judged, trajectory
from wisen.core.protocols import Curator
from wisen.core.records import Attempted, Entry, LedgerEvent, Revision
from wisen.memory.bank import Bank, Ledger, Mark
from wisen.memory.curation import entries
from wisen.models.scripted import ScriptedModel


def tried(of: int, success: bool, *, number: int = 1, shown: Sequence[str] = (), **fields: Any) -> Attempted:
    """An attempt at task `of`."""
    one, verdict = judged(
        trajectory("Press the button.", ['click button "Ok"'], of=of, number=number, **fields), success
    )
    return Attempted(trajectory=one, verdict=verdict, shown=tuple(shown))


def says(*replies: Any) -> ScriptedModel:
    """A model that gives those replies; what is no text is given as JSON."""
    return ScriptedModel([one if isinstance(one, str) else json.dumps(one) for one in replies])


def text(content: str, when: str = "A page with buttons.") -> dict[str, str]:
    return {"when_to_use": when, "content": content}


def held(curator: Curator, store: Ledger, used: Mapping[str, int] | None = None) -> tuple[Entry, ...]:
    """The curator's items as the ledger has them."""
    return entries(curator.name, "web", Bank(store).snapshot(), store.events(), used or {})


async def step(
    curator: Curator, store: Ledger, batch: Sequence[Attempted], used: Mapping[str, int] | None = None
) -> Revision:
    """One batch, read and followed."""
    revision = await curator.curate(held(curator, store, used), batch)
    Bank(store).revise(revision, actor=curator.name)
    return revision


def listed(curator: Curator, store: Ledger) -> dict[str, dict[str, int]]:
    """The counts of what is on the list, by its text."""
    return {entry.item.content: dict(entry.counts) for entry in held(curator, store) if entry.present}


class Lines:
    """A ledger in memory, for laws that are tried often. Its events go through JSON, as a store's do."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def append_events(self, events: Sequence[LedgerEvent], *, mark: Mark | None = None) -> int:
        for event in events:
            self._lines.append(event.model_copy(update={"seq": len(self._lines) + 1}).model_dump_json())
        return len(self._lines)

    def events(self, up_to: int | None = None, *, after: int = 0) -> tuple[LedgerEvent, ...]:
        return tuple(LedgerEvent.model_validate_json(line) for line in self._lines[after:up_to])

    def bank_version(self) -> int:
        return len(self._lines)

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()
