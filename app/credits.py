"""What items were measured to be worth, in words for the terminal."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from wisen.core.records import ItemCredit
from wisen.core.store import Store
from wisen.evolution.crediting import collected, lived
from wisen.memory.bank import Snapshot
from wisen.memory.pooling import GROUPS, Pooled, pooled, shrunken


def accounts(store: Store, snapshot: Snapshot) -> list[tuple[str, tuple[ItemCredit, ...]]]:
    """(weights, the credits measured with them) of every run of the workspace, oldest first."""
    return [
        (account.weights, account.credits(store, snapshot.items))
        for run in store.runs()
        for account in (*lived(store, run), *collected(store, run.id))
    ]


def measured(one: ItemCredit) -> str:
    """The lift with its sequence, what it rests on, and what it would take to know its sign."""
    seen = f"{one.appearances} appearances ({one.shown} shown, {one.held_out} held out)"
    if one.lift is None:
        return f"not measured yet, {seen}"
    lift = f"{points(one.lift.mean)} points [{points(one.lift.low)}, {points(one.lift.high)}], {seen}"
    return f"{lift}; {outlook(one)}"


def outlook(one: ItemCredit) -> str:
    if one.lift is None or one.more is None:
        return "no number of appearances would show its sign, as it goes"
    if one.more == 0:
        return "it helps" if one.lift.low > 0 else "it does harm"
    return f"about {one.more:,} more would show its sign, as it goes"


def summary(snapshot: Snapshot, credits: Mapping[str, ItemCredit]) -> list[str]:
    """The bank in figures: statuses, then items by worth, then what kinds, distillers and authors have in common."""
    statuses = [str(status) for status in snapshot.statuses.values()]
    counts = ", ".join(f"{statuses.count(name)} {name}" for name in dict.fromkeys(sorted(statuses)))
    lines = [f"{len(snapshot)} items at bank version {snapshot.version}: {counts or 'none'}"]
    known = list(credits.values())
    if not known:
        return [*lines, "no item has a randomised appearance yet: `wisen evolve` holds items out, an application may"]
    expected = shrunken(known)
    lines += ["", "lift in points of success, with an interval that holds however often it is read:"]
    for one in sorted(known, key=lambda one: (-expected[one.item.id], one.item.id)):
        status = snapshot.statuses[one.item.id]
        lines.append(f"  {one.item.id}  {status:11} {measured(one)}  {one.item.title}")
    for name, group in GROUPS.items():
        lines += ["", f"by {name}:", *(f"  {_pool(key, pool)}" for key, pool in pooled(known, group).items())]
    return lines


def summary_data(snapshot: Snapshot, credits: Mapping[str, ItemCredit]) -> dict[str, Any]:
    """What `summary` says, for a script. Shares of success; a pool's error holds for one look only."""
    known = list(credits.values())
    expected = shrunken(known)
    return {
        "version": snapshot.version,
        "statuses": Counter(str(status) for status in snapshot.statuses.values()),
        "items": [data(one) | {"expected": expected[one.item.id]} for one in known],
        "pooled": {
            name: [
                {"of": key, "mean": pool.mean, "error": pool.error, "spread": pool.spread, "items": pool.items}
                for key, pool in pooled(known, group).items()
            ]
            for name, group in GROUPS.items()
        },
    }


def data(one: ItemCredit) -> dict[str, Any]:
    """An item's account, for a script."""
    return {"id": one.item.id, **one.model_dump(mode="json", exclude={"item"})}


def _pool(key: object, pool: Pooled) -> str:
    name = " ".join(str(part) for part in key if part) if isinstance(key, tuple) else str(key)
    low, high = pool.mean - 1.96 * pool.error, pool.mean + 1.96 * pool.error
    return (
        f"{name or 'unknown'}: {points(pool.mean)} points on average of {pool.items} items "
        f"[{points(low)}, {points(high)}, for one look only], which differ by {100 * pool.spread:.1f}"
    )


def points(share: float) -> str:
    return f"{100 * share:+.1f}"
