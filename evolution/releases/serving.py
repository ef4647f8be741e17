"""Which release is served: going back to one, and putting one there by hand. Nothing is ever deleted."""

from dataclasses import dataclass
from pathlib import Path

from wisen.core.errors import SettingsError
from wisen.core.records import EventKind, LedgerEvent, Release, ReleaseEventKind
from wisen.core.store import Store
from wisen.evolution.releases.lineage import BY_HAND, takes_effect
from wisen.evolution.releases.manifest import release_named, require_recorded
from wisen.memory.bank import Bank, Snapshot, compare


@dataclass(frozen=True)
class Served:
    """The release that was present, if any, and the one that is now. bank: the newest bank version of before, where the
    newest bank was set back to what the release holds."""

    before: Release | None
    after: Release
    bank: int | None
    reason: str


def roll_back(store: Store, weights: Path, name: str = "", *, keep_bank: bool = False) -> Served:
    """Back to `name`, or to the present one's parent; a release without one goes back to what was served before it.

    The newest bank becomes what the release holds, unless it is to be kept: both in one transaction. `weights`: the
    workspace's folder of checkpoints. Raises `SettingsError` where there is nothing to go back to, or the release named
    was never present, and `StoreError` where its weights are not as they were recorded.
    """
    present = release_named(store, "")
    earlier = _served(store)
    if name:
        target = release_named(store, name)
    else:
        before = present.parent_id or next((one for one in reversed(earlier) if one != present.id), None)
        found = store.release(before or "")
        if found is None:
            known = ", ".join(release.name for release in store.releases())
            raise SettingsError(f"{present.name} has no parent", f"known: {known}")
        target = found
    if target.id not in earlier:
        raise SettingsError(
            f"{target.name} was never promoted",
            "a rollback goes to what was served; `wisen releases promote` serves what no gate let in",
        )
    return _serve(store, weights, target, ReleaseEventKind.ROLLED_BACK, f"rolled back from {present.name}", keep_bank)


def promote(store: Store, weights: Path, name: str, *, reason: str = "", keep_bank: bool = False) -> Served:
    """Make a release the present one by hand. What is recorded says that no gate decided, and `reason` beside it.
    Raises as `roll_back` does, also where it is the present one already."""
    target, present = release_named(store, name), store.current_release()
    if present is not None and present.id == target.id:
        raise SettingsError(f"{target.name} is the present release already", "nothing was changed")
    said = f"{BY_HAND}; {reason}" if reason else BY_HAND
    return _serve(store, weights, target, ReleaseEventKind.PROMOTED, said, keep_bank)


def _serve(
    store: Store, weights: Path, target: Release, kind: ReleaseEventKind, reason: str, keep_bank: bool
) -> Served:
    if (recorded := store.checkpoint(target.model)) is not None:
        require_recorded(recorded, weights)
    before, bank = store.current_release(), Bank(store)
    held, newest = bank.snapshot(target.bank_version), bank.snapshot()
    ledger = []
    if not keep_bank and not _equal(held, newest):
        ledger.append(
            LedgerEvent(
                seq=0,
                kind=EventKind.RESTORED,
                to_version=target.bank_version,
                actor="releases",
                reason=f"{target.name}: {reason}",
            )
        )
    store.append_release_event(kind, target.id, reason=reason, ledger=ledger)
    return Served(before, target, newest.version if ledger else None, reason)


def _equal(one: Snapshot, other: Snapshot) -> bool:
    difference = compare(one, other)
    return not (difference.added or difference.removed or difference.changed)


def _served(store: Store) -> list[str]:
    """The ids of what was present, in order of time."""
    return [event.release_id for event in store.release_events() if takes_effect(event)]
