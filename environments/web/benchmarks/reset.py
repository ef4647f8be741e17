"""Sites as they were: hooks that reset them, and the wait until they answer again."""

import asyncio
import os
import shlex
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from wisen.core.errors import EnvironmentFault, SettingsError

TOLD = 300  # characters of what a command said
_METHODS = ("GET", "POST")
_POLL_S = 1.0
_ANSWER_S = 10.0


class Reset:
    """hooks: each an address, such as `POST http://127.0.0.1:8877/reset` (GET, if not said), or a command, which no
    shell reads. urls: what must answer afterwards. seconds: for all of it. Raises `SettingsError`."""

    def __init__(self, hooks: str | Sequence[str], urls: Sequence[str], seconds: float) -> None:
        self._hooks = [hooks] if isinstance(hooks, str) else list(hooks)
        self._urls, self._seconds = tuple(urls), float(seconds)
        try:
            self._commands = [shlex.split(hook) for hook in self._hooks]
        except ValueError as error:
            raise SettingsError(f"reset: {error}", "write a command, or GET or POST and an address") from error
        if not all(self._commands):
            raise SettingsError("reset: an empty command", "write a command, or GET or POST and an address")

    async def run(self) -> None:
        """Raises `EnvironmentFault` where a hook fails or a site stays away."""
        end = time.monotonic() + self._seconds
        for hook, command in zip(self._hooks, self._commands, strict=True):
            method, url = command if len(command) == 2 and command[0] in _METHODS else ("GET", command[0])
            if url.startswith(("http://", "https://")):
                status = await asyncio.to_thread(answer, url, method, max(1.0, end - time.monotonic()))
                if not 200 <= status < 300:
                    raise EnvironmentFault(f"reset: {hook} answered {status or 'nothing'}")
            else:
                await _ran(hook, command, end)
        await self._answering(end)

    async def _answering(self, end: float) -> None:
        for url in self._urls:
            while not 200 <= (status := await asyncio.to_thread(answer, url, "GET", _ANSWER_S)) < 500:
                if time.monotonic() + _POLL_S > end:
                    raise EnvironmentFault(
                        f"{url} answers {status or 'nothing'}, {self._seconds:g} s after its reset began",
                        "look at the site, or give it more reset_seconds",
                    )
                await asyncio.sleep(_POLL_S)


async def _ran(hook: str, command: list[str], end: float) -> None:
    """Run it to its end. What it leaves running, it leaves running: sites, maybe."""
    with tempfile.TemporaryFile() as told:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=told, stderr=told, start_new_session=True
            )
        except OSError as error:
            raise EnvironmentFault(f"reset: {hook}: {error}") from error
        try:
            async with asyncio.timeout(end - time.monotonic()):
                await process.wait()
        except TimeoutError as error:
            raise EnvironmentFault(f"reset: {hook} did not end in time", "give it more reset_seconds") from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            told.seek(0)
            said = " ".join(told.read().decode(errors="replace").split())[-TOLD:]
            raise EnvironmentFault(f"reset: {hook} ended with {process.returncode}: {said or 'it said nothing'}")


def answer(url: str, method: str, seconds: float) -> int:
    """The status that an address answers with; 0 for none."""
    try:
        with opened(urllib.request.Request(url, method=method), seconds) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError):
        return 0


def opened(request: urllib.request.Request, seconds: float) -> Any:
    """An answer. What is on this machine is asked without a proxy. Raises `OSError`."""
    host = urlsplit(request.full_url).hostname or ""
    here = host in ("localhost", "::1") or host.startswith("127.")
    proxies = [urllib.request.ProxyHandler({})] if here else []
    return urllib.request.build_opener(*proxies).open(request, timeout=seconds)
