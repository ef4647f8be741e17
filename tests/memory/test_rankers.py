"""Each ranker on a case worked by hand."""

import math
from collections import Counter

import pytest

from tests.memory.build import item
from wisen.core.ids import derived_seed
from wisen.core.records import Found, Standing
from wisen.memory.fusion import fused
from wisen.memory.rankers import UCB, Hybrid, Thompson, Value
from wisen.memory.rankers.ordering import standardised

A, B, C = sorted((item(f"Advice {number}.") for number in range(3)), key=lambda one: one.id)


def found(
    *similarities: float,
    lexical: tuple[float, ...] = (0, 0, 0),
    values: tuple[float, ...] = (0, 0, 0),
    shown: tuple[int, ...] = (0, 0, 0),
    wins: tuple[int, ...] = (0, 0, 0),
) -> list[Found]:
    return [
        Found(item=one, similarity=cosine, lexical=words, standing=Standing(value=v, shown=n, wins=w))
        for one, cosine, words, v, n, w in zip((A, B, C), similarities, lexical, values, shown, wins, strict=True)
    ]


def test_reciprocal_rank_fusion() -> None:
    assert fused([["a", "b"], ["b", "c"]]) == {"a": 1 / 61, "b": pytest.approx(1 / 62 + 1 / 61), "c": 1 / 62}
    assert fused([["b", "c"], ["a", "b"]]) == fused([["a", "b"], ["b", "c"]])
    assert fused([["a"], ["b"]], k=0) == {"a": 1.0, "b": 1.0}
    assert fused([[], []]) == {}


async def test_hybrid() -> None:
    # by cosine A B C, by words B (C and A share none): B is second and first, A first only
    got = await Hybrid().rank(found(0.9, 0.8, 0.7, lexical=(0.0, 0.4, 0.0)), query="", seed=0)
    assert [one.item_id for one in got] == [B.id, A.id, C.id]
    assert [one.score for one in got] == [pytest.approx(1 / 62 + 1 / 61), 1 / 61, 1 / 63]


async def test_value_weighs_standardised_likeness_and_worth() -> None:
    seen = found(0.1, 0.2, 0.3, values=(0.9, 0.0, 0.0))
    # z(similarity) = -1.2247, 0, 1.2247; z(value) = 1.4142, -0.7071, -0.7071
    got = {one.item_id: one.score for one in await Value().rank(seen, query="", seed=0)}
    assert got == {A.id: pytest.approx(0.0947, abs=1e-4), B.id: pytest.approx(-0.3536, abs=1e-4), C.id: pytest.approx(
        0.2588, abs=1e-4
    )}  # fmt: skip
    by_worth = await Value(weight=1.0).rank(seen, query="", seed=0)
    assert by_worth[0].item_id == A.id
    assert standardised([2.0, 2.0]) == [0.0, 0.0] and standardised([5.0]) == [0.0] and standardised([]) == []


async def test_value_explores_as_often_as_it_says_and_only_where_it_may() -> None:
    seen = found(0.9, 0.5, 0.1)
    ranked = [await Value(epsilon=0.3).rank(seen, query="", seed=seed, explore=True) for seed in range(2000)]
    orders = Counter(tuple(one.item_id for one in candidates) for candidates in ranked)
    best = (A.id, B.id, C.id)
    assert len(orders) == 6
    assert pytest.approx(orders[best] / 2000, abs=0.04) == 1 - 0.3 * 5 / 6
    assert (await Value(epsilon=1.0).rank(seen, query="", seed=3))[0].item_id == A.id


async def test_ucb_gives_what_was_shown_little_a_bonus() -> None:
    seen = found(0.5, 0.5, 0.5, values=(0.2, 0.1, 0.0), shown=(60, 38, 0))
    # log(1 + 98) = 4.5951; bonus = 0.2 sqrt(4.5951 / (1 + n))
    got = {one.item_id: one.score for one in await UCB().rank(seen, query="", seed=0, explore=True)}
    for one, value, n in ((A, 0.2, 60), (B, 0.1, 38), (C, 0.0, 0)):
        assert got[one.id] == pytest.approx(0.25 + 0.5 * (value + 0.2 * math.sqrt(math.log(99) / (1 + n))))
    assert max(got, key=got.__getitem__) == C.id
    plain = await UCB().rank(seen, query="", seed=0)
    assert [one.item_id for one in plain] == [A.id, B.id, C.id]
    assert plain[0].score == pytest.approx(0.25 + 0.5 * 0.2)


async def test_thompson_draws_from_the_posterior() -> None:
    seen = found(0.5, 0.5, 0.5, shown=(20, 20, 0), wins=(14, 6, 0))
    firsts: Counter[str] = Counter()
    scores: dict[str, list[float]] = {A.id: [], B.id: [], C.id: []}
    for seed in range(2000):
        ranked = await Thompson().rank(seen, query="", seed=seed, explore=True)
        firsts[ranked[0].item_id] += 1
        for one in ranked:
            scores[one.item_id].append(one.score)
    for one, mean, variance in ((A, 15 / 22, 15 * 7 / 22**2 / 23), (B, 7 / 22, 15 * 7 / 22**2 / 23), (C, 0.5, 1 / 12)):
        drawn = scores[one.id]
        assert sum(drawn) / 2000 == pytest.approx(mean, abs=0.03)
        assert sum((x - mean) ** 2 for x in drawn) / 2000 == pytest.approx(variance, rel=0.2)
    assert firsts[A.id] > firsts[C.id] > firsts[B.id]
    means = await Thompson().rank(seen, query="", seed=1)
    assert {one.item_id: one.score for one in means} == {A.id: 15 / 22, B.id: 7 / 22, C.id: 0.5}


async def test_a_draw_hangs_on_the_item_and_the_seed_alone() -> None:
    three = await Thompson().rank(found(0.5, 0.5, 0.5), query="", seed=derived_seed(1), explore=True)
    one = await Thompson().rank(found(0.1, 0.5, 0.5)[:1], query="other", seed=derived_seed(1), explore=True)
    assert {c.item_id: c.score for c in three}[A.id] == one[0].score
