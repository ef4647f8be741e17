"""How the memory's MCP server is reached: stdio for one client, streamable HTTP with a token for several."""

import secrets
import socket
from collections.abc import Callable
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from wisen.core.listening import listen

PATH = "/mcp"


async def serve_stdio(server: Any) -> None:
    """Until stdin ends."""
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def serve_http(
    server: Any, listener: socket.socket, token: str, *, on_ready: Callable[[], None] = lambda: None
) -> None:
    """Until cancelled. Pages that a browser on this machine shows are refused by their origin, all others by the
    token."""
    host = listener.getsockname()[0]
    app = server.streamable_http_app(streamable_http_path=PATH, host=host)
    async with server.session_manager.run():
        await listen(_Gate(app, token), listener, on_ready=on_ready, ws="none")


class _Gate:
    """Asks for the token before anything of a request is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if secrets.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
            return
        refusal = PlainTextResponse("Send `Authorization: Bearer TOKEN`.", 401, {"www-authenticate": "Bearer"})
        await refusal(scope, receive, send)
