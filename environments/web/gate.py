"""A proxy on loopback that lets a browser context reach some origins and no others.

A browser's own hooks see the first request of a chain and not where it is redirected to, nor sockets, nor what runs in
the background. All of a context's traffic passes through here, whatever asked for it.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Collection, Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from wisen.core.errors import SettingsError

log = logging.getLogger(__name__)
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
MOST_HEAD = 64 * 1024  # bytes of a request's head
BLOCKED = "This address is outside of what the task allows."
_REPLY = "HTTP/1.1 {} \r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}"


def origin(url: str) -> str:
    """Scheme, host and port of an address, as `http://127.0.0.1:8000`; the port is left out where it is the usual one.
    Raises `SettingsError` for what is no address of the web."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{url[:200]!r} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{url[:200]!r} is no address of the web", "write it as http://host:port/path")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != DEFAULT_PORTS[parts.scheme] else "")


def allows(allowed: Collection[str], asked: str) -> bool:
    """Whether an origin is one of those allowed. `https://*.example.org` stands for every host below that name, and
    `https://*` for every host, at the usual port unless one is named."""
    if asked in allowed:
        return True
    patterns = [one.split("*", 1) for one in allowed if "://*" in one]
    return any(
        asked.startswith(scheme) and asked.endswith(end) and bool(end or urlsplit(asked).port is None)
        for scheme, end in patterns
    )


class Gate:
    """One for each browser context. `blocked`: hosts that were asked for and refused, in order.

    A host that is allowed by a pattern is reached at public addresses only: what stands behind this machine's network
    must be named.
    """

    def __init__(self) -> None:
        self.blocked: list[str] = []
        self._allowed: frozenset[tuple[str, int]] = frozenset()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("the gate has not been opened")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def allow(self, origins: Iterable[str]) -> None:
        """What may be reached from now on, and nothing else; what was blocked before is forgotten."""
        self.blocked = []
        self._allowed = frozenset(_address(urlsplit(one).netloc, urlsplit(one).scheme) for one in origins)

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=MOST_HEAD)

    async def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._pass(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            log.debug("a connection ended: %s", error)
        finally:
            self._open.discard(task)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *headers = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, version = first.split(" ", 2)
        tunnel = method == "CONNECT"
        parts = urlsplit(f"//{target}" if tunnel else target)
        scheme = "https" if tunnel else parts.scheme
        host, port = _address(parts.netloc, scheme)
        try:
            address = await self._address_of(host, port)
            if not address:
                if parts.netloc not in self.blocked:
                    self.blocked.append(parts.netloc[:200])
                writer.write(_REPLY.format("403 Forbidden", len(BLOCKED), BLOCKED).encode())
                await writer.drain()
                return
            beyond, to = await asyncio.open_connection(address, port)
        except OSError as error:
            told = f"The server cannot be reached: {error.strerror or type(error).__name__}."
            writer.write(_REPLY.format("502 Bad Gateway", len(told.encode()), told).encode())
            await writer.drain()
            return
        try:
            if tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = parts._replace(scheme="", netloc="").geturl() or "/"
                # One request a connection, unless it becomes a socket: what follows would pass without being looked at.
                kept = [line for line in headers if not line.lower().startswith("proxy-")]
                if not any(line.lower().startswith("upgrade:") for line in kept):
                    kept = [line for line in kept if not line.lower().startswith("connection:")] + ["Connection: close"]
                to.write("\r\n".join([f"{method} {path} {version}", *kept, "", ""]).encode("latin-1"))
            await asyncio.gather(_pour(reader, to), _pour(beyond, writer))
        finally:
            to.close()

    async def _address_of(self, host: str, port: int) -> str:
        """Where to connect; empty for what is not allowed."""
        if (host, port) in self._allowed:
            return host
        if any(number == port and name[:1] == "*" and host.endswith(name[1:]) for name, number in self._allowed):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(one[4][0]) for one in found]
            return addresses[0] if addresses and all(map(public, addresses)) else ""
        return ""


def public(address: str) -> bool:
    """Whether an IP address is one of the internet, and not of this machine or its network."""
    return ipaddress.ip_address(address.partition("%")[0]).is_global


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(64 * 1024):
        sink.write(data)
        await sink.drain()
    with suppress(OSError):
        if sink.can_write_eof():
            sink.write_eof()


def _address(netloc: str, scheme: str) -> tuple[str, int]:
    parts = urlsplit(f"//{netloc}")
    return (parts.hostname or "", parts.port or DEFAULT_PORTS.get(scheme, 0))
