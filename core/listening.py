"""An HTTP application on a socket that is open already, until whoever called is cancelled."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

GRACE = 3  # seconds that what is in progress has when the server is stopped


async def _nothing() -> None: ...


async def listen(
    app: Any,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    ending: Callable[[], Awaitable[None]] = _nothing,
    **options: Any,
) -> None:
    """Serve an ASGI application until cancelled, then end what is in progress and pass the cancellation on. `ending`
    runs before that end is waited for. `options` are uvicorn's. What a signal means is left to whoever called."""
    import uvicorn

    class Quiet(uvicorn.Server):
        def capture_signals(self) -> Any:
            return nullcontext()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready()

    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        **options,
    )
    server = Quiet(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(running)
    finally:
        server.should_exit = True
        await ending()
        await running
