"""Search by words, alone and fused with search by meaning."""

import math
from collections.abc import Sequence

import pytest

from tests.memory.build import item, observation, request
from wisen.core.records import ItemStatus, MemoryItem, Scope
from wisen.memory.bank import Snapshot
from wisen.memory.eligibility import Eligible, Shelf
from wisen.memory.lexical import Lexical, words
from wisen.memory.recall import RecallSettings, SnapshotRecaller, recall, same_task, same_template


def told(what: str, **fields: object) -> MemoryItem:
    return item(what, when="", title="", **fields)  # type: ignore[arg-type]


def bank(*items: MemoryItem) -> Snapshot:
    return Snapshot(1, {one.id: one for one in items}, {one.id: ItemStatus.PROBATION for one in items})


def pool(*items: MemoryItem) -> tuple[str, ...]:
    return tuple(sorted(one.id for one in items))


class Cosines:
    """An index whose cosines are given."""

    def __init__(self, cosines: dict[str, float]) -> None:
        self._cosines = cosines

    async def query(self, text: str, ids: Sequence[str], n: int) -> list[tuple[str, float]]:
        return sorted(((key, self._cosines[key]) for key in ids), key=lambda pair: (-pair[1], pair[0]))[:n]


LOCK, PAY, BOTH = told("Unlock the order E417."), told("Pay the order."), told("Order and order.")
SOME = (LOCK, PAY, BOTH)


def test_scores_are_shares_of_the_query_by_the_formula() -> None:
    lexical = Lexical(sorted(SOME, key=lambda one: one.id))
    length = sum(len(words(one.text)) for one in SOME) / 3

    def idf(n: int) -> float:
        return math.log(1 + (3 - n + 0.5) / (n + 0.5))

    def term(n: int, times: int, one: MemoryItem) -> float:
        return idf(n) * times / (times + 1.2 * (1 - 0.75 + 0.75 * len(words(one.text)) / length))

    most = idf(3) + idf(1) + idf(0)  # the last is a word that nobody has
    got = dict(lexical.best("order E417 nowhere", pool(*SOME), 3))
    assert got == {
        LOCK.id: pytest.approx((term(3, 1, LOCK) + term(1, 1, LOCK)) / most, abs=1e-6),
        PAY.id: pytest.approx(term(3, 1, PAY) / most, abs=1e-6),
        BOTH.id: pytest.approx(term(3, 2, BOTH) / most, abs=1e-6),
    }
    assert lexical.shares("order E417 nowhere", got) == got


def test_best_keeps_to_the_pool_and_to_what_shares_a_word() -> None:
    lexical = Lexical(sorted(SOME, key=lambda one: one.id))
    everything = pool(*SOME)
    assert [key for key, _ in lexical.best("E417", everything, 3)] == [LOCK.id]
    assert lexical.best("e417", everything, 3) == lexical.best("E417", everything, 3)
    assert {key for key, _ in lexical.best("order", pool(PAY, BOTH), 9)} == {PAY.id, BOTH.id}
    assert LOCK.id not in dict(lexical.best("order E417", everything, 3, out=frozenset({LOCK.id})))
    assert len(lexical.best("order", everything, 1)) == 1
    assert lexical.best("nothing known", everything, 3) == lexical.best("", everything, 3) == []
    assert lexical.best("order", (), 3) == Lexical([]).best("order", (), 3) == []
    assert lexical.shares("nothing known", everything) == dict.fromkeys(everything, 0.0)
    with pytest.raises(KeyError):
        lexical.best("order", ("mem-none",), 1)


def test_equal_scores_come_in_order_of_id() -> None:
    twins = [told("Same words.", scope=Scope(suite=name)) for name in ("", "web", "code", "text")]
    lexical = Lexical(sorted(twins, key=lambda one: one.id))
    assert [key for key, _ in lexical.best("words", pool(*twins), 3)] == list(pool(*twins))[:3]


