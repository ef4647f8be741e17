"""What the commands of `wisen memory` share: their options, and how they speak."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from wisen.core.records import MemoryItem
    from wisen.memory.bank import Snapshot

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at the memory bank, write to it, approve what waits, set it back, and serve it.",
)

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace.", metavar="DIR")]
VersionOption = Annotated[int | None, typer.Option("--version", "-v", help="A bank version. [default: the newest]")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for a script.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; the ledger keeps it.")]
ItemArgument = Annotated[str, typer.Argument(help="The item's id.", metavar="ID")]
ItemsArgument = Annotated[list[str], typer.Argument(help="Ids of items.", metavar="ID...")]
DEFAULT_WORKSPACE = Path(".wisen")
PERSON = "person"  # who acts, in the ledger, where the command line does


def say(*lines: str) -> None:
    """Print as it stands: no markup, no wrapping."""
    from rich.console import Console

    Console().print("\n".join(lines), markup=False, soft_wrap=True, highlight=False)


def say_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def as_json(snapshot: "Snapshot", keys: Iterable[str]) -> list[dict[str, Any]]:
    """Items with their statuses, as a script reads them."""
    return [{**snapshot.items[key].model_dump(mode="json"), "status": snapshot.statuses[key].value} for key in keys]


def known(snapshot: "Snapshot", key: str) -> "MemoryItem":
    """The item of that id. Raises `SettingsError` where the version has none."""
    from wisen.core.errors import SettingsError

    if key not in snapshot.items:
        raise SettingsError(f"bank version {snapshot.version} has no item {key!r}", "`wisen memory list` lists them")
    return snapshot.items[key]


def versions_said(before: int, after: int) -> str:
    """What a change made of the bank's version, and how to undo it."""
    if before == after:
        return f"nothing changed; the bank is at version {after}"
    return f"bank version {after}; `wisen memory restore {before}` undoes it"
