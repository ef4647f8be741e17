"""Credit over what a run collected: the accounts of its items, and the moves that they ask for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from wisen.core.records import ItemCredit, MemoryItem, Outcome, Recall, RunInfo, Standing
from wisen.core.store import Store
from wisen.memory.bank import Bank, Snapshot
from wisen.memory.credit import credit, restarts
from wisen.memory.lifecycle import LifecycleSettings, moves, taught_since_retired
from wisen.memory.standing import standings


@dataclass(frozen=True)
class Collected:
    """What a run collected with the same weights, in collection order. New weights start new accounts: advice that
    helped one model need not help another."""

    weights: str
    recalls: tuple[Recall, ...]
    outcomes: tuple[Outcome, ...]

    def credits(self, store: Store, items: Mapping[str, MemoryItem]) -> tuple[ItemCredit, ...]:
        return credit(self.recalls, self.outcomes, items, begun=restarts(store.events()))


def collected(store: Store, run_id: str, cycle: int | None = None) -> tuple[Collected, ...]:
    """All that the run's cycles collected, one entry for each weights, the last used last; with `cycle`, up to that."""
    ids: dict[str, list[str]] = {}
    for number in count(1):
        marked = store.marked(run_id, f"cycle/{number}/collected")
        start = store.marked(run_id, f"cycle/{number}/start")
        if marked is None or start is None or (cycle is not None and number > cycle):
            break
        release = store.release(start["release"])
        weights = release.model if release else ""
        ids[weights] = [*ids.pop(weights, []), *marked["ids"]]
    return tuple(
        Collected(weights, store.recalls(keys), tuple(store.outcomes(keys).values())) for weights, keys in ids.items()
    )


def lived(store: Store, run: RunInfo) -> tuple[Collected, ...]:
    """What an application's jobs make known, in the order in which they ended; nothing for a run that is no
    application. Nobody knows its weights: its name stands for them."""
    if "application" not in run.settings:
        return ()
    outcomes = store.outcomes(store.trajectory_ids(run.id)).values()
    return (Collected(run.title, store.recalls(run_id=run.id), tuple(outcomes)),)


def move_items(store: Store, run_id: str, number: int, settings: LifecycleSettings) -> None:
    """Append to the ledger what credit asks for after the collection of cycle `number`, once: a mark goes with it."""
    key = f"cycle/{number}/credit"
    if store.marked(run_id, key) is not None:
        return
    snapshot = Bank(store).snapshot()
    account = collected(store, run_id, cycle=number)[-1]
    events = moves(
        account.credits(store, snapshot.items),
        snapshot.statuses,
        settings,
        taught=taught_since_retired(store.events()),
    )
    store.append_events(events, mark=(run_id, key, {}))


def standings_of(store: Store, snapshot: Snapshot, value: str) -> dict[str, Standing]:
    """What each item is worth to a ranker at this bank version: see `memory.standing`. Counts what the runs and the
    applications of the workspace collected from earlier versions."""
    parts = [part for run in store.runs() for part in (*collected(store, run.id), *lived(store, run))]
    return standings(
        [recall for part in parts for recall in part.recalls],
        [outcome for part in parts for outcome in part.outcomes],
        snapshot.items,
        value=value,
        before=snapshot.version,
        begun=restarts(store.events(snapshot.version)),
    )


def largest(credits: Iterable[ItemCredit]) -> dict[str, ItemCredit]:
    """By item id, the account with most appearances; of equal ones the first."""
    found: dict[str, ItemCredit] = {}
    for one in credits:
        known = found.get(one.item.id)
        if known is None or one.appearances > known.appearances:
            found[one.item.id] = one
    return found
