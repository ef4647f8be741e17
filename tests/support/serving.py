"""A real server on a free port, in a thread of the test process."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from wisen.app.server.serve import address, bound, serve
from wisen.models.local import LocalModel

TOKEN = "test-token"


@contextmanager
def served(models: Mapping[str, LocalModel], token: str = TOKEN, *, runtime_adapters: bool = False) -> Iterator[str]:
    """Serves while the block runs; gives the address that a client takes. The models are closed at the end."""
    listener = bound("127.0.0.1", 0)
    base = address(listener)
    ready = threading.Event()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def main() -> None:
        task = asyncio.create_task(
            serve(models, listener, token, runtime_adapters=runtime_adapters, on_ready=ready.set)
        )
        stop.append((asyncio.get_running_loop(), task))
        await asyncio.wait([task])

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        assert ready.wait(60)
        yield base
    finally:
        loop, task = stop[0]
        loop.call_soon_threadsafe(task.cancel)
        thread.join(60)
        assert not thread.is_alive()
