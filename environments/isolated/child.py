"""Our side of an environment's process: starts it, asks it, ends it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from typing import IO

from wisen.core.errors import EnvironmentFault, WisenError
from wisen.environments.isolated.wire import LIMIT, Call, Reply, Request, Setup, line_of, raised, record_of

END_SECONDS = 4.0  # for a process to put its things away: a little more than the grace it gives itself
LAST_WORDS = 2_000  # bytes


class Process:
    """A started process and the socket to it. What it and its libraries print goes to an unnamed file."""

    def __init__(self, python: str) -> None:
        """Raises `EnvironmentFault` where `python` cannot be run."""
        self.socket, theirs = socket.socketpair()
        self._printed: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        self._over = False
        command = [python, "-P", "-m", "wisen.environments.isolated.server", str(theirs.fileno())]
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._printed,
                stderr=self._printed,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONHASHSEED": "0"},  # sets of words come in the same order in each
                start_new_session=True,  # its group can be killed whole, and Ctrl-C is ours alone
            )
        except OSError as error:
            self.socket.close()
            self._printed.close()
            raise EnvironmentFault(f"{python} cannot be started: {error}") from error
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._popen.pid

    def kill(self) -> None:
        """The process, and what it started and left in its group. May be called again."""
        if self._over:
            return
        self._over = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        self._printed.close()

    def wait(self, seconds: float) -> None:
        """Until it ends by itself; then, or when it has not by then, kill it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)
        self.kill()

    def fate(self) -> str:
        """How it ended, with the last line that it printed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(1.0)  # the socket closes a little before the process ends
        code = self._popen.returncode
        ended = "is running" if code is None else f"ended with {f'signal {-code}' if code < 0 else f'code {code}'}"
        self._printed.seek(max(0, self._printed.seek(0, os.SEEK_END) - LAST_WORDS))
        lines = self._printed.read().decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"it {ended}; its last words: {said[:300]}" if said else f"it {ended} without a word"


def setup_of(target: str, options: dict, python: str) -> Setup:
    """Our own interpreter gets our import path too, so that what can be imported here can be there."""
    return Setup(target=target, options=options, path=tuple(sys.path) if python == sys.executable else ())


class Child:
    """One process with one environment. After a timeout, a cancelled call or its death it is `broken`, and gone."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self.broken = False
        self.snapshots = False  # whether its environment offers them

    @classmethod
    async def start(cls, setup: Setup, python: str, seconds: float) -> "Child":
        """Raises what the suite raised while it started, or `EnvironmentFault` when it took longer than `seconds`."""
        process = Process(python)
        child = cls(process, *await asyncio.open_unix_connection(sock=process.socket, limit=LIMIT + 1))
        child.snapshots = (await child._exchange(setup, seconds, "start")).snapshots
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, request: Request, seconds: float) -> Reply:
        """Raises what the environment raised; `EnvironmentFault` when it does not answer in time, or is dead."""
        return await self._exchange(request, seconds, request.call)

    async def close(self) -> None:
        """Ask it to put its things away, then see that it is gone. Never raises, may be called again."""
        if not self.broken:
            with contextlib.suppress(WisenError):
                await self.ask(Request(call=Call.CLOSE), END_SECONDS)
        if not self.broken:
            self.broken = True
            self._writer.transport.abort()
            await asyncio.to_thread(self._process.wait, END_SECONDS)

    def kill(self) -> None:
        self.broken = True
        self._writer.transport.abort()
        self._process.kill()

    async def _exchange(self, record: Setup | Request, seconds: float, what: str) -> Reply:
        if self.broken:
            raise EnvironmentFault("the environment's process is gone", "reset starts another")
        line = line_of(record)
        try:
            reply = await self._answer(line, seconds, what)
        except BaseException:  # also a cancellation: its answer would be taken for the next one's
            self.kill()
            raise
        if reply.fault is not None:
            if isinstance(record, Setup):
                self.kill()
            raise raised(reply.fault)
        return reply

    async def _answer(self, line: bytes, seconds: float, what: str) -> Reply:
        try:
            async with asyncio.timeout(seconds):
                self._writer.write(line)
                await self._writer.drain()
                answer = await self._reader.readline()
            if not answer.endswith(b"\n"):
                raise ConnectionResetError("it closed its end")
            return record_of(Reply, answer)
        except TimeoutError:
            raise EnvironmentFault(f"the environment's process did not {what} within {seconds:g} s") from None
        except (OSError, ValueError) as error:
            fate = await asyncio.to_thread(self._process.fate)
            raise EnvironmentFault(f"the environment's process broke in the middle of a {what}", fate) from error


class Line:
    """The same, for code that is not asynchronous: an oracle's."""

    def __init__(self, setup: Setup, python: str, seconds: float) -> None:
        self._process = Process(python)
        self._process.socket.settimeout(seconds)
        self._file = self._process.socket.makefile("rwb")
        try:
            self._ask(setup)
        except BaseException:
            self._process.kill()
            raise

    def ask(self, request: Request) -> Reply:
        return self._ask(request)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what its buffer held for a process that is gone
            self._file.close()
        self._process.socket.close()
        self._process.wait(END_SECONDS)

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self._process.socket.close()  # at which the process ends by itself

    def _ask(self, record: Setup | Request) -> Reply:
        try:
            self._file.write(line_of(record))
            self._file.flush()
            answer = self._file.readline()
            if not answer:
                raise ConnectionResetError("it closed its end")
        except OSError as error:
            fate = self._process.fate()
            self._process.kill()
            raise EnvironmentFault("the oracle's process broke", fate) from error
        reply = record_of(Reply, answer)
        if reply.fault is not None:
            raise raised(reply.fault)
        return reply
