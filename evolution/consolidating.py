"""Consolidation on trial: a tidied bank takes the present one's place only where the gate lets it.

After every so many cycles, where the present release's bank is the newest one: near-duplicates are merged and dead wood
retires (`memory.consolidation`), as one change of the ledger, and the same weights play the gate panel over both banks.
If the gate does not promote the tidied one, the bank is restored to what it was. Episodes are not touched either way.
"""

import time

from wisen.core.records import GateAnswer, Note, PhaseEnded, Release
from wisen.evolution.crediting import collected
from wisen.evolution.cycle import same_bank
from wisen.evolution.gating import gated
from wisen.evolution.run_panels import gate_panel
from wisen.evolution.workbench import Bench
from wisen.memory.consolidation import Proposal, plan
from wisen.memory.credit import credit, restarts


async def consolidate(bench: Bench, number: int) -> None:
    """Try a consolidation after cycle `number`, if it is due. Does nothing when that is done already; a run that was
    killed in it goes on where it stood."""
    settings, key = bench.settings.consolidate, f"cycle/{number}/consolidation"
    if not settings.every or number % settings.every or bench.store.marked(bench.run_id, f"{key}/done"):
        return
    present = _present(bench, key)
    begun = bench.store.marked(bench.run_id, f"{key}/base")
    why = "" if begun else _not_now(bench, present)
    if not why:
        begun = begun or {"version": bench.bank.version}
        bench.store.mark(bench.run_id, f"{key}/base", begun)
        why = await _tried(bench, number, key, present, begun["version"])
    bench.emit(Note(text=f"consolidation: {why}"))
    bench.store.mark(bench.run_id, f"{key}/done", {"outcome": why})


def _present(bench: Bench, key: str) -> Release:
    """The release that was present when this began, also after the tidied bank has been promoted."""
    current = bench.store.current_release()
    assert current is not None, "a cycle begins with a release"
    start = bench.store.marked(bench.run_id, f"{key}/start") or {"release": current.id}
    bench.store.mark(bench.run_id, f"{key}/start", start)
    release = bench.store.release(start["release"])
    assert release is not None, "it was the present one"
    return release


def _not_now(bench: Bench, present: Release) -> str:
    """Why there is nothing to try, in words. A bank that holds what the gate has not let in is not compared: what is
    new in it would be tried along with its being tidied."""
    if not same_bank(bench, present.bank_version, bench.bank.version):
        return f"the newest bank is not that of the present release {present.name}, so nothing is tidied yet"
    if gate_panel(bench)[1] > bench.settings.gate.uses:
        return f"the gate tasks of {bench.suite.name} are used up"
    return ""


async def _tried(bench: Bench, number: int, key: str, present: Release, base: int) -> str:
    started = time.monotonic()
    offered = bench.store.marked(bench.run_id, f"{key}/offered")
    if offered is None:
        proposal = await proposed(bench, number, base)
        if proposal.empty:
            return "nothing to merge, nothing to prune"
        offered = {"summary": proposal.summary}
        bench.store.append_events(proposal.events, mark=(bench.run_id, f"{key}/offered", offered))
    summary = str(offered["summary"])
    made = bench.store.marked(bench.run_id, f"{key}/bank") or {"version": bench.bank.version}
    bench.store.mark(bench.run_id, f"{key}/bank", made)
    candidate = bench.release(f"r{number}c", present.model, made["version"], parent=present)
    bench.store.add_release(candidate, reason=f"the bank of {present.name}, consolidated: {summary}")
    decision = await gated(bench, f"consolidation {number}", candidate, present, bench.settings.consolidate.tolerance)
    bench.emit(PhaseEnded(phase=f"consolidate-{number}", summary=summary, seconds=time.monotonic() - started))
    if decision.answer is GateAnswer.PROMOTE:
        return f"{summary}; accepted. {decision.reason}"
    reason = f"the gate did not accept {candidate.name}"
    bench.bank.restore(base, actor="gate", reason=reason, mark=(bench.run_id, f"{key}/restored", {}))
    return f"{summary}; the bank is restored. {decision.reason}"


async def proposed(bench: Bench, number: int, base: int) -> Proposal:
    """What consolidation would do with the bank version `base` after cycle `number`. In the control no outcome is true,
    and nothing is pruned by it."""
    snapshot = bench.bank.snapshot(base)
    parts = collected(bench.store, bench.run_id, cycle=number)
    true, begun = bench.settings.collect.rewards == "true", restarts(bench.store.events(base))
    return await plan(
        snapshot,
        bench.embedder,
        credits=credit(parts[-1].recalls, parts[-1].outcomes, snapshot.items, begun=begun) if true and parts else (),
        recalls=[recall for part in parts for recall in part.recalls],
        settings=bench.settings.consolidate,
        life=bench.settings.credit,
        model=bench.writer(),
    )
