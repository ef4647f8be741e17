"""`wisen suite`: named panels, what is in them, and whether they are still what they were."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wisen.evolution.named import NamedSuite

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Named learn, gate and report panels.")

NAME = "A named suite, as `wisen suite list` names it, or the path of a TOML file."


@app.command("list")
def list_suites() -> None:
    """One line per named suite."""
    from wisen.evolution.named import named_suite, shipped

    for name in shipped():
        named = named_suite(name)
        _say(f"{name:28} {named.suite:14} {_counts(named):34} {named.about}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help=NAME, metavar="NAME")],
    as_toml: Annotated[
        bool, typer.Option("--toml", help="Print the file, with the digests of now: to pin it.")
    ] = False,
    tasks: Annotated[bool, typer.Option("--tasks", help="Name every task.")] = False,
) -> None:
    """The panels of a named suite, and the settings that play them."""
    from wisen.core.records import Split
    from wisen.evolution.named import named_suite, pinned

    named = named_suite(name)
    if as_toml:
        from wisen.app.commands.evolve import as_toml as written

        typer.echo(written(pinned(named).model_dump(mode="json", exclude_defaults=True)), nl=False)
        return
    _say(f"{named.name}: {named.about}")
    _say(f"suite {named.suite}, disjoint by {named.disjoint}")
    for split in Split:
        pin, panel = named.pin(split), named.panel(split)
        templates = len({task.template_id for task in panel.tasks})
        state = "as pinned" if panel.digest == pin.digest else f"pinned as {pin.digest or 'nothing'}"
        _say(f"{split:7} {len(panel.tasks):5} tasks of {templates} templates  {panel.digest}  {state}")
        if tasks:
            for task in panel.tasks:
                _say(f"        {task.id}")
    _say(f"wisen run {_settings(named)}")


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help=f"{NAME} [default: all]", metavar="NAME")] = None,
) -> None:
    """Make the panels anew and compare their hashes with the pinned ones, and look for what is in two of them. Exit
    code 1 if anything differs."""
    from wisen.core.errors import SettingsError
    from wisen.evolution.named import named_suite, shipped, verified

    wrong = 0
    for name in names or shipped():
        named = named_suite(name)
        try:
            found = verified(named)
        except SettingsError as error:
            if names:
                raise
            _say(f"{named.name}: not checked: {error}")  # its packages are not installed
            continue
        _say(f"{named.name}: {'as pinned, disjoint by ' + named.disjoint if not found else 'differs'}")
        for line in found:
            _say(f"    {line}")
        wrong += bool(found)
    if wrong:
        raise typer.Exit(1)


def _counts(named: "NamedSuite") -> str:
    return f"learn {named.learn.tasks}, gate {named.gate.tasks}, report {named.report.tasks}"


def _settings(named: "NamedSuite") -> str:
    """The report panel as flags of `wisen run`."""
    import json
    import shlex

    pin = named.report
    words = ["--suite", named.suite, "--per-template", str(pin.per_template)]
    words += ["--set", f"offset={pin.offset}"] if pin.offset else []
    for key, value in {**named.options, **pin.options}.items():
        words += ["--set", f"suite_options.{key}={json.dumps(value)}"]
    return shlex.join(words)


def _say(text: str) -> None:
    from rich.console import Console

    Console().print(text, markup=False, soft_wrap=True, highlight=False)
