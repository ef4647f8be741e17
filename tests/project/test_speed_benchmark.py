"""The speed of memory, small: what is counted, and what stands in for embedded texts."""

from pathlib import Path

import numpy as np

from benchmarks.memory_speed import ADDS, CLOCKS, EMBEDDED, QUERIES, corpus, mixed, one


def test_each_add_and_recall_embeds_once_and_finds(tmp_path: Path) -> None:
    size = 150
    made = np.random.default_rng(0).normal(size=(size + ADDS + QUERIES, 384)).astype(np.float32)
    made[:, 0] += 20.0  # all alike enough to be recalled
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    np.save(tmp_path / f"vectors-{len(made)}.npy", made)
    found = one("wisen", size, tmp_path, 60, CLOCKS["cpu"])
    assert found["embeds_per_add"] == found["embeds_per_recall"] == 1
    assert 10 < found["found"] <= 20 and found["recall_p50_ms"] <= found["recall_p95_ms"]
    assert found["fill_per_s"] > 0 and found["add_per_s"] > 0
    stopped = one("wisen", size, tmp_path, 0, CLOCKS["wall"])
    assert stopped["add_per_s"] > 0  # a budget cuts a series short, and no filling at its end


def test_mixes_are_unit_vectors_beside_what_they_are_made_of() -> None:
    some = np.eye(5, 8, dtype=np.float32)
    more = mixed(some, 40)
    assert (more[:5] == some).all() and np.allclose(np.linalg.norm(more, axis=1), 1)
    assert not more[:, 5:].any() and len(np.unique(more, axis=0)) > 20
    assert len(corpus(EMBEDDED - ADDS - QUERIES)) == EMBEDDED
