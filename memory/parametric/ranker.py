"""Recall by the head: what has helped in states like this one comes first. Cosine, until the head has beaten it."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wisen.core.errors import SettingsError
from wisen.core.protocols import Embedder, Ranker
from wisen.core.records import Candidate, Found
from wisen.memory.index import searchable
from wisen.memory.parametric.files import HeadFault, load_head, newest
from wisen.memory.parametric.head import Head
from wisen.memory.rankers.ordering import draws, ordered
from wisen.memory.rankers.similarity import Similarity

log = logging.getLogger(__name__)
PREFILTER = 50


class Parametric:
    """By Q(query, item) among the `prefilter` nearest; the rest follow in the order of cosine.

    temperature: where exploring is allowed, the order is drawn from the policy softmax(Q / temperature) without
    replacement; 0: the greatest Q comes first. A candidate's score is its Q, under the policy its Q with the draw's
    share; beyond `prefilter`, its cosine less 10.
    """

    name = "parametric"

    def __init__(self, head: Head, embedder: Embedder, *, prefilter: int = PREFILTER, temperature: float = 0.0) -> None:
        self._head, self._embedder = head, embedder
        self._prefilter, self._temperature = prefilter, temperature

    async def rank(
        self, found: Sequence[Found], *, query: str, seed: int, explore: bool = False
    ) -> tuple[Candidate, ...]:
        if not found:
            return ()
        nearest = {one.item_id for one in ordered(found, [one.similarity for one in found])[: self._prefilter]}
        near = [one for one in found if one.item.id in nearest]
        state, *cases = await self._embedder.embed([query, *(searchable(one.item) for one in near)])
        q = [float(value) for value in self._head.q(state, np.stack(cases))]
        if explore and self._temperature > 0:
            # The greatest of Q / t + Gumbel noise is a draw from softmax(Q / t), and so is each next one of the rest.
            noise = [-math.log(-math.log(min(max(u, 1e-12), 1 - 1e-12))) for u in draws(near, seed)]
            q = [value + self._temperature * one for value, one in zip(q, noise, strict=True)]
        far = [one for one in found if one.item.id not in nearest]
        return ordered(near, q) + ordered(far, [one.similarity - 10 for one in far])


class Unproven(Similarity):
    """Cosine, in the place of a head that is not there yet, or has not beaten it."""

    name = "parametric (cosine)"


def proven_ranker(
    folder: Path | None,
    embedder: Embedder | None,
    bank_version: int | None = None,
    *,
    prefilter: int = PREFILTER,
    temperature: float = 0.0,
) -> Ranker:
    """The ranker for a bank version: by the newest head of the folder up to that version, if that has beaten cosine;
    by cosine otherwise. A damaged file is a warning that says what to do. Raises `SettingsError` without an embedder,
    without a folder, or for an option out of its range."""
    if embedder is None or folder is None:
        raise SettingsError("the ranker 'parametric' needs an embedder and a folder of heads", "it runs in a workspace")
    if prefilter < 1 or not 0 <= temperature < math.inf:
        raise SettingsError(
            "the ranker 'parametric' takes prefilter from 1 and temperature from 0",
            f"prefilter is {prefilter!r}, temperature {temperature!r}",
        )
    path = newest(folder, bank_version)
    if path is None:
        return Unproven()
    try:
        head, card = load_head(path)
        if card.embedder != embedder.id:
            raise HeadFault(f"the retrieval head {path} reads vectors of {card.embedder}, not of {embedder.id}")
    except HeadFault as fault:
        log.warning("%s", fault)
        return Unproven()
    if not card.proven:
        return Unproven()
    return Parametric(head, embedder, prefilter=prefilter, temperature=temperature)
