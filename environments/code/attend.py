"""Watches a sandboxed program: feeds it, reads what it writes, and ends it when it takes too much."""

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wisen.environments.code.limits import MIB, MOST_FILES, KilledBy, Limits, SandboxResult

_WATCH_SECONDS = 0.1
_SIGXCPU_EXIT, _SIGKILL_EXIT = 128 + 24, 128 + 9


async def attend(
    process: asyncio.subprocess.Process,
    source: bytes,
    limits: Limits,
    *,
    folders: Sequence[str],
    stop: Callable[[asyncio.subprocess.Process], None],
) -> SandboxResult:
    """Feed the program, read what it writes, and `stop` it at a limit. The size of `folders` is watched."""
    assert process.stdin and process.stdout and process.stderr
    started = time.monotonic()
    flooded = asyncio.Event()
    out, err = _Output(limits, flooded), _Output(limits, flooded)
    end = asyncio.ensure_future(
        asyncio.gather(process.wait(), _feed(process.stdin, source), out.read(process.stdout), err.read(process.stderr))
    )
    memory = asyncio.ensure_future(_over_memory(process.pid, limits.memory_mb * MIB))
    output = asyncio.ensure_future(flooded.wait())
    disk = asyncio.ensure_future(_over_disk(folders, limits.disk_mb * MIB))
    watched: tuple[asyncio.Future[Any], ...] = (end, memory, output, disk)
    killed_by: KilledBy = ""
    try:
        done, _ = await asyncio.wait(watched, timeout=limits.wall_s, return_when=asyncio.FIRST_COMPLETED)
        if end not in done:
            reasons: dict[asyncio.Future[Any], KilledBy] = {memory: "memory", output: "output", disk: "disk"}
            killed_by = next((reasons[one] for one in done if one in reasons), "time")
            stop(process)
        await end  # the pipes end with the last process of the sandbox
    finally:
        for task in watched:
            task.cancel()
    code = process.returncode if process.returncode is not None else -1
    code = code if code >= 0 else 128 - code
    stdout, stderr = out.text(), err.text()
    if not killed_by:
        if code in (_SIGXCPU_EXIT, _SIGKILL_EXIT) and time.monotonic() - started >= limits.cpu_s:
            killed_by = "cpu"
        elif code != 0 and stderr.rstrip().rpartition("\n")[2].startswith("MemoryError"):
            killed_by = "memory"
    return SandboxResult(
        stdout=stdout, stderr=stderr, exit_code=code, timed_out=killed_by == "time", killed_by=killed_by
    )


class _Output:
    """The first and the last bytes of a stream, each up to half the limit."""

    def __init__(self, limits: Limits, flooded: asyncio.Event) -> None:
        self._half, self._most, self._flooded = limits.output_bytes // 2, limits.flood_bytes, flooded
        self._head, self._tail, self._total = bytearray(), bytearray(), 0

    async def read(self, stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(65_536):
            self._total += len(chunk)
            room = self._half - len(self._head)
            self._head += chunk[:room]
            self._tail += chunk[room:]
            del self._tail[: -self._half]
            if self._total > self._most:
                self._flooded.set()

    def text(self) -> str:
        missing = self._total - len(self._head) - len(self._tail)
        if not missing:
            return (self._head + self._tail).decode(errors="replace")
        note = f"\n[... {missing} bytes left out ...]\n"
        return self._head.decode(errors="replace") + note + self._tail.decode(errors="replace")


async def _feed(stdin: asyncio.StreamWriter, source: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the sandbox did not start: reported elsewhere
        stdin.write(source)
        await stdin.drain()
        stdin.close()
        await stdin.wait_closed()


async def _over_memory(pid: int, limit: int) -> None:
    """Returns once the processes from `pid` down hold more than `limit` bytes together."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        if _resident_bytes(pid) > limit:
            return


async def _over_disk(folders: Sequence[str], limit: int) -> None:
    """Returns once one of the folders holds more than `limit` bytes, or far too many files."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        for folder in folders:
            if await asyncio.to_thread(_held_bytes, folder, limit) > limit:
                return


def _held_bytes(folder: str, enough: int) -> int:
    """Disk space of all in a folder, without following links; more than `enough` for what cannot be counted."""
    held, entries, waiting = 0, 0, [folder]
    while waiting and held <= enough:
        try:
            with os.scandir(waiting.pop()) as found:
                for entry in found:
                    entries += 1
                    if entries > MOST_FILES:
                        return enough + 1
                    # a file may go while it is looked at
                    with contextlib.suppress(FileNotFoundError):
                        held += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # so deep that it may hide anything
                return enough + 1
    return held


def _resident_bytes(pid: int) -> int:
    """Memory held by a process and all below it; pages that they share count for each."""
    pages, waiting = 0, [pid]
    while waiting:
        folder = Path("/proc", str(waiting.pop()))
        # a process, or one of its threads, may end while it is looked at
        with contextlib.suppress(OSError, IndexError):
            pages += int((folder / "statm").read_text().split()[1])
            for thread in (folder / "task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
    return pages * os.sysconf("SC_PAGESIZE")
