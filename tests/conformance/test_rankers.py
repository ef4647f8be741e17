"""What any ranker must do."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory.build import item
from wisen.core.errors import SettingsError
from wisen.core.protocols import Ranker
from wisen.core.records import Candidate, Found, Standing
from wisen.memory.rankers import UCB, Hybrid, RandomOrder, Similarity, Thompson, Value, make_ranker, ranker_names

RANKERS = [Similarity(), RandomOrder(), Hybrid(), Value(), Value(epsilon=1.0), UCB(), Thompson()]
POOL = [item(f"Advice {number}.") for number in range(12)]
NUMBER = st.floats(-1, 1, allow_nan=False)
SEEN = st.tuples(NUMBER, st.floats(0, 1), NUMBER, st.integers(0, 50), st.integers(0, 50))


def ranked(ranker: Ranker, found: list[Found], seed: int, explore: bool = False) -> tuple[Candidate, ...]:
    return asyncio.run(ranker.rank(found, query="anything", seed=seed, explore=explore))


def near(*similarities: float) -> list[Found]:
    return [Found(item=one, similarity=cosine) for one, cosine in zip(POOL, similarities, strict=False)]


@pytest.mark.parametrize("ranker", RANKERS, ids=lambda ranker: ranker.name)
class TestRanker:
    @given(
        seen=st.lists(SEEN, max_size=12),
        seed=st.integers(0, 2**32 - 1),
        order=st.integers(0, 2**32 - 1),
        explore=st.booleans(),
    )
    def test_ranks_each_item_once_best_first_whatever_the_order(
        self, ranker: Ranker, seen: list[tuple[float, float, float, int, int]], seed: int, order: int, explore: bool
    ) -> None:
        found = [
            Found(item=one, similarity=a, lexical=b, standing=Standing(value=v, shown=m + n, wins=m))
            for one, (a, b, v, m, n) in zip(POOL, seen, strict=False)
        ]
        first = ranked(ranker, found, seed, explore)
        assert sorted(one.item_id for one in first) == sorted(one.item.id for one in found)
        assert list(first) == sorted(first, key=lambda one: (-one.score, one.item_id))
        mixed = random.Random(order).sample(found, len(found))
        assert first == ranked(ranker, mixed, seed, explore) == ranked(ranker, mixed, seed, explore)

    def test_has_a_name_and_takes_nothing(self, ranker: Ranker) -> None:
        assert ranker.name in ranker_names()
        assert ranked(ranker, [], 0) == ()

    def test_decides_nothing_about_showing(self, ranker: Ranker) -> None:
        assert not any(one.shown for one in ranked(ranker, near(*[0.1] * 12), 1))

    def test_tries_nothing_out_where_that_is_not_allowed(self, ranker: Ranker) -> None:
        if isinstance(ranker, RandomOrder):
            return  # it is the control
        orders = {ranked(ranker, near(*[number / 12 for number in range(12)]), seed) for seed in range(20)}
        assert len(orders) == 1


def test_similarity_puts_the_nearest_first_and_random_does_not() -> None:
    found = near(*[number / 12 for number in range(12)])
    assert [one.item_id for one in ranked(Similarity(), found, 1)] == [one.id for one in POOL[::-1]]
    firsts = {ranked(RandomOrder(), found, seed)[0].item_id for seed in range(200)}
    assert len(firsts) == 12


def test_rankers_by_name() -> None:
    assert {"similarity", "hybrid", "value", "ucb", "thompson", "random", "parametric"} <= set(ranker_names())
    for name in set(ranker_names()) - {"parametric"}:
        assert make_ranker(name).name == name
    with pytest.raises(SettingsError, match=r"no ranker 'nearest'.*similarity"):
        make_ranker("nearest")
    with pytest.raises(SettingsError, match="epsilon"):
        make_ranker("ucb", {"epsilon": 0.1})
    with pytest.raises(SettingsError, match="epsilon is 2"):
        make_ranker("value", {"epsilon": 2})
    with pytest.raises(SettingsError, match="c is -1"):
        make_ranker("ucb", {"c": -1})
