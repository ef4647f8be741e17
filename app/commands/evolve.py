"""`wisen evolve`, `wisen run` and `wisen report`: settings in, progress while it works, tables and files at the end."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from wisen.app.console import Progress, print_report
from wisen.app.drive import drive
from wisen.core.errors import SettingsError
from wisen.core.records import ArmResult, RunReport
from wisen.core.settings import Settings, load, merged, nested
from wisen.core.workspace import Workspace

T = TypeVar("T")
S = TypeVar("S", bound=Settings)
DEFAULT_FILE = Path("wisen.toml")
SETTINGS, RECORD, PAGE, CURVE = "settings.toml", "report.json", "report.html", "learning_curve.png"


def run_evolve(
    root: Path,
    config: Path | None,
    assignments: Sequence[str],
    flags: Mapping[str, Any],
    *,
    prepare_only: bool,
    dry_run: bool,
) -> None:
    from wisen.evolution.settings import EvolveSettings

    default = DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    settings = resolved(EvolveSettings, config or default, assignments, flags)
    if dry_run:
        _print_toml(settings)
        return
    workspace, console = Workspace(root), Console()
    with workspace.lock():  # who may not have it is told now: the imports that follow take seconds
        pass
    from wisen.evolution.evolve import evolve, prepare

    with Progress(console) as progress:
        if prepare_only:
            drive(lambda: prepare(settings, workspace, on_event=progress.on_event), console)
            return
        report = drive(lambda: evolve(settings, workspace, on_event=progress.on_event, command=command_line()), console)
    keep_report(report, settings, workspace)
    _show(report, workspace, console)


def run_play(
    root: Path, config: Path | None, assignments: Sequence[str], flags: Mapping[str, Any], *, dry_run: bool
) -> None:
    from wisen.evolution.settings import RunSettings

    settings = resolved(RunSettings, config, assignments, flags)  # wisen.toml is evolve's: it has other tables
    if dry_run:
        _print_toml(settings)
        return
    workspace, console = Workspace(root), Console()
    with workspace.lock():  # as above
        pass
    from wisen.evolution.play import play

    with Progress(console) as progress:
        result = drive(lambda: play(settings, workspace, on_event=progress.on_event), console)
    _show_arm(result, console)


def run_report(root: Path, run_id: str) -> None:
    workspace = Workspace(root)
    found = sorted(workspace.runs.glob(f"{run_id or '*'}/{RECORD}"), key=lambda path: path.stat().st_mtime)
    if not found:
        known = ", ".join(path.parent.name for path in workspace.runs.glob(f"*/{RECORD}")) or "none"
        raise SettingsError(f"{workspace.root} has no report of {run_id or 'any run'}", f"it has: {known}")
    from wisen.app.report import read_report

    _show(read_report(found[-1]), workspace, Console())


def as_toml(values: Mapping[str, Any], prefix: str = "") -> str:
    """Settings as a TOML file that reads back as the same settings; what is not set is left out."""
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping) and value is not None}
    lines = [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in plain.items()]
    text = "\n".join(lines) + "\n" if lines else ""
    for key, value in values.items():
        if isinstance(value, Mapping):
            path = f"{prefix}{_toml_key(key)}"
            inner = as_toml(value, f"{path}.")
            text += f"\n[{path}]\n{inner}" if not inner.startswith("\n") else inner
    return text


def _print_toml(settings: Settings) -> None:
    """TOML is UTF-8 whatever the terminal's encoding is."""
    sys.stdout.flush()
    sys.stdout.buffer.write(as_toml(settings.model_dump(mode="json")).encode())


def _put(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    scratch = path.with_name(path.name + ".part")
    scratch.write_bytes(content)
    os.replace(scratch, path)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    """JSON's strings, numbers, booleans and lists of them are TOML's, but for pairs of surrogates and a bare DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def resolved(shape: type[S], config: Path | None, assignments: Sequence[str], flags: Mapping[str, Any]) -> S:
    given = {key: value for key, value in flags.items() if value is not None}
    return load(shape, file=config, overrides=merged(nested(assignments), given))


def keep_report(report: RunReport, settings: Settings, workspace: Workspace, *, numbered: bool = False) -> None:
    """Into the run's folder, with the settings that it had; `wisen report` shows it. numbered: also under a name with
    the number of its cycles, which no later one takes."""
    folder = _folder(workspace, report.run_id)
    _put(folder / SETTINGS, as_toml(settings.model_dump(mode="json")).encode())
    record = report.model_dump_json(indent=1).encode()
    _put(folder / RECORD, record)
    if numbered:
        _put(folder / f"report-{len(report.curve)}.json", record)


def _show(report: RunReport, workspace: Workspace, console: Console) -> None:
    from wisen.app.report import learning_curve, render_html

    folder = _folder(workspace, report.run_id)
    _put(folder / PAGE, render_html(report, artifacts=workspace.artifacts).encode())
    _put(folder / CURVE, learning_curve(report))
    print_report(report, console)
    console.print(f"report:         {_near(folder / PAGE)}", markup=False, soft_wrap=True)
    console.print(f"learning curve: {_near(folder / CURVE)}", markup=False, soft_wrap=True)


def _show_arm(result: ArmResult, console: Console) -> None:
    low, mean, high = (100 * value for value in (result.success.low, result.success.mean, result.success.high))
    for family, share in result.families.items():
        console.print(f"{family:32} {100 * share:4.0f} %", markup=False, soft_wrap=True)
    console.print(
        f"{result.label}: {mean:.0f} % of {result.tasks} tasks solved (95 % interval {low:.0f} to {high:.0f}), "
        f"{result.mean_steps:.1f} steps on average",
        markup=False,
        soft_wrap=True,
    )


def _folder(workspace: Workspace, run_id: str) -> Path:
    folder = workspace.runs / run_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _near(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def command_line() -> str:
    return " ".join(["wisen", *sys.argv[1:]])
