"""What items were measured to be worth, in words for the terminal."""

from collections.abc import Mapping

from wisen.core.records import ItemCredit, Recall
from wisen.core.store import Store
from wisen.evolution.crediting import collected
from wisen.memory.bank import Snapshot
from wisen.memory.pooling import GROUPS, Pooled, pooled, shrunken


def accounts(store: Store, snapshot: Snapshot) -> list[tuple[str, tuple[ItemCredit, ...]]]:
    """(weights, the credits measured with them) of every run of the workspace, oldest first."""
    return [
        (account.weights, account.credits(store, snapshot.items))
        for run in store.runs()
        for account in collected(store, run.id)
    ]


def measured(one: ItemCredit) -> str:
    """The lift with its sequence, what it rests on, and what it would take to know its sign."""
    seen = f"{one.appearances} appearances ({one.shown} shown, {one.held_out} held out)"
    if one.lift is None:
        return f"not measured yet, {seen}"
    lift = f"{_points(one.lift.mean)} points [{_points(one.lift.low)}, {_points(one.lift.high)}], {seen}"
    return f"{lift}; {outlook(one)}"


def outlook(one: ItemCredit) -> str:
    if one.lift is None or one.more is None:
        return "no number of appearances would show its sign, as it goes"
    if one.more == 0:
        return "it helps" if one.lift.low > 0 else "it does harm"
    return f"about {one.more:,} more would show its sign, as it goes"


def of_item(store: Store, snapshot: Snapshot, key: str) -> list[str]:
    """A line for each account in which the item takes part, by itself or within a cluster."""
    lines = []
    for weights, credits in accounts(store, snapshot):
        for one in credits:
            if key == one.item.id or key in one.others:
                shared = [other for other in (one.item.id, *one.others) if other != key]
                together = f", as one with {', '.join(shared)}" if shared else ""
                lines.append(f"with {weights or 'unknown weights'}{together}: {measured(one)}")
    return lines or ["no randomised appearance yet"]


def summary(snapshot: Snapshot, credits: Mapping[str, ItemCredit]) -> list[str]:
    """The bank in figures: statuses, then items by worth, then what kinds, distillers and authors have in common."""
    statuses = [str(status) for status in snapshot.statuses.values()]
    counts = ", ".join(f"{statuses.count(name)} {name}" for name in dict.fromkeys(sorted(statuses)))
    lines = [f"{len(snapshot)} items at bank version {snapshot.version}: {counts or 'none'}"]
    known = list(credits.values())
    if not known:
        return [*lines, "no item has a randomised appearance yet: credit comes from what `wisen evolve` collects"]
    expected = shrunken(known)
    lines += ["", "lift in points of success, with an interval that holds however often it is read:"]
    for one in sorted(known, key=lambda one: (-expected[one.item.id], one.item.id)):
        status = snapshot.statuses[one.item.id]
        lines.append(f"  {one.item.id}  {status:11} {measured(one)}  {one.item.title}")
    for name, group in GROUPS.items():
        lines += ["", f"by {name}:", *(f"  {_pool(key, pool)}" for key, pool in pooled(known, group).items())]
    return lines


def explained(store: Store, recall: Recall, snapshot: Snapshot) -> list[str]:
    """Why an episode was shown what it was shown: each candidate's score, rank and draw, and what is known of it."""
    known = {one.item.id: one for _, credits in accounts(store, snapshot) for one in credits}  # the newest account's
    excluded = recall.info.get("excluded", {})
    dropped = ", ".join(f"{count} by {stage}" for stage, count in excluded.items() if count)
    lines = [
        f"episode {recall.trajectory_id} asked for: {recall.query}",
        f"bank version {recall.bank_version}, ranker {recall.ranker}, {recall.eligible} items eligible"
        + (f"; dropped: {dropped}" if dropped else ""),
    ]
    if recall.arm != "on":
        lines.append(f"the whole episode ran without memory (it had it with probability {recall.arm_propensity:g})")
    for rank, one in enumerate(recall.ranked, start=1):
        title = snapshot.items[one.item_id].title if one.item_id in snapshot.items else "no longer in the bank"
        lines.append(f"  {rank}. {one.item_id}  score {one.score:.3f}, {_draw(one.propensity, one.shown)}  {title}")
        credit = known.get(one.cluster or one.item_id)
        if one.propensity > 0 and credit is not None:
            lines.append(f"     {measured(credit)}")
    return lines


def _draw(propensity: float, shown: bool) -> str:
    if propensity == 0:
        return "no place left"
    return f"{'shown' if shown else 'held out'} (to be shown with probability {propensity:g})"


def _pool(key: object, pool: Pooled) -> str:
    name = " ".join(str(part) for part in key if part) if isinstance(key, tuple) else str(key)
    low, high = pool.mean - 1.96 * pool.error, pool.mean + 1.96 * pool.error
    return (
        f"{name or 'unknown'}: {_points(pool.mean)} points on average of {pool.items} items "
        f"[{_points(low)}, {_points(high)}, for one look only], which differ by {100 * pool.spread:.1f}"
    )


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
