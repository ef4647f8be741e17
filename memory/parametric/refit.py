"""A head from all outcomes so far, every 200 of them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from wisen.core.ids import derived_seed
from wisen.core.protocols import Embedder
from wisen.core.records import MemoryItem, Outcome, Recall, Record
from wisen.memory.index import searchable
from wisen.memory.parametric.files import HeadCard, save_head
from wisen.memory.parametric.head import Floats, Head
from wisen.memory.parametric.labels import CaseLabel, case_labels
from wisen.memory.parametric.proof import Proof, ProofSettings, prove
from wisen.memory.parametric.softq import SoftQSettings, decisions, fit_soft_q
from wisen.memory.parametric.training import HeadSettings, examples, fit


class RefitSettings(Record):
    """every: outcomes between two heads. soft: the settings of soft Q-learning, for episodes that ask their memory more
    than once; None: each recall is judged by its episode's outcome."""

    every: int = Field(200, ge=1)
    head: HeadSettings = HeadSettings()
    proof: ProofSettings = ProofSettings()
    soft: SoftQSettings | None = None


async def refit(
    recalls: Iterable[Recall],
    outcomes: Sequence[Outcome],
    items: Mapping[str, MemoryItem],
    embedder: Embedder,
    folder: Path,
    *,
    bank_version: int,
    seed: int,
    settings: RefitSettings | None = None,
) -> HeadCard | None:
    """Fit a head on the first outcomes, as many as are a multiple of `every`, try it, and write it to the folder;
    returns its card, or None where there is nothing to fit yet.

    outcomes: in collection order. items: of any bank version that the recalls saw; labels of others are left out. Equal
    arguments write equal bytes. Fitting takes about a second for thousands of labels, in a thread; the trial some more.
    """
    settings = settings or RefitSettings()
    look = len(outcomes) // settings.every
    seen = outcomes[: look * settings.every]
    labels = [one for one in case_labels(recalls, seen) if one.item_id in items]
    if not labels:
        return None
    vectors = await _vectors(labels, items, embedder)
    start = derived_seed(seed, "head", len(seen))

    def fitting(some: Sequence[CaseLabel], begin: int) -> Head:
        if settings.soft is not None:
            return fit_soft_q(decisions(some), vectors, settings.soft, seed=begin)
        return fit(examples(some, vectors), settings.head, seed=begin)

    def fitted() -> tuple[Head, Proof | None]:
        head = fitting(labels, start)
        return head, prove(labels, vectors, fitting, settings.proof, look=look, seed=start)

    head, proof = await asyncio.to_thread(fitted)
    card = HeadCard(
        bank_version=bank_version, outcomes=len(seen), labels=len(labels), seed=seed, embedder=embedder.id, proof=proof
    )
    await asyncio.to_thread(save_head, folder, head, card)
    return card


async def _vectors(
    labels: Sequence[CaseLabel], items: Mapping[str, MemoryItem], embedder: Embedder
) -> dict[str, Floats]:
    """By query, and by item id. An item's vector is the one that the index holds of it."""
    texts = {one.item_id: searchable(items[one.item_id]) for one in labels} | {one.query: one.query for one in labels}
    names = sorted(texts)
    found = await embedder.embed([texts[name] for name in names])
    return dict(zip(names, found, strict=True))
