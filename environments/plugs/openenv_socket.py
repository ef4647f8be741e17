"""One session on an OpenEnv server: a WebSocket on which every request has one reply."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wisen.core.errors import EnvironmentFault
from wisen.core.records import JSON
from wisen.environments.plugs import openenv_wire as wire

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

MAX_MESSAGE = 64 * 2**20  # bytes
_PATIENCE_WHEN_FULL = (0.1, 0.3, 1.0)  # seconds: a session that another client just left may still be counted


class Refused(Exception):
    """The server's error to a request, while the session goes on."""


class Session:
    """Connects when the first request is made, and again after a connection was lost: whoever asks begins anew."""

    def __init__(self, url: str, *, seconds: float, headers: dict[str, str]) -> None:
        self._url, self._seconds, self._headers = url, seconds, headers
        self._socket: ClientConnection | None = None

    async def ask(self, kind: str, data: JSON | None = None) -> JSON:
        """The reply. Raises `Refused`, and `EnvironmentFault` when the session is no more."""
        from websockets.exceptions import ConnectionClosed

        message = {"type": kind} if data is None else {"type": kind, "data": data}
        for wait in (*_PATIENCE_WHEN_FULL, None):
            answered = False
            try:
                async with asyncio.timeout(self._seconds):
                    reply = await self._exchange(wire.dumped(message))
                answered = True
            except TimeoutError:
                raise EnvironmentFault(
                    f"{self._url} did not answer within {self._seconds:g} s", "suite_options.seconds allows it more"
                ) from None
            except ConnectionClosed as error:
                raise EnvironmentFault(f"{self._url} closed the session: {_why(error)}") from error
            except OSError as error:
                raise EnvironmentFault(f"{self._url} cannot be reached: {error}", "is the server running?") from error
            except wire.Wrong as wrong:
                raise EnvironmentFault(f"{self._url} does not speak OpenEnv: {wrong}") from wrong
            finally:
                if not answered:  # a reply that comes later must not be taken for the next one
                    self.drop()
            if reply.get("type") != "error":
                return reply
            error_data = reply.get("data")
            code, told = _error(error_data)
            if code == wire.CAPACITY_REACHED and wait is not None:
                self.drop()
                await asyncio.sleep(wait)
                continue
            if code in (wire.CAPACITY_REACHED, wire.FACTORY_ERROR, wire.SESSION_ERROR):
                self.drop()
                hint = "fewer workers, or a server that allows more" if code == wire.CAPACITY_REACHED else ""
                raise EnvironmentFault(f"{self._url}: {told}", hint)
            if isinstance(error_data, dict) and error_data.get(wire.BROKEN):
                raise EnvironmentFault(f"{self._url}: {told}")
            raise Refused(told)
        raise AssertionError("the last attempt returns or raises")

    async def _exchange(self, message: str) -> JSON:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

        if self._socket is None:
            try:
                self._socket = await connect(
                    self._url,
                    max_size=MAX_MESSAGE,
                    compression=None,  # it costs more than it saves on messages of this size
                    ping_timeout=max(20.0, self._seconds),
                    open_timeout=None,  # `ask` has a limit for all of it
                    proxy=None if is_here(self._url) else True,
                    additional_headers=self._headers,
                )
            except (InvalidHandshake, InvalidURI) as error:
                raise OSError(str(error)) from error
        with suppress(ConnectionClosed):  # a server that is full says so and hangs up: there may be something to read
            await self._socket.send(message)
        return wire.loaded(await self._socket.recv())

    def drop(self) -> None:
        """Hang up without a word."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.transport.abort()

    async def close(self) -> None:
        """Say goodbye, if anybody listens."""
        socket, self._socket = self._socket, None
        if socket is None:
            return
        with suppress(Exception):
            async with asyncio.timeout(2.0):
                await socket.send(wire.dumped({"type": "close"}))
                await socket.close()


def is_here(url: str) -> bool:
    """Whether the address is this machine's own."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _error(data: Any) -> tuple[str, str]:
    if not isinstance(data, dict):
        return "", "it reports an error without saying which"
    told = str(data.get("message") or "an error")[:500]
    found = data.get("errors")
    if isinstance(found, list) and found:  # pydantic's, of a message that does not fit the schema
        parts = [
            f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg', '')}"
            for one in found[:5]
            if isinstance(one, dict)
        ]
        told = f"{told}: {'; '.join(parts)}"
    return str(data.get("code") or ""), told


def _why(error: Any) -> str:
    return str(error)[:200] or "it said nothing"
