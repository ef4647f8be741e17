"""Parametric retrieval in the loop: a head after 200 outcomes, for the bank version that it ranks."""

from pathlib import Path

import pytest

from tests.evolution.test_memory_only import Obedient, levers, settings
from wisen.core.records import Note
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.evolution.evolve import evolve
from wisen.evolution.workbench import HEADS
from wisen.memory.parametric.files import load_head

__all__ = ["levers"]


@pytest.mark.usefixtures("levers")
async def test_the_loop_fits_a_head_and_cosine_ranks_until_it_is_proven(tmp_path: Path) -> None:
    notes: list[str] = []
    with Obedient() as server:
        await evolve(
            settings(
                server,
                recall={"ranker": "parametric"},
                collect={"first": 4, "per_template": 66, "weak_extra": 0},
                gate={"per_template": 2, "alpha": 0.2, "uses": 2, "resamples": 200},
                report={"per_template": 1},
            ),
            Workspace(tmp_path),
            on_event=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
        )
    first, second = (note for note in notes if note.startswith("retrieval head:"))
    assert "nothing to fit in 12 outcomes" in first and "of 200 outcomes" in second
    (path,) = (tmp_path / HEADS).iterdir()
    head, card = load_head(path)
    assert head.dimension == 384 and card.outcomes == 200 and card.embedder == "all-MiniLM-L6-v2"
    with Store.open(Workspace(tmp_path).store_url) as store:
        candidate = store.release("r2")
        rankers = {recall.ranker for recall in store.recalls()}
    assert candidate is not None and card.bank_version == candidate.bank_version
    assert card.proven == ("it ranks from here on" in second)
    assert rankers <= {"parametric", "parametric (cosine)"} and "parametric (cosine)" in rankers
