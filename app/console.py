"""A run on the terminal: its progress while it works, its report at the end. Plain lines where there is no terminal."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from wisen.app.report import figures, gates, roles, words
from wisen.core.records import (
    Advanced,
    ArmResult,
    GateDecision,
    Interval,
    ItemCredit,
    Note,
    PhaseEnded,
    PhaseStarted,
    ProgressEvent,
    RunReport,
)

QUIET_SECONDS = 10.0  # a plain line at least this often while a phase works


def print_report(report: RunReport, console: Console) -> None:
    """Arms, gates and memory as tables; without a terminal as aligned lines, no borders. Fits 80 columns."""
    _say(console, f"\n{report.title}", "bold")
    _say(console, words.headline(report), "bold")
    for line in (words.reading(report), *words.findings(report)):
        _say(console, line)
    if report.arms:
        _say(console, "\nReport panel: tasks solved in %, and the release minus each arm in points", "bold")
        console.print(_arms(report, console))
    _say(console, "\nGates", "bold")
    if report.gates:
        console.print(_gates(report, console))
    for gate in report.gates:
        _say(console, f"{roles.name_of(report, gate.candidate_id)}: {gates.why(gate)}")
    if not report.gates:
        _say(console, "No gate was held.")
    _say(console, f"\nMemory: {figures.count(report.bank_size, 'item')} in the bank", "bold")
    if report.best_items or report.worst_items:
        console.print(_items(report, console))
    _say(console, words.memory_remark(report))
    _say(console, f"Leakage guard: {report.leakage_guard}.")


def _arms(report: RunReport, console: Console) -> Table:
    release = roles.release_arm(report)
    table = _table(console, ("Arm", "left"), ("Solved", "left"), ("Release minus", "left"))
    for heading in ("Mean\nsteps", "Tasks/\nseeds"):
        table.add_column(heading, justify="right", no_wrap=True, overflow="fold")

    def row(arm: ArmResult) -> tuple[str, ...]:
        solved = f"{figures.number(arm.success.mean):>3} {figures.share_interval(arm.success)}"
        return arm.label, solved, _difference(arm.versus), f"{arm.mean_steps:.1f}", f"{arm.tasks}/{arm.seeds}"

    for arm in report.arms:
        table.add_row(*_cells(console, row(arm)), style="bold" if arm is release and console.is_terminal else None)
    return table


def _gates(report: RunReport, console: Console) -> Table:
    table = _table(
        console, ("Candidate", "left"), ("Answer", "left"), ("Wins/losses\n/ties", "right"), ("Difference", "left")
    )
    for heading in ("Lower\nbound", "p"):
        table.add_column(heading, justify="right", no_wrap=True, overflow="fold")

    def row(gate: GateDecision) -> tuple[str, ...]:
        n = gates.tally(gate)
        return (
            roles.name_of(report, gate.candidate_id),
            gates.ANSWERS[gate.answer],
            f"{n['wins']}/{n['losses']}/{n['both'] + n['neither']}",
            _difference(gate.difference),
            figures.points(gate.lower_bound),
            figures.probability(gate.p_value),
        )

    for gate in report.gates:
        table.add_row(*_cells(console, row(gate)))
    return table


def _items(report: RunReport, console: Console) -> Table:
    table = _table(console, ("Item", "left"), ("", "left"), ("Lift in points", "left"))
    for heading in ("Shown", "Held\nout"):
        table.add_column(heading, justify="right", no_wrap=True, overflow="fold")

    def row(credit: ItemCredit, side: str) -> tuple[str, ...]:
        lift = "not measured" if credit.lift is None else _difference(credit.lift)
        return credit.item.title, side, lift, str(credit.shown), str(credit.held_out)

    for side, credits in (("best", report.best_items), ("worst", report.worst_items)):
        for credit in credits:
            table.add_row(*_cells(console, row(credit, side)))
    return table


def _table(console: Console, *columns: tuple[str, str]) -> Table:
    """The first column may take several lines; figures never wrap."""
    # The rule's dividers take a column each, so that both forms are equally wide.
    frame, gap = (box.SIMPLE_HEAD, 1) if console.is_terminal else (None, 2)
    table = Table(box=frame, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0))
    for index, (heading, side) in enumerate(columns):
        right = side == "right"
        table.add_column(heading, justify="right" if right else "left", no_wrap=index > 0, overflow="fold")
    return table


def _difference(interval: Interval | None) -> str:
    return "" if interval is None else f"{figures.points(interval.mean):>3} {figures.point_interval(interval)}"


def _cells(console: Console, texts: tuple[str, ...]) -> tuple[Text, ...]:
    return tuple(Text(_safe(console, text)) for text in texts)


def _safe(console: Console, text: str) -> str:
    """Without markup, control characters, or what the terminal's encoding lacks."""
    return figures.plain(text).encode(console.encoding, "replace").decode(console.encoding)


