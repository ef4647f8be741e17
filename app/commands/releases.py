"""`wisen releases`: what was served, on what evidence, and the way back."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List releases, and roll back.")

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace.", metavar="DIR")]
DEFAULT_WORKSPACE = Path(".wisen")


@app.command("list")
def list_releases(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """One line per release, the present one marked with *."""
    from rich.console import Console

    from wisen.app.opened import readable

    console = Console()
    with readable(workspace) as store:
        present, events = store.current_release(), store.release_events()
        for release in store.releases():
            mine = [event for event in events if event.release_id == release.id]
            mark = "*" if present is not None and release.id == present.id else " "
            parts = f"weights {release.model:8} bank version {release.bank_version}"
            console.print(f"{mark} {release.name:8} {parts}", markup=False, soft_wrap=True, highlight=False)
            for event in mine:
                console.print(f"    {event.kind}: {event.reason}", markup=False, soft_wrap=True, highlight=False)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="The release to go back to. [default: the present one's parent]")] = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Make an earlier release the present one again. Nothing is deleted."""
    from rich.console import Console

    from wisen.app.opened import opened
    from wisen.evolution.releases import roll_back

    with opened(workspace) as store:
        before, after = roll_back(store, name)
    Console().print(
        f"the present release is {after.name} (it was {before.name}); "
        f"`wisen releases rollback {before.name}` undoes it",
        markup=False,
        soft_wrap=True,
    )
