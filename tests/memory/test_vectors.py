"""The search in memory is the exact one, at every size at which it takes another way."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wisen.memory import vectors
from wisen.memory.vectors import Vectors

Floats = NDArray[np.float32]


def made(count: int, dimensions: int = 32, seed: int = 0) -> tuple[list[str], Floats]:
    rows = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return [f"mem-{place:06d}" for place in range(count)], rows / np.linalg.norm(rows, axis=1, keepdims=True)


def exact(keys: Sequence[str], rows: Floats, query: Floats, n: int) -> list[tuple[str, float]]:
    scores = [round(float(np.dot(row.astype(np.float64), query.astype(np.float64))), 6) for row in rows]
    return sorted(zip(keys, scores, strict=True), key=lambda pair: (-pair[1], pair[0]))[:n]


@pytest.mark.parametrize("count", [1, 5, 300, 5000])
def test_nearest_are_the_exact_ones(count: int) -> None:
    keys, rows = made(count)
    held = Vectors()
    held.put(keys, rows)
    for query in made(4, seed=1)[1]:
        for n in (1, 10, 200):
            assert held.nearest(query, keys, n) == exact(keys, rows, query, n)


def test_equal_scores_are_in_order_of_key() -> None:
    _, rows = made(1)
    names = [f"mem-{place:06d}" for place in reversed(range(5000))]
    held = Vectors()
    held.put(names, np.repeat(rows, 5000, axis=0))
    assert [key for key, _ in held.nearest(rows[0], names, 3)] == ["mem-000000", "mem-000001", "mem-000002"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 30), max_size=8)), max_size=12))
def test_putting_and_dropping_leaves_what_a_dict_would(moves: list[tuple[bool, list[int]]]) -> None:
    held, model = Vectors(), dict[str, Floats]()
    for number, (puts, places) in enumerate(moves):
        keys = list(dict.fromkeys(f"mem-{place:06d}" for place in places))
        if puts:
            rows = made(len(keys), 8, seed=number)[1]
            held.put(keys, rows)
            model.update(zip(keys, rows, strict=True))
        else:
            held.drop(keys)
            model = {key: row for key, row in model.items() if key not in keys}
        assert len(held) == len(model) and all(key in held for key in model)
        if model:
            query = made(1, 8, seed=99)[1][0]
            stored = np.stack(list(model.values()))
            assert held.nearest(query, tuple(model), 5) == exact(list(model), stored, query, 5)


def clustered(count: int, seed: int = 0) -> Floats:
    """Vectors of the kind that texts give: most of what they are lies in a few directions."""
    rng = np.random.default_rng(seed)
    spread = np.random.default_rng(7).normal(size=(24, 256)).astype(np.float32)
    rows = rng.normal(size=(count, 24)).astype(np.float32) @ spread
    rows += 0.3 * rng.normal(size=(count, 256)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_sketch_finds_the_same_and_follows_what_changes() -> None:
    rows = clustered(20_000)
    keys = [f"mem-{place:06d}" for place in range(len(rows))]
    held = Vectors()
    held.put(keys, rows)
    pool, third = tuple(keys), tuple(keys[::3])
    queries = clustered(30, seed=1)
    found = [{key for key, _ in held.nearest(query, pool, 10)} for query in queries]
    assert held._sketch is not None  # or this would be another test
    true = [set(np.argsort(-(rows @ query))[:10]) for query in queries]
    shares = [len(one & {keys[place] for place in best}) / 10 for one, best in zip(found, true, strict=True)]
    assert np.mean(shares) >= 0.99
    for query in queries[:5]:
        assert held.nearest(query, third, 10) == exact(third, rows[::3], query, 10)
    held.put([keys[5], "mem-new"], queries[:2])
    assert held.nearest(queries[0], pool, 1)[0] == (keys[5], 1.0)
    assert held.nearest(queries[1], (*keys, "mem-new"), 1)[0] == ("mem-new", 1.0)
    held.drop([keys[5]])
    with pytest.raises(KeyError):
        held.nearest(queries[0], pool, 1)
    left = tuple(key for key in keys if key != keys[5])
    assert held.nearest(queries[0], left, 10) == exact(left, np.delete(rows, 5, axis=0), queries[0], 10)


def test_where_a_sketch_would_lose_something_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directions of equal weight, as no text has: a part of the numbers says little of the rest."""
    monkeypatch.setattr(vectors, "ALL_SCORED", 3000)
    monkeypatch.setattr(vectors, "CHOSEN", 300)
    keys, rows = made(6000, 256)
    held = Vectors()
    held.put(keys, rows)
    query = made(1, 256, seed=1)[1][0]
    assert held.nearest(query, keys, 10) == exact(keys, rows, query, 10)
    assert held._sketch is None


def test_vectors_of_another_length_are_refused() -> None:
    held = Vectors()
    held.put(*made(2, 8))
    with pytest.raises(ValueError, match="16 numbers among such of 8"):
        held.put(*made(1, 16))
