import math
import random

import pytest

from tests.memory.build import item
from wisen.core.records import Author, Interval, ItemCredit, ItemKind, MemoryItem
from wisen.memory.pooling import GROUPS, pooled, shrunken


def credited(of: MemoryItem, mean: float, n: int = 100, deviation: float = 1.0) -> ItemCredit:
    return ItemCredit(
        item=of,
        lift=Interval(mean=mean, low=mean - 1, high=mean + 1, level=0.95),
        shown=n,
        held_out=0,
        success_shown=None,
        success_held_out=None,
        deviation=deviation,
    )


def items(n: int, what: str = "", **how: object) -> list[MemoryItem]:
    return [item(f"{what} advice {number}.", **how) for number in range(n)]  # type: ignore[arg-type]


def test_shrinking_comes_nearer_to_the_truth() -> None:
    draw, raw, drawn = random.Random(0), 0.0, 0.0
    for _ in range(40):
        credits, truth = [], {}
        for kind, centre in ((ItemKind.STRATEGY, 0.1), (ItemKind.WARNING, -0.1)):
            for one in items(10, kind.value, kind=kind):
                lift = draw.gauss(centre, 0.05)
                n = draw.choice([20, 100, 400])
                truth[one.id] = lift
                credits.append(credited(one, draw.gauss(lift, 1 / math.sqrt(n)), n))
        for key, value in shrunken(credits).items():
            drawn += (value - truth[key]) ** 2
        raw += sum((one.lift.mean - truth[one.item.id]) ** 2 for one in credits if one.lift)
    assert drawn < raw / 2


def test_the_less_is_known_the_more_an_item_is_like_its_group() -> None:
    group = [credited(one, 0.2 + 0.1 * (-1) ** at, 2000) for at, one in enumerate(items(8))]
    little, much = item("Little is known."), item("Much is known.")
    found = shrunken([*group, credited(little, -0.8, 5), credited(much, -0.8, 5000)])
    assert found[little.id] > -0.5 > found[much.id]
    assert found[much.id] == pytest.approx(-0.8, abs=0.02)


def test_groups_that_are_alike_are_one() -> None:
    same = [credited(one, 0.1, 100) for one in items(6)]
    assert shrunken(same) == {one.item.id: pytest.approx(0.1) for one in same}
    assert shrunken([]) == {}


def test_an_item_without_a_measured_lift_has_the_mean_of_all() -> None:
    known = [credited(one, 0.3, 1000) for one in items(3)]
    new = item("New.")
    nothing = ItemCredit(item=new, lift=None, shown=1, held_out=0, success_shown=1.0, success_held_out=None)
    assert shrunken([*known, nothing])[new.id] == pytest.approx(0.3)
    assert shrunken([nothing]) == {new.id: 0.0}


def test_credit_is_pooled_by_author() -> None:
    good = items(4, "good", author=Author(distiller="d", model="big"))
    poor = items(4, "poor", author=Author(distiller="d", model="small"))
    credits = [credited(one, 0.2, 400) for one in good] + [credited(one, -0.1, 400) for one in poor]
    by_author = pooled(credits, GROUPS["author"])
    assert [round(pool.mean, 6) for pool in by_author.values()] == [0.2, -0.1]
    assert all(pool.items == 4 and pool.error == pytest.approx(0.025) for pool in by_author.values())
    (whole,) = pooled(credits, GROUPS["distiller"]).values()
    assert whole.spread == pytest.approx(0.15, abs=0.02)