async def test_words_find_what_meaning_misses_and_the_other_way_round() -> None:
    """Right is what both find second. Each search alone puts a decoy first; fused, the right one is first."""
    right, alike = told("Void invoice X9 first."), told("X9 X9 invoice X9 invoice.")
    near, *others = (told(f"Cancel a bill of {name}.") for name in ("Ada", "Bela", "Cem", "Dora"))
    items = (right, near, alike, *others)
    index = Cosines({right.id: 0.6, near.id: 0.7, alike.id: 0.21, **{one.id: 0.5 for one in others}})

    async def first(ranker: str) -> str:
        got = await recall(
            request(), observation("invoice X9"), bank(*items), index, settings=RecallSettings(ranker=ranker)
        )
        return got.recall.ranked[0].item_id

    lexical = Lexical(sorted(items, key=lambda one: one.id))
    assert lexical.best("invoice X9", pool(*items), 1)[0][0] == alike.id
    assert await first("similarity") == near.id
    assert await first("hybrid") == right.id


async def test_an_item_that_only_words_find_becomes_a_candidate() -> None:
    far, others = told("Code E417 means locked."), [told(f"Advice {number}.") for number in range(5)]
    index = Cosines({far.id: 0.05, **{one.id: 0.9 for one in others}})
    few = RecallSettings(k=9, candidates=3)
    shown = bank(far, *others)
    got = await recall(request(), observation("E417"), shown, index, settings=few)
    assert far.id not in got.recall.shown
    fused = await recall(request(), observation("E417"), shown, index, settings=few.model_copy(update={"fused": True}))
    assert far.id in fused.recall.shown and len(fused.recall.ranked) == 3
    strict = few.model_copy(update={"fused": True, "lexical_floor": 0.99})
    assert far.id not in (await recall(request(), observation("E417"), shown, index, settings=strict)).recall.shown


async def test_a_leaking_item_is_not_found_by_its_words() -> None:
    own = told("Code E417 means locked.", tasks=["task-99"])
    got = await recall(
        request(), observation("E417"), bank(own, *SOME), Cosines({one.id: 0.5 for one in (own, *SOME)}),
        settings=RecallSettings(ranker="hybrid", k=9),
    )  # fmt: skip
    assert own.id not in {one.item_id for one in got.recall.ranked}
    assert got.recall.info["excluded"]["leakage"] == 1


def test_a_shelf_hands_out_one_tuple_for_one_scope() -> None:
    web = [told(f"Advice {number}.", scope=Scope(suite="web"), tasks=[f"task-{number}"]) for number in range(4)]
    code = told("Other.", scope=Scope(suite="code"))
    shelf, seen = Shelf(bank(*web, code)), observation()
    first = shelf.eligible(request(of=77).task, seen, same_task)
    assert first.ids == first.pool == pool(*web)
    assert shelf.eligible(request(of=78).task, seen, same_task).ids is first.ids
    own = shelf.eligible(request(of=2).task, seen, same_task)
    assert own.pool is first.pool and own.out == {web[2].id} and set(own.ids) == {one.id for one in web} - own.out
    past = shelf.eligible(request(of=2).task, seen, same_task, past=[web[0].id, code.id])
    assert past.out == {web[2].id, web[0].id}
    by_template = shelf.eligible(request(of=77).task, seen, same_template({"task-1": "t", "task-2": "u"}.get))
    assert set(by_template.ids) == {web[2].id}  # 1 is of the same template, 0 and 3 of one that nobody knows


def test_however_many_are_out_the_rest_stays_in_order() -> None:
    pool = tuple(f"mem-{number:02}" for number in range(40))
    for count in (0, 1, 16, 17, 40):
        out = frozenset(pool[::2][:count])
        assert Eligible(pool, out).ids == tuple(key for key in pool if key not in out)


async def test_the_recaller_makes_its_shelf_once() -> None:
    recaller = SnapshotRecaller(bank(*SOME), Cosines({one.id: 0.5 for one in SOME}), RecallSettings(ranker="hybrid"))
    first = await recaller.recall(request(), observation("E417"))
    lexical = recaller.shelf.lexical
    assert await recaller.recall(request(), observation("E417")) == first
    assert recaller.shelf.lexical is lexical
