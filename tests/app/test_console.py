"""A run on the terminal and in a log: the report's tables and the progress lines."""

import io
import re
from collections.abc import Iterator
from datetime import datetime

import pytest
from rich.console import Console

from tests.support.report_variants import HOSTILE, empty, hostile, memory_only, nothing_promoted
from tests.support.sample_report import sample_report
from wisen.app.console import Progress, print_report
from wisen.app.report import figures, roles
from wisen.core.records import Advanced, Note, PhaseEnded, PhaseStarted, RunReport


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> RunReport:
    return sample_report(tmp_path_factory.mktemp("workspace"))


def _printed(report: RunReport, **options: object) -> str:
    buffer = io.StringIO()
    print_report(report, Console(file=buffer, width=80, **options))  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_console_has_every_arm_on_one_line_within_80_columns(report: RunReport, terminal: bool) -> None:
    printed = _printed(report, force_terminal=terminal, color_system=None)
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 80
    for arm in report.arms:
        row = next(line for line in lines if line.strip().startswith(arm.label) and "130/10" in line)
        assert f"{figures.number(arm.success.mean)} [" in row
    for gate in report.gates:
        assert any(roles.name_of(report, gate.candidate_id) in line and "[" in line for line in lines)
    assert "Type the password into both fields" in printed
    assert ("───" in printed) is terminal


def test_console_shows_foreign_text_as_text(report: RunReport) -> None:
    printed = _printed(hostile(report, HOSTILE + "[bold]x[/bold][/nonsense]"))
    assert "\x1b" not in printed and "\u202e" not in printed
    assert "[/nonsense]" in printed.replace("\n", "")


def test_console_says_what_kind_of_run_it_was(report: RunReport) -> None:
    remote = " ".join(_printed(memory_only(report)).split())
    assert "Training: none. The model, openai/gpt-5-mini, is unchanged" in remote
    assert "train" not in remote.replace("Training: none", "").lower()
    assert "1 cycle brought nothing new to try, so it had no gate" in remote
    kept = " ".join(_printed(nothing_promoted(report)).split())
    assert "Nothing was promoted: the run ends with the release that it began with" in kept
    assert "r2: Not promoted: the candidate was not ahead (" in kept


def test_console_takes_an_ascii_terminal_and_an_empty_report(report: RunReport) -> None:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="ascii")
    print_report(hostile(report, HOSTILE + "é"), Console(file=stream, width=80, force_terminal=True))
    print_report(empty(report), Console(file=stream, width=80))
    stream.flush()
    assert b"No gate was held" in buffer.getvalue()


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _progress(events: Iterator[object] | list[object], clock: Clock, **options: object) -> str:
    buffer = io.StringIO()
    console = Console(file=buffer, width=80, **options)  # type: ignore[arg-type]
    with Progress(console, clock=clock, now=lambda: datetime(2026, 1, 2, 3, 4, 5)) as progress:
        for event in events:
            progress.on_event(event)  # type: ignore[arg-type]
    return buffer.getvalue()


def _run(clock: Clock, first: int = 1) -> Iterator[object]:
    yield PhaseStarted(phase="collect", title="Cycle 1: collect", total=200)
    for done in range(first, 201):
        clock.seconds += 0.1
        yield Advanced(phase="collect", done=done, note="61 % solved")
    yield PhaseEnded(phase="collect", summary="61 % solved", seconds=20.0)
    yield Note(text="promoted [cycle-1]")


def test_progress_without_a_terminal_is_a_few_timestamped_lines() -> None:
    clock = Clock()
    lines = _progress(_run(clock), clock).splitlines()
    assert lines[0] == "03:04:05 Cycle 1: collect: 200 episodes"
    assert lines[1] == "03:04:05 Cycle 1: collect: 20/200 (10 %), 10.0 episodes/s, 61 % solved"
    assert lines[-2] == "03:04:05 Cycle 1: collect: done in 20 s. 61 % solved"
    assert lines[-1] == "03:04:05 promoted [cycle-1]"
    assert len(lines) == 13


def test_a_resumed_phase_does_not_boast_of_earlier_work() -> None:
    clock = Clock()
    lines = _progress(_run(clock, first=150), clock).splitlines()
    rates = [float(rate) for line in lines for rate in re.findall(r"([\d.]+) episodes/s", line)]
    assert rates and max(rates) <= 10.0


def test_slow_work_and_work_of_unknown_length_still_speak() -> None:
    clock = Clock()

    def slow() -> Iterator[object]:
        yield PhaseStarted(phase="train", title="Train", unit="rows")
        for done in range(1, 5):
            clock.seconds += 11
            yield Advanced(phase="train", done=done)

    lines = _progress(slow(), clock).splitlines()
    assert lines[0] == "03:04:05 Train"
    assert lines[-1] == "03:04:05 Train: 4 rows, 0.1 rows/s"
    assert len(lines) == 5


def test_progress_on_a_terminal_ends_with_its_summary() -> None:
    clock = Clock()
    shown = _progress(_run(clock), clock, force_terminal=True, color_system=None)
    assert "Cycle 1: collect: done in 20 s. 61 % solved" in shown
    assert "promoted [cycle-1]" in shown
    assert shown.count("03:04:05") == 2
