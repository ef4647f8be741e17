"""`wisen schedule`: cycles of evolution without anybody there."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from wisen.evolution.schedule.settings import ScheduleSettings
    from wisen.evolution.schedule.state import State

app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode=None,
    help="Run one more cycle whenever one is due: one at a time, within budgets. Settings are those of `wisen evolve` "
    "and the table [schedule].",
)

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace.", metavar="DIR")]
DEFAULT_WORKSPACE = Path(".wisen")
SHOWN_DUE, SHOWN_TURNS = 5, 10
STOPPED = "stopped; the turn that had begun is kept, and the same command goes on with it"


@app.callback()
def schedule(
    context: typer.Context,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Settings from a TOML file. [default: ./wisen.toml]", metavar="FILE"),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="One setting, e.g. --set schedule.turn.hours=2.", metavar="KEY=VALUE"),
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(help='When: "0 2 * * *" is each night at two. Six fields begin with the second.', metavar="EXPR"),
    ] = None,
    trajectories: Annotated[
        int | None, typer.Option(help="Also when so many new trajectories are in.", metavar="N")
    ] = None,
    turns: Annotated[int | None, typer.Option(help="End after so many. [default: never]", metavar="N")] = None,
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, and end.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show when turns are due, and stop.")] = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    flags = {"cron": cron, "trajectories": trajectories, "turns": turns}
    given = {key: value for key, value in flags.items() if value is not None}
    _run(workspace, config, assignments or [], {"schedule": given} if given else {}, once=once, dry_run=dry_run)


@app.command()
def status(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 unless a schedule is at work.")] = False,
) -> None:
    """What the schedule does, what it did, what that took, and when it goes on."""
    from wisen.core.records import utcnow
    from wisen.core.workspace import Workspace
    from wisen.evolution.schedule.state import read_state, working

    root = Workspace(workspace).root
    state, at_work = read_state(root), working(root)
    typer.echo(state.model_dump_json(indent=1) if as_json else "\n".join(_told(state, at_work, utcnow())))
    if check and not at_work:
        raise typer.Exit(1)


def _run(
    root: Path, config: Path | None, assignments: Sequence[str], flags: dict[str, Any], *, once: bool, dry_run: bool
) -> None:
    from rich.console import Console

    from wisen.app.commands.evolve import DEFAULT_FILE, command_line, keep_report, resolved
    from wisen.app.console import Progress
    from wisen.app.drive import drive
    from wisen.core.records import RunReport, utcnow
    from wisen.core.workspace import Workspace
    from wisen.evolution.schedule.possible import require_possible
    from wisen.evolution.schedule.state import only_one, read_state
    from wisen.evolution.settings import EvolveSettings

    default = DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    settings = resolved(EvolveSettings, config or default, assignments, flags)
    workspace, console = Workspace(root), Console()
    if dry_run:
        state = read_state(workspace.root)
        typer.echo("\n".join(_planned(settings.schedule, utcnow(), state)))
        return
    require_possible(settings)
    workspace.create()
    with only_one(workspace.root):  # who may not have it is told now: the imports that follow take seconds
        pass
    from wisen.evolution.schedule.running import run_schedule

    with Progress(console) as progress:

        def keep(report: RunReport) -> None:
            keep_report(report, settings, workspace, numbered=True)

        why = drive(
            lambda: run_schedule(
                settings, workspace, once=once, on_event=progress.on_event, on_report=keep, command=command_line()
            ),
            console,
            stopped=STOPPED,
        )
    console.print(f"the schedule ends: {why}" if not once else why, markup=False, soft_wrap=True)


def _planned(plan: "ScheduleSettings", now: "datetime", state: "State") -> list[str]:
    from wisen.evolution.schedule.times import following, upcoming, zone_named

    zone, lines = zone_named(plan.timezone), []
    if turn := state.open:
        lines.append(f"turn {turn.number} has begun (cycle {turn.cycle or 'not chosen yet'}) and goes on at once")
    if plan.cron:
        handled = max(now, state.handled or now)  # a clock that was set back brings nothing twice
        if state.handled and not state.open and following(plan.cron, zone, state.handled) <= now:
            lines.append("a turn is due already, and begins at once")
        lines.append(f"cron {plan.cron}, by the clock of {zone}:")
        lines += [
            f"  {due.astimezone(zone):%a %Y-%m-%d %H:%M:%S %Z}" for due in upcoming(plan.cron, zone, handled, SHOWN_DUE)
        ]
    if plan.trajectories:
        lines.append(f"also when {plan.trajectories:,} new trajectories are in")
    lines += [f"{what}: {limits}" for what, limits in _limits(plan)]
    return lines or ["nothing says when a cycle is due: give --cron, or --trajectories"]


def _limits(plan: "ScheduleSettings") -> list[tuple[str, str]]:
    found = []
    for what, budget in (("each turn at most", plan.turn), ("in all at most", plan.total)):
        parts = [f"{budget.hours:g} hours"] if budget.hours is not None else []
        parts += [f"{budget.tokens:,} tokens"] if budget.tokens is not None else []
        parts += [f"${budget.dollars:g}"] if budget.dollars is not None else []
        if parts:
            found.append((what, ", ".join(parts)))
    return [*found, ("turns at most", str(plan.turns))] if plan.turns is not None else found


def _told(state: "State", at_work: bool, now: "datetime") -> list[str]:
    if state.handled is None:
        return ["no schedule has worked on this workspace"]
    lines = [
        f"a schedule is {'at work' if at_work else 'not running'}; {len(state.turns)} turns took {state.taken.told()}"
    ]
    for turn in state.turns[-SHOWN_TURNS:]:
        end = str(turn.end) if turn.end else "has begun, and not ended"
        fault = f": {turn.fault}" if turn.fault else ""
        lines.append(
            f"{turn.number:4}  {turn.begun:%Y-%m-%d %H:%M} UTC  cycle {turn.cycle or '-'}  {turn.why}  {end}{fault}  "
            f"({turn.taken.told()})"
        )
    if (begun := state.open) and begun.next_try:
        lines.append(f"turn {begun.number} is tried again at {begun.next_try:%Y-%m-%d %H:%M:%S} UTC")
    return lines + _planned(state.plan, now, state)
