"""Running a command's coroutine so that a signal ends it in good order."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from rich.console import Console

T = TypeVar("T")
GOES_ON = "stopped; what was finished is kept, and the same command goes on from there"


def drive(make: Callable[[], Coroutine[Any, Any, T]], console: Console, *, stopped: str = GOES_ON) -> T:
    """Run to the end. Ctrl-C and SIGTERM cancel it: what it opened is closed, `stopped` is said, and the exit code is
    128 + signal. A second signal ends the process at once."""
    received: list[signal.Signals] = []

    async def main() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def stop(number: signal.Signals) -> None:
            received.append(number)
            if len(received) == 1:
                task.cancel()
            else:
                os._exit(128 + number)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        return await make()

    try:
        return asyncio.run(main())
    except (asyncio.CancelledError, KeyboardInterrupt):
        console.print(stopped, soft_wrap=True)
        raise SystemExit(128 + (received[0] if received else signal.SIGINT)) from None