def _say(console: Console, text: str, style: str = "") -> None:
    if text:
        console.print(Text(_safe(console, text), style=style))


@dataclass
class _Phase:
    title: str
    total: int
    unit: str
    began: float
    first: int | None = None  # units done at the first event: a resumed phase did not do those now
    done: int = 0
    said: float = 0.0
    tenth: int = 0
    bar: TaskID | None = None


class Progress:
    """Shows progress events: bars on a terminal, otherwise timestamped lines at the start, about every tenth of the
    work or ten seconds, and at the end. A context manager; bars appear only inside it. `clock` gives seconds, `now`
    the time of day: a test sets them."""

    def __init__(
        self,
        console: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self._console, self._clock, self._now = console, clock, now
        self._phases: dict[str, _Phase] = {}
        self._bars: Bars | None = None

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]} {task.fields[note]}", markup=False),
                TimeElapsedColumn(),
                console=self._console,
                refresh_per_second=4,
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def on_event(self, event: ProgressEvent) -> None:
        match event:
            case PhaseStarted():
                self._start(event)
            case Advanced():
                self._advance(event)
            case PhaseEnded():
                self._end(event)
            case Note():
                self._line(event.text)

    def _start(self, event: PhaseStarted) -> None:
        clock = self._clock()
        phase = _Phase(event.title, event.total, event.unit, began=clock, said=clock)
        self._phases[event.phase] = phase
        if self._bars is not None:
            phase.bar = self._bars.add_task(
                _safe(self._console, event.title), total=event.total or None, rate="", note=""
            )
        else:
            self._line(event.title + (f": {event.total:,} {event.unit}" if event.total else ""))

    def _advance(self, event: Advanced) -> None:
        if event.phase not in self._phases:
            self._start(PhaseStarted(phase=event.phase, title=event.phase))
        phase, clock = self._phases[event.phase], self._clock()
        if phase.first is None:
            # The first event may be the first unit done now, or a report of what an earlier run had done.
            phase.first = event.done if event.done > 1 else 0
        phase.done = event.done
        rate = self._rate(phase, clock)
        if self._bars is not None and phase.bar is not None:
            note = _safe(self._console, event.note)
            self._bars.update(phase.bar, completed=event.done, rate=rate, note=note)
            return
        tenth = 10 * event.done // phase.total if phase.total else 0
        if tenth > phase.tenth or clock - phase.said >= QUIET_SECONDS:
            phase.tenth, phase.said = tenth, clock
            of = f"/{phase.total:,} ({100 * event.done // phase.total} %)" if phase.total else f" {phase.unit}"
            self._line(", ".join(part for part in (f"{phase.title}: {event.done:,}{of}", rate, event.note) if part))

    def _end(self, event: PhaseEnded) -> None:
        phase = self._phases.pop(event.phase, None)
        if self._bars is not None and phase is not None and phase.bar is not None:
            self._bars.remove_task(phase.bar)
        took = f"done in {figures.duration(event.seconds)}"
        title = phase.title if phase else event.phase
        self._line(f"{title}: {took}" + (f". {event.summary}" if event.summary else ""))

    @staticmethod
    def _rate(phase: _Phase, clock: float) -> str:
        seconds, units = clock - phase.began, phase.done - (phase.first or 0)
        return f"{units / seconds:.1f} {phase.unit}/s" if seconds > 0.5 and units > 0 else ""

    def _line(self, text: str) -> None:
        line = Text(f"{self._now():%H:%M:%S} {_safe(self._console, text)}")
        if self._bars is not None:
            self._bars.console.print(line)
        else:
            self._console.print(line, soft_wrap=True)
