"""What any ranker must do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory.build import item
from wisen.core.protocols import Ranker
from wisen.memory.rankers import RandomOrder, Similarity

RANKERS = [Similarity(), RandomOrder()]
POOL = [item(f"Advice {number}.") for number in range(12)]


@pytest.mark.parametrize("ranker", RANKERS, ids=lambda ranker: ranker.name)
class TestRanker:
    @given(scores=st.lists(st.floats(-1, 1), max_size=12), seed=st.integers(0, 2**32 - 1), order=st.randoms())
    def test_ranks_each_item_once_best_first_whatever_the_order(
        self, ranker: Ranker, scores: list[float], seed: int, order: object
    ) -> None:
        pairs = list(zip(POOL, scores, strict=False))
        ranked = ranker.rank([one for one, _ in pairs], scores, seed=seed)
        assert sorted(one.item_id for one in ranked) == sorted(one.id for one, _ in pairs)
        assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
        order.shuffle(pairs)  # type: ignore[attr-defined]
        assert ranked == ranker.rank([one for one, _ in pairs], [score for _, score in pairs], seed=seed)

    def test_has_a_name_and_takes_nothing(self, ranker: Ranker) -> None:
        assert ranker.name
        assert ranker.rank([], [], seed=0) == ()

    def test_decides_nothing_about_showing(self, ranker: Ranker) -> None:
        assert not any(one.shown for one in ranker.rank(POOL, [0.1] * 12, seed=1))


def test_similarity_refuses_scores_that_do_not_match() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Similarity().rank(POOL[:2], [0.5], seed=0)


def test_similarity_puts_the_nearest_first_and_random_does_not() -> None:
    scores = [number / 12 for number in range(12)]
    assert [one.item_id for one in Similarity().rank(POOL, scores, seed=1)] == [one.id for one in POOL[::-1]]
    firsts = {RandomOrder().rank(POOL, scores, seed=seed)[0].item_id for seed in range(200)}
    assert len(firsts) == 12
