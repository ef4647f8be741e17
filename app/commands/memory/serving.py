"""`wisen memory serve`: the memory for agents of any make, over the Model Context Protocol."""

from typing import Annotated

import typer

from wisen.app.commands.memory.common import DEFAULT_WORKSPACE, WorkspaceOption, app

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8100


@app.command()
def serve(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP. [default: stdin and stdout]")] = False,
    host: Annotated[str, typer.Option(help="Where to listen; another than loopback needs a token.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = DEFAULT_PORT,
    token: Annotated[
        str, typer.Option(help="What clients must send. [default: a new one, printed]", envvar="WISEN_TOKEN")
    ] = "",
) -> None:
    """Serve the memory as an MCP server: list, search, get, recall, propose.

    Without --http, for a client that starts it. What a client proposes waits for `wisen memory approve`. The server
    owns the workspace while it runs; commands that only read work beside it.
    """
    import shlex

    from rich.console import Console

    from wisen.app.drive import drive
    from wisen.app.memory_server import ServedMemory
    from wisen.app.memory_serving import PATH, serve_http, serve_stdio
    from wisen.app.server.serve import address, bound, chosen_token

    console = Console(stderr=not http)  # stdout is the protocol's

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True, highlight=False)

    async def over_stdio() -> None:
        async with ServedMemory(workspace) as memory:
            await serve_stdio(memory.server())

    if not http:
        drive(over_stdio, console, stopped="stopped")
        return
    secret = chosen_token(token, host)
    listener = bound(host, port)

    async def over_http() -> None:
        async with ServedMemory(workspace) as memory:

            def ready() -> None:
                say(f"serving {workspace} at {address(listener).removesuffix('/v1')}{PATH} (MCP, streamable HTTP)")
                say(f"Authorization: Bearer {shlex.quote(secret) if not token else '...  # the token that you chose'}")

            await serve_http(memory.server(), listener, secret, on_ready=ready)

    try:
        drive(over_http, console, stopped="stopped")
    finally:
        listener.close()
