"""The servers of one episode: started together, held open until the episode ends, and gone afterwards."""

import asyncio
import contextlib
import importlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import ToolSpec

_GUARD = Path(__file__).with_name("mcp_guard.py")
_GRACE_S = 5.0  # beyond a server's own time limit
_MOST_CHARACTERS = 8_000


@dataclass(frozen=True)
class Server:
    """One MCP server, given in exactly one way:

    command: a program that speaks MCP on stdin and stdout; `{folder}` in it becomes the episode's folder, and a leading
    `python` this interpreter. url: an endpoint of streamable HTTP. server: an object of the SDK, a function from the
    folder to one, or `module:function` by name; it runs in this process.

    call_s, start_s: seconds that one call and the start may take. env: more environment variables for the command,
    which otherwise gets only the harmless ones. stateless: all that it knows lies in the folder, so that a copy of the
    folder is a copy of the episode.
    """

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    server: Any = None
    call_s: float = 30.0
    start_s: float = 30.0
    env: Mapping[str, str] = field(default_factory=dict)
    stateless: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,30}", self.name):
            raise SettingsError(f"{self.name!r} is no name for a server", "use letters, digits and - or _")
        if sum(map(bool, (self.command, self.url, self.server is not None))) != 1:
            raise SettingsError(f"server {self.name}: give a command, a url or a server, and only one of them")


@dataclass(frozen=True)
class ToolReply:
    """What a tool said. error: the server calls it one."""

    text: str
    error: bool = False


