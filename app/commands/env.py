"""`wisen env`: the environments there are, one of them in the terminal, one of them served to others."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, explain, play and serve environments.")

NameArgument = Annotated[str, typer.Argument(help="A suite, as `wisen env list` names it.", metavar="NAME")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", help="One option of the suite, e.g. --set url=http://… May be repeated.", metavar="KEY=VALUE"
    ),
]
SplitOption = Annotated[str, typer.Option(help="learn, gate or report.", metavar="SPLIT")]
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8001


@app.command("list")
def list_environments(
    markdown: Annotated[bool, typer.Option("--markdown", help="A table with all that their cards say.")] = False,
) -> None:
    """One line per suite that can be named with --suite, those of installed packages included."""
    from wisen.environments import registry
    from wisen.environments.cards import table

    if markdown:
        cards = {name: registry.card(name) for name in registry.suites()}
        typer.echo("\n".join(table({name: card for name, card in cards.items() if card is not None})))
        return
    for name, what in registry.suites().items():
        _say(f"{name:17} {what}")


@app.command()
def info(name: NameArgument, assignments: SetOption = None) -> None:
    """What a suite is: its options, its tasks, their rewards, its licence, and what it needs. Starts nothing."""
    from wisen.core.protocols import Described
    from wisen.core.records import Split
    from wisen.environments import registry

    about, options = registry.options(name)
    _say(f"{name}: {registry.suites()[name]}\n")
    if about:
        _say(f"{about}\n")
    for option, default in options.items():
        _say(f"  {option} = {default}" if default else f"  {option}   (must be given)")
    given = _options(assignments)
    if missing := [option for option, default in options.items() if not default and option not in given]:
        if (card := registry.card(name)) is not None:
            _facts(card)
        _say(f"\nmore is known with --set {'=… --set '.join(missing)}=…")
        return
    suite = registry.create(name, **given)
    for split in Split:
        tasks = suite.tasks(split, 1)
        shown = f"such as {tasks[0].id}, version {tasks[0].version}" if tasks else "no tasks"
        _say(f"{split}: {len({task.template_id for task in tasks})} templates, {shown}")
    if isinstance(suite, Described):
        _facts(suite.card())


@app.command()
def play(
    name: NameArgument,
    assignments: SetOption = None,
    split: SplitOption = "learn",
    seed: Annotated[int, typer.Option(help="Which task; templates take turns.", min=0)] = 0,
    screenshots: Annotated[
        Path | None, typer.Option(help="Where pictures go, from environments that take them.", metavar="DIR")
    ] = None,
) -> None:
    """Play a task yourself. Choose by number or write an action; q leaves. Input may come from a pipe."""
    from rich.console import Console

    from wisen.app.drive import drive
    from wisen.app.terminal import play_in_terminal
    from wisen.core.errors import SettingsError
    from wisen.environments import registry
    from wisen.environments.plugs.spoken import task_of_seed

    suite = registry.create(name, **_options(assignments))
    task = task_of_seed(suite, _split(split), seed)
    if task is None:
        raise SettingsError(f"{name} has no tasks under {split}")
    if screenshots is not None:
        screenshots.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    drive(lambda: play_in_terminal(suite, task, console, screenshots=screenshots), console, stopped="stopped")


@app.command()
def serve(
    name: NameArgument,
    assignments: SetOption = None,
    host: Annotated[str, typer.Option(help="Where to listen; another than loopback needs a token.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = DEFAULT_PORT,
    sessions: Annotated[int, typer.Option(help="How many clients at a time.", min=1)] = 64,
    per_template: Annotated[int, typer.Option(help="Tasks of each template in the listing.", min=1)] = 100,
    token: Annotated[
        str,
        typer.Option(help="What clients must send as a bearer token. [default: none asked]", envvar="WISEN_TOKEN"),
    ] = "",
) -> None:
    """Serve a suite as an OpenEnv environment (openenv 0.10), until Ctrl-C."""
    from rich.console import Console

    from wisen.app.drive import drive
    from wisen.app.server.serve import address, bound, chosen_token, is_loopback
    from wisen.environments import registry
    from wisen.environments.plugs.openenv_server import serve as serve_suite

    secret = chosen_token(token, host) if token or not is_loopback(host) else ""
    suite = registry.create(name, **_options(assignments))
    listener = bound(host, port)
    console = Console()

    def ready() -> None:
        base = address(listener).removesuffix("/v1")
        _say(f"serving {name} at {base} (OpenEnv)")
        _say(f"wisen env play openenv --set url={base}")

    async def run() -> None:
        await serve_suite(suite, listener, on_ready=ready, sessions=sessions, per_template=per_template, token=secret)

    try:
        drive(run, console, stopped="stopped")
    finally:
        listener.close()


def _facts(card: Any) -> None:
    from wisen.environments.cards import facts

    for key, value in facts(card).items():
        _say(f"{key}: {value}")


def _options(assignments: list[str] | None) -> dict[str, Any]:
    from wisen.core.settings import nested

    return nested(assignments or [])


def _split(name: str) -> Any:
    from wisen.core.errors import SettingsError
    from wisen.core.records import Split

    if name not in Split.__members__.values():
        raise SettingsError(f"there is no split {name!r}", f"one of {', '.join(Split)}")
    return Split(name)


def _say(text: str) -> None:
    from rich.console import Console

    Console().print(text, markup=False, soft_wrap=True, highlight=False)
