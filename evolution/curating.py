"""The distil phase of a distiller that rewrites what it wrote: batch by batch, each one change of the ledger."""

import time
from collections.abc import Sequence

from wisen.core.protocols import Curator
from wisen.core.records import Advanced, Attempted, Phase, PhaseEnded, PhaseStarted, Trajectory, Verdict
from wisen.evolution.workbench import Bench
from wisen.memory.curation import entries, present_names, uses
from wisen.memory.items import union


async def curate(bench: Bench, curator: Curator, number: int, attempts: Sequence[tuple[Trajectory, Verdict]]) -> None:
    """Let the curator read what cycle `number` collected, in the order of the tasks, and follow it.

    A batch's changes and its mark are written as one: a run that was killed goes on at the first batch without a mark,
    and sees the list as the batches before it have left it. A failed curation leaves a mark that says why.
    """
    recalls = bench.store.recalls(run_id=bench.run_id, phase=Phase.COLLECT)
    used = uses(recalls)
    shown: dict[str, tuple[str, ...]] = {}
    for recall in recalls:  # an episode may have asked more than once
        shown[recall.trajectory_id] = union(shown.get(recall.trajectory_id, ()), recall.shown)
    batches = curator.batches(
        [Attempted(trajectory=one, verdict=verdict, shown=shown.get(one.id, ())) for one, verdict in attempts]
    )
    marks = [f"cycle/{number}/curated/{place}" for place in range(len(batches))]
    present = bench.store.marks(bench.run_id)
    if all(mark in present for mark in marks):
        return
    phase, started = f"curate-{number}", time.monotonic()
    title = f"cycle {number}: {curator.name} revises its list"
    bench.emit(PhaseStarted(phase=phase, title=title, total=len(batches), unit="batches"))
    failed = 0
    for done, (mark, batch) in enumerate(zip(marks, batches, strict=True), start=1):
        if mark not in present:
            suite, now = batch[0].trajectory.task.suite, bench.bank.snapshot()
            events = bench.store.events(up_to=now.version)
            told = [one.model_copy(update={"shown": present_names(one.shown, events)}) for one in batch]
            revision = await curator.curate(entries(curator.name, suite, now, events, used), told)
            value = {"failed": revision.failed} if revision.failed else {}
            bench.bank.revise(revision, actor=curator.name, mark=(bench.run_id, mark, value))
            failed += bool(revision.failed)
        bench.emit(Advanced(phase=phase, done=done, note=f"{failed} failed" if failed else ""))
    summary = f"{len(batches)} batches read" + (f", {failed} of them failed" if failed else "")
    bench.emit(PhaseEnded(phase=phase, summary=summary, seconds=time.monotonic() - started))
