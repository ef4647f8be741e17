"""`wisen data`: training rows of what a workspace collected: made, counted, looked at, exported."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Make training rows of what was collected, look at them, export."
)

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace.", metavar="DIR")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Settings: the tables [train] and a seed.", metavar="FILE")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="One setting, e.g. --set train.cap=50. May be repeated.", metavar="KEY=VALUE"),
]
AlgorithmOption = Annotated[
    str | None, typer.Option("--algorithm", "-a", help="Whose rows, such as rft, dpo, grpo. [default: rft]")
]
ParentOption = Annotated[
    str, typer.Option("--parent", help="Weights to begin with, by checkpoint or release. [default: the present one]")
]
FilterOption = Annotated[
    str | None,
    typer.Option(
        help="Which attempts, e.g. \"outcome == 'success' and length <= 8 and 'memory' not in tags\".", metavar="EXPR"
    ),
]
ViewOption = Annotated[str | None, typer.Option(help="`steps`, or `whole` conversations. [default: steps]")]
MemoryOption = Annotated[str | None, typer.Option(help="What prompts showed of it: `keep` or `strip`.")]
FolderArgument = Annotated[Path, typer.Argument(help="The dataset's folder.", metavar="DATASET")]
DEFAULT_WORKSPACE = Path(".wisen")


@app.command()
def build(
    folder: FolderArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    config: ConfigOption = None,
    assignments: SetOption = None,
    algorithm: AlgorithmOption = None,
    filter: FilterOption = None,
    view: ViewOption = None,
    memory: MemoryOption = None,
    parent: ParentOption = "",
    seed: Annotated[int | None, typer.Option(help="Fixes every draw. [default: 0]")] = None,
) -> None:
    """Write the rows that an algorithm would train on, with all that is needed to read them, to a folder."""
    from wisen.app.commands.memory.common import say
    from wisen.app.opened import readable
    from wisen.app.training import material, resolved
    from wisen.core.workspace import Workspace
    from wisen.trainers.stored import store as put
    from wisen.trainers.trainer import Tongue, Trainer

    flags = {"algorithm": algorithm, "seed": seed}
    settings = resolved(config, assignments or [], flags, {"filter": filter, "view": view, "memory": memory})
    with readable(workspace) as store:
        found = material(store, Workspace(workspace), parent)
    tongue = Tongue.load(found.parent)
    rows = Trainer(settings.train).rows(found.trajectories, seed=settings.seed, codec=tongue.codec)
    made = {"settings": settings.model_dump(mode="json"), "parent": found.parent.name}
    put(rows, folder, tokenizer_from=found.parent, made=made)
    say(f"{len(rows):,} rows of {len({row.trajectory_id for row in rows}):,} attempts in {folder}")


@app.command()
def stats(folder: FolderArgument) -> None:
    """Count rows, tokens, what is trained, what is memory, by family and loss."""
    from wisen.app.commands.memory.common import say
    from wisen.app.rows import counted
    from wisen.trainers.stored import stored

    say(*(f"{name:32} {figure}" for name, figure in counted(stored(folder).rows)))


@app.command()
def show(
    folder: FolderArgument,
    number: Annotated[int, typer.Argument(help="Which row, from 0.", metavar="N")] = 0,
) -> None:
    """Show a row with its mask in colour: what is trained, what is memory, what is context."""
    from rich.console import Console

    from wisen.app.rows import headline, legend, rendered
    from wisen.core.errors import SettingsError
    from wisen.trainers.stored import stored

    found = stored(folder)
    if not 0 <= number < len(found.rows):
        raise SettingsError(f"{folder} has rows 0 to {len(found.rows) - 1}, and no row {number}")
    console = Console()
    console.print(headline(found.rows[number]), markup=False, highlight=False, soft_wrap=True)
    console.print(legend())
    console.print(rendered(found, found.rows[number]), highlight=False, soft_wrap=True)


@app.command()
def export(
    folder: FolderArgument,
    out: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")],
    format: Annotated[
        str,
        typer.Option("--format", "-f", help="chat, trl-sft, trl-dpo, trl-kto, llama-factory or parquet."),
    ] = "chat",
) -> None:
    """Write the rows in a format that other trainers read."""
    from wisen.app.commands.memory.common import say
    from wisen.trainers.export import export as write
    from wisen.trainers.stored import stored

    say(f"{out}: {write(stored(folder), out, format)}")
