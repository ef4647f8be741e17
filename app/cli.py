"""`wisen`: the command line. Starts light; a command imports what it needs when it runs."""

import io
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from wisen.app.commands import data, env, memory, models, releases, schedule, suite
from wisen.core.disk import FULL, disk_faults
from wisen.core.errors import WisenError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Agents that get better with experience, and can prove it.",
    epilog="Start with `wisen doctor`, then `wisen evolve`. Everything a run makes is in the workspace, ./.wisen.",
)
app.add_typer(data.app, name="data")
app.add_typer(env.app, name="env")
app.add_typer(memory.app, name="memory")
app.add_typer(models.app, name="models")
app.add_typer(releases.app, name="releases")
app.add_typer(schedule.app, name="schedule")
app.add_typer(suite.app, name="suite")

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="Folder for store, index, weights and reports.", metavar="DIR")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings from a TOML file (evolve also reads ./wisen.toml).", metavar="FILE"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", help="One setting, e.g. --set train.tokens=50000. May be repeated.", metavar="KEY=VALUE"
    ),
]
ApiBaseOption = Annotated[
    str | None, typer.Option(help="Where a remote model is served, if not at its provider.", metavar="URL")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the settings as resolved, as TOML, and stop.")]
DEFAULT_WORKSPACE = Path(".wisen")


@app.command()
def evolve(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    config: ConfigOption = None,
    assignments: SetOption = None,
    cycles: Annotated[int | None, typer.Option(help="Turns of collect, distil, train, gate. [default: 3]")] = None,
    seed: Annotated[int | None, typer.Option(help="One seed fixes the whole run. [default: 0]")] = None,
    suite: Annotated[str | None, typer.Option(help="Where to act. [default: miniwob]")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A LiteLLM name such as openai/gpt-x. [default: a backbone built on the spot]"),
    ] = None,
    api_base: ApiBaseOption = None,
    trainer: Annotated[
        str | None,
        typer.Option(help="`rft`, or `none` to let only the memory evolve. [default: rft; none for a remote model]"),
    ] = None,
    distiller: Annotated[
        str | None,
        typer.Option(
            help="What writes memory items, such as `reasoningbank`: see docs/memory.md. [default: extractive]"
        ),
    ] = None,
    prepare: Annotated[bool, typer.Option("--prepare", help="Only make the first release, once, and stop.")] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Let an agent act, remember, train and be gated; ends with a table and a report.

    The agent plays tasks, distils memory items from what happened, fine-tunes its model on its own successes, and the
    gate promotes the result only if it solved more of a fixed panel than the present release. The same command goes on
    with a run that was stopped, and with more --cycles it adds to one that is done.
    """
    from wisen.app.commands.evolve import run_evolve

    flags = {
        "cycles": cycles,
        "seed": seed,
        "suite": suite,
        "model": model,
        "remote": _set(api_base=api_base),
        "trainer": trainer,
        "distiller": distiller,
    }
    run_evolve(workspace, config, assignments or [], flags, prepare_only=prepare, dry_run=dry_run)


@app.command()
def run(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    config: ConfigOption = None,
    assignments: SetOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A release or checkpoint of the workspace, `uniform`, or a LiteLLM name such as openai/gpt-x. "
            "[default: the present release]"
        ),
    ] = None,
    api_base: ApiBaseOption = None,
    suite: Annotated[str | None, typer.Option(help="Where to act. [default: miniwob]")] = None,
    per_template: Annotated[int | None, typer.Option(help="Tasks of each template. [default: 1]")] = None,
    memory: Annotated[bool | None, typer.Option("--memory/--no-memory", help="Recall from the present bank.")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    dry_run: DryRunOption = False,
) -> None:
    """Play tasks with one model and show how it went. Nothing is learned."""
    from wisen.app.commands.evolve import run_play

    flags = {
        "model": model,
        "remote": _set(api_base=api_base),
        "suite": suite,
        "per_template": per_template,
        "memory": memory,
        "seed": seed,
    }
    run_play(workspace, config, assignments or [], flags, dry_run=dry_run)


@app.command()
def train(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Settings from a TOML file: seed, and the table [train].", metavar="FILE"),
    ] = None,
    assignments: SetOption = None,
    algorithm: Annotated[
        str | None, typer.Option("--algorithm", "-a", help="Such as rft, dpo, kto, grpo. [default: rft]")
    ] = None,
    parent: data.ParentOption = "",
    name: Annotated[str, typer.Option(help="Of the new weights. [default: the algorithm and a number]")] = "",
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take, try one batch, and stop.")
    ] = False,
) -> None:
    """Train the local model on what the workspace collected, by one algorithm. The result is weights, no release."""
    from wisen.app.commands.train import run_train

    run_train(
        workspace,
        config,
        assignments or [],
        algorithm=algorithm,
        parent=parent,
        name=name,
        seed=seed,
        dry_run=dry_run,
    )


@app.command()
def report(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    run_id: Annotated[str, typer.Argument(help="A run's id. [default: the newest with a report]")] = "",
) -> None:
    """Draw a run's report again, and print its table and where it is."""
    from wisen.app.commands.evolve import run_report

    run_report(workspace, run_id)


@app.command()
def doctor(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    model: Annotated[str, typer.Option(help="A LiteLLM name: is its provider's key set?")] = "",
    api_base: Annotated[
        str, typer.Option(help="Where the model is served: does the server have it?", metavar="URL")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of findings as JSON.")] = False,
) -> None:
    """Say for each part whether it is here and works, and what to do where it does not. Exit code 1 if the main job
    lacks something."""
    from wisen.app.check import healthy
    from wisen.app.doctor import check_all, print_checks

    checks = check_all(workspace, model=model, api_base=api_base)
    print_checks(checks, as_json=as_json)
    if not healthy(checks):
        raise typer.Exit(1)


def _set(**values: Any) -> dict[str, Any]:
    """What was given."""
    return {key: value for key, value in values.items() if value is not None}


def main() -> None:
    """The entry point: one line and exit code 2 for what the user can mend."""
    # A second busy process makes torch's threads wait for one another in a spin; these let them sleep instead.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for a terminal that knows fewer letters than we write
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        with disk_faults("could not write", only=FULL):
            app(prog_name="wisen")
    except WisenError as error:
        sys.stderr.write(f"wisen: {error}\n")
        sys.exit(2)
