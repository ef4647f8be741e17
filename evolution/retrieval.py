"""Parametric retrieval in the loop: the head is fitted anew on what the cycles have collected."""

from wisen.core.records import Note
from wisen.evolution.workbench import HEADS, Bench
from wisen.memory.parametric.files import HeadCard
from wisen.memory.parametric.refit import RefitSettings, refit

RANKER = "parametric"


async def refit_head(bench: Bench, number: int, version: int) -> None:
    """After cycle `number` fit the head that ranks bank version `version`, where recall is by one. Equal outcomes make
    the same file, so that a run that was killed may do it again. The control has no true outcomes, and no head."""
    if bench.settings.recall.ranker != RANKER or bench.settings.collect.rewards != "true":
        return
    ids = [
        key
        for cycle in range(1, number + 1)
        for key in (bench.store.marked(bench.run_id, f"cycle/{cycle}/collected") or {"ids": []})["ids"]
    ]
    card = await refit(
        bench.store.recalls(ids),
        tuple(bench.store.outcomes(ids).values()),
        bench.bank.snapshot(version).items,
        bench.embedder,
        bench.workspace.root / HEADS,
        bank_version=version,
        seed=bench.settings.seed,
    )
    bench.emit(Note(text=f"retrieval head: {_told(card, len(ids))}"))


def _told(card: HeadCard | None, outcomes: int) -> str:
    if card is None:
        return f"nothing to fit in {outcomes} outcomes (the first comes after {RefitSettings().every}); cosine ranks"
    if card.proof is None:
        return f"fitted on {card.labels} labels, too few to try it on; cosine ranks"
    proof, who = card.proof, "it ranks from here on" if card.proven else "cosine goes on ranking"
    area = f"area {proof.head:.3f} against cosine's {proof.cosine:.3f}, ahead by at least {proof.lower:+.3f}"
    return f"fitted on {card.labels} labels of {card.outcomes} outcomes; {area}: {who}"
