import numpy as np

from tests.memory.build import item, observation, request
from wisen.core.records import ItemKind, ItemStatus, MemoryMode, Scope
from wisen.memory.bank import Snapshot
from wisen.memory.clusters import clusters
from wisen.memory.recall import RecallSettings, recall


def vector(degrees: float) -> list[float]:
    return [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]


OLD, YOUNG, FAR = (item(f"Advice {number}.", tasks=()) for number in range(3))


def test_near_duplicates_of_one_kind_and_scope_are_one() -> None:
    other_kind = item("Advice 3.", kind=ItemKind.WARNING)
    elsewhere = item("Advice 4.", scope=Scope(suite="shop"))
    items = [OLD, FAR, YOUNG, other_kind, elsewhere]
    vectors = np.array([vector(degrees) for degrees in (0, 60, 20, 0, 0)])
    assert clusters(items, vectors) == {one.id: one.id for one in items} | {YOUNG.id: OLD.id}
    assert clusters(items, vectors, near=0.95)[YOUNG.id] == YOUNG.id


def test_a_cluster_is_no_chain_and_keeps_its_name() -> None:
    items = [item(f"Step {number}.") for number in range(4)]
    vectors = np.array([vector(20 * number) for number in range(4)])
    found = clusters(items, vectors)
    assert [items.index(next(one for one in items if one.id == found[key.id])) for key in items] == [0, 0, 2, 2]
    for n in range(1, 4):
        assert clusters(items[:n], vectors[:n]) == {one.id: found[one.id] for one in items[:n]}
    # without its oldest the rest has another name: another account
    assert clusters(items[1:], vectors[1:])[items[1].id] == items[1].id


class Near:
    async def query(self, text: str, ids: list[str], n: int) -> list[tuple[str, float]]:
        return [(key, 0.9) for key in sorted(ids)][:n]


async def drawn(
    statuses: dict[str, ItemStatus], clustered: dict[str, str] | None, n: int = 60
) -> list[dict[str, tuple[bool, float, str]]]:
    """What each of n episodes drew for every item: shown, propensity, cluster."""
    items = {one.id: one for one in (OLD, YOUNG, FAR)}
    found = []
    for number in range(n):
        made = await recall(
            request(number, memory=MemoryMode.RANDOMISED),
            observation(),
            Snapshot(1, items, statuses),
            Near(),
            settings=RecallSettings(k=3, arm_propensity=1.0),
            clusters=clustered,
        )
        found.append({one.item_id: (one.shown, one.propensity, one.cluster) for one in made.recall.ranked})
    return found


async def test_a_cluster_shares_its_draw_and_the_oldest_draws_as_alone() -> None:
    trial = {one.id: ItemStatus.PROBATION for one in (OLD, YOUNG, FAR)}
    together = await drawn(trial, {OLD.id: OLD.id, YOUNG.id: OLD.id, FAR.id: FAR.id})
    alone = await drawn(trial, None)
    assert all(one[OLD.id] == one[YOUNG.id] and one[OLD.id][2] == OLD.id for one in together)
    assert [one[OLD.id][0] for one in together] == [one[OLD.id][0] for one in alone]
    assert [one[FAR.id] for one in together] == [one[FAR.id] for one in alone]  # on its own: nothing is different
    assert [one[YOUNG.id][0] for one in together] != [one[YOUNG.id][0] for one in alone]


async def test_one_that_is_on_trial_keeps_its_cluster_on_trial() -> None:
    clustered = {OLD.id: OLD.id, YOUNG.id: OLD.id, FAR.id: FAR.id}
    mixed = {OLD.id: ItemStatus.ACTIVE, YOUNG.id: ItemStatus.PROBATION, FAR.id: ItemStatus.ACTIVE}
    (one,) = await drawn(mixed, clustered, n=1)
    assert [one[key.id][1] for key in (OLD, YOUNG, FAR)] == [0.5, 0.5, 0.9]
    (two,) = await drawn(dict.fromkeys(mixed, ItemStatus.ACTIVE), clustered, n=1)
    assert [two[key.id][1] for key in (OLD, YOUNG, FAR)] == [0.9, 0.9, 0.9]
