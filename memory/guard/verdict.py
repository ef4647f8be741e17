"""What the guard says of an item."""

from dataclasses import dataclass, field

from wisen.core.records import JSON, MemoryItem


@dataclass(frozen=True)
class GuardVerdict:
    """`ok`: the item may go to probation. `item`: its text without secrets, under the id of that text. `reasons`: why
    it was refused, or what was redacted. `unsupported`: it was refused for its lack of evidence and nothing else; a
    person may answer for that."""

    ok: bool
    reasons: tuple[str, ...]
    item: MemoryItem
    unsupported: bool = False


@dataclass(frozen=True)
class Doubt:
    """Why an item is to be quarantined though its text is clean; `figures` go into the ledger beside the reason."""

    reason: str
    figures: JSON = field(default_factory=dict)
