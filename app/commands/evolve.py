"""`wisen evolve`, `wisen run` and `wisen report`: settings in, progress while it works, tables and files at the end."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from wisen.app.console import Progress, print_report
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
    settings = _resolved(EvolveSettings, config or default, assignments, flags)
    if dry_run:
        sys.stdout.write(as_toml(settings.model_dump(mode="json")))
        return
    workspace, console = Workspace(root), Console()
    from wisen.evolution.evolve import evolve, prepare

    with Progress(console) as progress:
        if prepare_only:
            _drive(lambda: prepare(settings, workspace, on_event=progress.on_event), console)
            return
        report = _drive(lambda: evolve(settings, workspace, on_event=progress.on_event, command=_command()), console)
    folder = _folder(workspace, report.run_id)
    (folder / SETTINGS).write_text(as_toml(settings.model_dump(mode="json")), encoding="utf-8")
    (folder / RECORD).write_text(report.model_dump_json(indent=1), encoding="utf-8")
    _show(report, workspace, console)


def run_play(
    root: Path, config: Path | None, assignments: Sequence[str], flags: Mapping[str, Any], *, dry_run: bool
) -> None:
    from wisen.evolution.settings import RunSettings

    settings = _resolved(RunSettings, config, assignments, flags)  # wisen.toml is evolve's: it has other tables
    if dry_run:
        sys.stdout.write(as_toml(settings.model_dump(mode="json")))
        return
    console = Console()
    from wisen.evolution.play import play

    with Progress(console) as progress:
        result = _drive(lambda: play(settings, Workspace(root), on_event=progress.on_event), console)
    _show_arm(result, console)


def run_report(root: Path, run_id: str) -> None:
    workspace = Workspace(root)
    found = sorted(workspace.runs.glob(f"{run_id or '*'}/{RECORD}"), key=lambda path: path.stat().st_mtime)
    if not found:
        known = ", ".join(path.parent.name for path in workspace.runs.glob(f"*/{RECORD}")) or "none"
        raise SettingsError(f"{workspace.root} has no report of {run_id or 'any run'}", f"it has: {known}")
    _show(RunReport.model_validate_json(found[-1].read_text(encoding="utf-8")), workspace, Console())


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


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    """JSON's strings, numbers, booleans and lists of them are TOML's, but for pairs of surrogates and a bare DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _resolved(shape: type[S], config: Path | None, assignments: Sequence[str], flags: Mapping[str, Any]) -> S:
    given = {key: value for key, value in flags.items() if value is not None}
    return load(shape, file=config, overrides=merged(nested(assignments), given))


def _drive(make: Callable[[], Coroutine[Any, Any, T]], console: Console) -> T:
    """Run to the end. Ctrl-C and SIGTERM stop it in good order: browser closed, store whole, exit code 128 + signal."""
    received: list[signal.Signals] = []

    async def main() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def stop(number: signal.Signals) -> None:
            received.append(number)
            if len(received) == 1:
                task.cancel()
            else:
                os._exit(128 + number)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        return await make()

    try:
        return asyncio.run(main())
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.print("stopped; what was finished is kept, and the same command goes on from there", soft_wrap=True)
        raise SystemExit(128 + (received[0] if received else signal.SIGINT)) from None


def _show(report: RunReport, workspace: Workspace, console: Console) -> None:
    from wisen.app.report import learning_curve, render_html

    folder = _folder(workspace, report.run_id)
    (folder / PAGE).write_text(render_html(report, artifacts=workspace.artifacts), encoding="utf-8")
    (folder / CURVE).write_bytes(learning_curve(report))
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


def _command() -> str:
    return " ".join(["wisen", *sys.argv[1:]])
