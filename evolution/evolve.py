"""The whole run: a first release, cycles, and what came of them on tasks that nothing was selected on."""

import time
from collections.abc import Callable

from wisen.core.records import CurvePoint, GateAnswer, Note, ProgressEvent, RunReport
from wisen.core.workspace import Workspace
from wisen.evolution.backbone import first_release
from wisen.evolution.consolidating import consolidate
from wisen.evolution.cycle import run_cycle, used_up
from wisen.evolution.gating import of_cycle
from wisen.evolution.panels import require_tasks
from wisen.evolution.reporting import make_report
from wisen.evolution.run_panels import report_panel
from wisen.evolution.settings import EvolveSettings
from wisen.evolution.workbench import Bench


async def evolve(
    settings: EvolveSettings,
    workspace: Workspace,
    *,
    on_event: Callable[[ProgressEvent], None] = lambda event: None,
    command: str = "wisen evolve",
) -> RunReport:
    """Run, or go on with, the run that the settings name; with equal settings it plays nothing twice.

    Raises `WisenError` for what the user can mend. When it is cancelled or killed, the same call goes on.
    """
    started = time.monotonic()
    async with Bench("evolve", settings, workspace, on_event) as bench:
        return await evolved(bench, settings.cycles, command=command, started=started)


async def evolved(bench: Bench, cycles: int, *, command: str, started: float) -> RunReport:
    """The run up to that many cycles in all, on a bench that is open. A cycle begins from the release that is present
    then, whoever made it so. started: by `time.monotonic`."""
    begin(bench)
    await first_release(bench)
    curve: list[CurvePoint] = []
    for number in range(1, cycles + 1):
        if why := used_up(bench, number):
            bench.emit(Note(text=f"{why}: the run ends after {number - 1} of {cycles} cycles"))
            break
        curve.append(announced(bench, await run_cycle(bench, number)))
        await consolidate(bench, number)
    report = await make_report(bench, curve, report_panel(bench), command=command, started=started)
    bench.store.finish_run(bench.run_id)
    return report


async def prepare(
    settings: EvolveSettings, workspace: Workspace, *, on_event: Callable[[ProgressEvent], None] = lambda event: None
) -> None:
    """Only the beginning of `evolve`: the first release, which takes a minute or two and needs making once."""
    async with Bench("evolve", settings, workspace, on_event) as bench:
        begin(bench)
        await first_release(bench)


def begin(bench: Bench) -> None:
    """Open the run, or go on with it. Raises `SettingsError` in a workspace of another run."""
    refuse_other_runs(bench)
    require_tasks(bench.suite)
    bench.store.start_run(bench.run_id, bench.identity, title=f"{bench.settings.suite}, seed {bench.settings.seed}")
    if not bench.settings.trains:
        what = bench.settings.model or "the backbone"
        why = "a remote model is not trained from here" if bench.settings.remote_model else "as asked"
        bench.emit(Note(text=f"trainer: none ({why}); {what} stays as it is, and only its memory evolves"))
    if bench.store.marks(bench.run_id):
        bench.emit(Note(text=f"going on with run {bench.run_id}: what it finished is not repeated"))


def refuse_other_runs(bench: Bench) -> None:
    """A workspace holds one line of releases. Another run's settings would mix two in one bank."""
    from wisen.core.errors import SettingsError

    others = [run for run in bench.store.runs() if run.id.startswith("evolve-") and run.id != bench.run_id]
    if others and not bench.store.run(bench.run_id):
        differing = sorted(key for key, value in others[-1].settings.items() if bench.identity.get(key) != value)
        raise SettingsError(
            f"{bench.workspace.root} holds the run {others[-1].id} with other settings ({', '.join(differing)})",
            "give the same settings to go on with it, or another --workspace",
        )


def announced(bench: Bench, point: CurvePoint) -> CurvePoint:
    """Say how a cycle's gate decided."""
    names = {release.id: release.name for release in bench.store.releases()}
    gates = (gate for gate in bench.store.gates(bench.run_id) if of_cycle(names[gate.candidate_id], point.cycle))
    decision = next(gates, None)
    if decision is None:
        bench.emit(Note(text=f"gate: cycle {point.cycle} brought nothing new to try; the present release stays"))
        return point
    word = {
        GateAnswer.PROMOTE: "promoted",
        GateAnswer.KEEP: "kept out",
        GateAnswer.NOT_ENOUGH_EVIDENCE: "not enough evidence",
    }[decision.answer]
    bench.emit(Note(text=f"gate: {names[decision.candidate_id]} {word}. {decision.reason}"))
    return point
