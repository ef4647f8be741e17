"""`wisen releases`: what was served, on what evidence, the way back, and the way out and in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wisen.evolution.releases import Served

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List releases, serve another one, export and import them."
)

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace.", metavar="DIR")]
KeepBankOption = Annotated[
    bool, typer.Option("--keep-bank", help="Leave the newest bank as it is. [default: it becomes the release's]")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_WORKSPACE = Path(".wisen")
UNBROKEN = 10_000  # columns of a tree that no terminal shows


@app.command("list")
def list_releases(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    graph: Annotated[bool, typer.Option("--graph", help="As a tree: each below the one it was made from.")] = False,
    as_json: JsonOption = False,
) -> None:
    """One line per release, the present one marked with *, and what befell it."""
    import json

    from rich.console import Console

    from wisen.app.opened import readable

    console = Console()
    with readable(workspace) as store:
        if graph or as_json:
            from wisen.app.lines import nodes_as_json, tree_of_lines
            from wisen.evolution.releases.lineage import tree_of

            nodes = tree_of(store)
            if as_json:
                typer.echo(json.dumps(nodes_as_json(nodes), indent=1))
            else:
                wide = console if console.is_terminal else Console(width=UNBROKEN)
                wide.print(tree_of_lines(nodes, str(workspace)))
            return
        present, events = store.current_release(), store.release_events()
        for release in store.releases():
            mine = [event for event in events if event.release_id == release.id]
            mark = "*" if present is not None and release.id == present.id else " "
            parts = f"weights {release.model:8} bank version {release.bank_version}"
            console.print(f"{mark} {release.name:8} {parts}", markup=False, soft_wrap=True, highlight=False)
            for event in mine:
                console.print(f"    {event.kind}: {event.reason}", markup=False, soft_wrap=True, highlight=False)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A release. [default: the present one]")] = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
) -> None:
    """What a release is made of, with the hash of every part, and where it comes from. The weights are read through."""
    from wisen.app.lines import manifest_lines
    from wisen.app.opened import readable
    from wisen.core.workspace import Workspace
    from wisen.evolution.releases.manifest import as_json as to_json
    from wisen.evolution.releases.manifest import manifest_of, release_named

    with readable(workspace) as store:
        manifest = manifest_of(store, Workspace(workspace).weights, release_named(store, name))
    typer.echo(to_json(manifest), nl=False) if as_json else typer.echo("\n".join(manifest_lines(manifest)))


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="The release to serve.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the line later.")] = "",
    keep_bank: KeepBankOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Make a release the present one by hand. The line then says that no gate decided."""
    from wisen.app.opened import opened
    from wisen.core.workspace import Workspace
    from wisen.evolution.releases import promote as serve

    with opened(workspace) as store:
        served = serve(store, Workspace(workspace).weights, name, reason=reason, keep_bank=keep_bank)
    _say(served, "It was promoted by hand: no gate decided. ")


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="The release to go back to. [default: the present one's parent]")] = "",
    keep_bank: KeepBankOption = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Make an earlier release the present one again, weights and bank. Nothing is deleted."""
    from wisen.app.opened import opened
    from wisen.core.workspace import Workspace
    from wisen.evolution.releases import roll_back

    with opened(workspace) as store:
        served = roll_back(store, Workspace(workspace).weights, name, keep_bank=keep_bank)
    _say(served, "")


@app.command("export")
def export_command(
    out: Annotated[Path, typer.Argument(help="The folder to make.", metavar="FOLDER")],
    name: Annotated[str, typer.Option(help="A release. [default: the present one]")] = "",
    backbone: Annotated[
        bool, typer.Option("--backbone/--no-backbone", help="With an adapter, the weights that it is over.")
    ] = True,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Write a release to a folder: weights as safetensors, bank, model card, evidence, and a manifest with hashes."""
    from wisen.app.opened import readable
    from wisen.core.workspace import Workspace
    from wisen.evolution.releases import export_release
    from wisen.evolution.releases.manifest import release_named

    with readable(workspace) as store:
        manifest = export_release(
            store, Workspace(workspace).weights, release_named(store, name), out, with_backbone=backbone
        )
    size = sum(file.size for file in manifest.files) / 1e6
    typer.echo(f"{manifest.name} is in {out}: {len(manifest.files) + 1} files, {size:,.1f} MB")
    typer.echo(f"manifest sha256 {manifest.sha256} (tell it to whoever imports: --sha256)")


@app.command("import")
def import_command(
    folder: Annotated[Path, typer.Argument(help="A folder that `wisen releases export` made.", metavar="FOLDER")],
    name: Annotated[
        str, typer.Option(help="What to call it here. [default: its name and the beginning of its hash]")
    ] = "",
    sha256: Annotated[str, typer.Option(help="The manifest's, as its maker told it; another one is refused.")] = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Take an exported release into a workspace. Hashes are checked first; it is not served until it is promoted."""
    from wisen.app.opened import opened
    from wisen.core.workspace import Workspace
    from wisen.evolution.releases import import_release

    with opened(workspace, create=True) as store:
        release, manifest, new = import_release(store, Workspace(workspace).weights, folder, name=name, sha256=sha256)
    how = "is here as" if new else "was here already, as"
    typer.echo(f"{manifest.name} {how} {release.name}: weights {release.model}, bank version {release.bank_version}")
    typer.echo(f"`wisen run --model {release.name}` plays it; `wisen releases promote {release.name}` serves it")


def _say(served: "Served", how: str) -> None:
    before, after = served.before, served.after
    was = f" (it was {before.name})" if before else ""
    undo = f"`wisen releases rollback {before.name}` undoes it" if before else ""
    typer.echo(f"the present release is {after.name}{was}. {how}{undo}".rstrip())
    if served.bank is not None:
        typer.echo(
            f"the newest bank is now that of {after.name}; it was version {served.bank}, "
            f"and `wisen memory restore {served.bank}` brings that back"
        )