class Session:
    """Connections to servers, and their tools under one set of names: plain with one server, `server__tool` with
    several (or where a plain name is one of `taken`)."""

    def __init__(self, servers: Sequence[Server], folder: Path, log: Path, *, taken: frozenset[str]) -> None:
        self._servers, self._folder, self._log, self._taken = servers, folder, log, taken
        self.tools: tuple[ToolSpec, ...] = ()
        self.instructions: tuple[str, ...] = ()
        self._routes: dict[str, tuple[Server, Any, str]] = {}
        self._stop = asyncio.Event()
        self._holder: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start all servers. Raises `EnvironmentFault` if one does not come up; then none is left behind."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # The SDK's connections belong to the task that opened them, and an episode's steps come from several.
        self._holder = asyncio.create_task(self._hold(ready), name="mcp-session")
        try:
            await asyncio.wait((ready, self._holder), return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._holder.cancel()  # it is still waiting for a server to come up
            await asyncio.wait((self._holder,))
            raise
        if not ready.done():
            await self._holder  # raises what went wrong

    async def call(self, name: str, arguments: Mapping[str, Any]) -> ToolReply:
        """Call a tool. Raises `EnvironmentFault` where the server is gone or broke the protocol; a tool that takes too
        long, or a request that the server rejects, is a reply that says so."""
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT

        server, client, plain = self._routes[name]
        try:
            async with asyncio.timeout(server.call_s + _GRACE_S):
                result = await client.call_tool(plain, dict(arguments), read_timeout_seconds=server.call_s)
        except MCPError as error:
            if error.code == REQUEST_TIMEOUT:
                return ToolReply(f"{name} did not answer within {server.call_s:g} s.", error=True)
            if error.code == CONNECTION_CLOSED or self._ended():
                raise EnvironmentFault(f"the MCP server {server.name} is gone", self._said()) from error
            return ToolReply(f"{name} was rejected: {str(error)[:500]}", error=True)
        except TimeoutError as error:
            raise EnvironmentFault(f"the MCP server {server.name} does not answer", self._said()) from error
        except Exception as error:
            raise EnvironmentFault(f"the MCP server {server.name} broke: {_first(error)}", self._said()) from error
        return ToolReply(_shown(result), bool(result.is_error))

    async def close(self) -> None:
        """End the servers. What goes wrong while they end changes nothing any more."""
        self._stop.set()
        if self._holder is not None and not self._holder.done():
            with contextlib.suppress(asyncio.TimeoutError):
                async with asyncio.timeout(15.0):
                    await asyncio.wait((self._holder,))
            if not self._holder.done():
                self._holder.cancel()
                await asyncio.wait((self._holder,))
        if self._holder is not None and not self._holder.cancelled():
            self._holder.exception()  # looked at, so that nothing is logged of it

    def _ended(self) -> bool:
        return self._holder is None or self._holder.done()

    async def _hold(self, ready: "asyncio.Future[None]") -> None:
        starting = ""
        try:
            with self._log.open("w") as log:
                async with AsyncExitStack() as stack:
                    found = []
                    for server in self._servers:
                        starting = server.name
                        async with asyncio.timeout(server.start_s):
                            client = await stack.enter_async_context(self._client(server, log))
                            found.append((server, client, await _listing(client)))
                    self._name(found)
                    starting = ""
                    ready.set_result(None)
                    await self._stop.wait()
        except Exception as error:
            if starting:
                reason = _first(error)
                raise EnvironmentFault(
                    f"the MCP server {starting} could not be started: {reason}", self._said()
                ) from error
            raise

    def _client(self, server: Server, log: Any) -> Any:
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client

        if server.url:
            return Client(server.url, cache=None)
        if server.server is not None:
            return Client(_built(server.server, self._folder), cache=None)
        command = [sys.executable, "-I", str(_GUARD), str(os.getpid())]
        command += [word.replace("{folder}", str(self._folder)) for word in _resolved(server.command)]
        wanted = StdioServerParameters(
            command=command[0],
            args=command[1:],
            env=dict(server.env),
            cwd=self._folder,
            encoding_error_handler="replace",
        )
        return Client(stdio_client(wanted, errlog=log), cache=None)

    def _name(self, found: Sequence[tuple[Server, Any, Sequence[Any]]]) -> None:
        plain = [tool.name for _, _, tools in found for tool in tools]
        spaced = len(found) > 1 or bool(self._taken.intersection(plain))
        specs = []
        for server, client, tools in found:
            for tool in tools:
                name = f"{server.name}__{tool.name}" if spaced else tool.name
                self._routes[name] = (server, client, tool.name)
                specs.append(ToolSpec(name=name, description=tool.description or "", parameters=tool.input_schema))
        self.tools = tuple(specs)
        self.instructions = tuple(client.instructions for _, client, _ in found if client.instructions)

    def _said(self) -> str:
        """The end of what the servers wrote to stderr, on one line."""
        with contextlib.suppress(OSError):
            lines = self._log.read_text(errors="replace").strip().splitlines()
            return lines[-1][:300] if lines else ""
        return ""


async def _listing(client: Any) -> list[Any]:
    tools, cursor = [], None
    for _ in range(20):  # pages; a server that never ends its list cannot hold us
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return tools


def _resolved(command: Sequence[str]) -> list[str]:
    return [sys.executable, *command[1:]] if command[0] == "python" else list(command)


def _built(server: Any, folder: Path) -> Any:
    if isinstance(server, str):
        module, _, name = server.partition(":")
        try:
            server = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise EnvironmentFault(f"the server {module}:{name} cannot be loaded: {error}") from error
    return server(folder) if callable(server) else server


def _shown(result: Any) -> str:
    """A result's content as text; what is not text is named with its size."""
    parts = []
    for block in result.content:
        if block.type == "text":
            parts.append(block.text)
        elif block.type in ("image", "audio"):
            parts.append(f"[{block.mime_type}, {len(block.data)} characters of base64]")
        else:
            resource = getattr(block, "resource", block)
            parts.append(getattr(resource, "text", "") or f"[resource {resource.uri}]")
    if not parts and result.structured_content is not None:
        parts.append(str(result.structured_content))
    text = "\n".join(parts).strip() or "(no output)"
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}\n[{len(text):,} characters in all]"


def _first(error: BaseException) -> str:
    """The reason inside groups of exceptions, in short."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, EnvironmentFault):
        return str(error)
    return f"{type(error).__name__}: {str(error)[:200]}" if str(error) else type(error).__name__
