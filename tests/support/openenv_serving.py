"""An OpenEnv server of ours on a free port, in a thread of the test process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wisen.app.server.serve import bound
from wisen.core.protocols import Suite
from wisen.environments.plugs.openenv_server import serve


@contextmanager
def openenv(suite: Suite, **options: Any) -> Iterator[str]:
    """Serves while the block runs; gives the address."""
    listener = bound("127.0.0.1", 0)
    ready = threading.Event()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def main() -> None:
        task = asyncio.create_task(serve(suite, listener, on_ready=ready.set, **options))
        stop.append((asyncio.get_running_loop(), task))
        await asyncio.wait([task])

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    try:
        assert ready.wait(30)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        loop, task = stop[0]
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)
        listener.close()
        assert not thread.is_alive()
