"""`wisen models`: the models of a workspace, and an endpoint that serves them and others."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List local models, and serve them over HTTP.")

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace.", metavar="DIR")]
DEFAULT_WORKSPACE = Path(".wisen")
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000


@app.command("list")
def list_models(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """One line per checkpoint of the workspace, the one that the present release uses marked with *."""
    from rich.console import Console

    from wisen.app.server.catalogue import listed

    console = Console()
    for each in listed(workspace):
        size = "weights are gone" if each.parameters is None else f"{each.parameters:,} parameters"
        parts = [size, f"from {each.parent}"] if each.parent else [size]
        parts += [f"in {', '.join(each.releases)}"] if each.releases else []
        line = f"{'*' if each.present else ' '} {each.name:12} {'  '.join(parts)}"
        console.print(line, markup=False, soft_wrap=True, highlight=False)


@app.command("serve")
def serve_models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Checkpoints or releases of the workspace, model folders, or hub ids. [default: the present release]",
            metavar="NAME_OR_PATH",
            show_default=False,
        ),
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            help="A LoRA adapter in PEFT's format, served over the first model. Repeat it for more.",
            metavar="NAME=DIR",
            show_default=False,
        ),
    ] = None,
    runtime_adapters: Annotated[
        bool,
        typer.Option(
            "--runtime-adapters",
            help="Let clients load adapters from this machine's folders and remove them, as vLLM does.",
        ),
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    host: Annotated[str, typer.Option(help="Where to listen; another than loopback needs a token.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = DEFAULT_PORT,
    token: Annotated[
        str,
        typer.Option(help="The key that clients must send. [default: a new one, printed]", envvar="WISEN_TOKEN"),
    ] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="auto (as saved), float32, bfloat16, float16.")] = "auto",
    threads: Annotated[int, typer.Option(help="Torch's threads; 0 leaves it to torch.", min=0)] = 0,
) -> None:
    """Serve models over HTTP for any client of OpenAI's API, until Ctrl-C.

    Chat, completions, streaming, tool calls, JSON schemas and log-probabilities. Nothing is locked or written: `wisen
    evolve` may run on the same workspace meanwhile.
    """
    import asyncio
    import shlex

    from rich.console import Console

    from wisen.app.drive import drive
    from wisen.app.server.catalogue import adapters_of, resolve
    from wisen.app.server.serve import address, bound, chosen_token, serve

    secret = chosen_token(token, host)
    sources = resolve(workspace, names or [])
    adapters = adapters_of(adapter or [], sources)
    listener = bound(host, port)
    console = Console()

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True, highlight=False)

    async def run() -> None:
        from wisen.models.local import LocalModel

        served: dict[str, LocalModel] = {}
        for source in sources:
            model = await asyncio.to_thread(
                LocalModel.load, source.place, name=source.names[0], device=device, dtype=dtype, threads=threads or None
            )
            served |= dict.fromkeys(source.names, model)
        for each, folder in adapters.items():
            served[each] = await served[sources[0].names[0]].with_adapter(each, folder)

        def ready() -> None:
            base = address(listener)
            say(f"serving {', '.join(served)} at {base}")
            say(
                f"export OPENAI_API_KEY={shlex.quote(secret)}"
                if not token
                else "export OPENAI_API_KEY=...  # the token that you chose"
            )
            say(f"wisen run --model {shlex.quote(f'openai/{next(iter(served))}')} --api-base {base}")

        await serve(served, listener, secret, runtime_adapters=runtime_adapters, on_ready=ready)

    try:
        drive(run, console, stopped="stopped")
    finally:
        listener.close()
