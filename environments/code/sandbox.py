"""Runs Python that nobody vouches for: bubblewrap namespaces, no network, an empty read-only root, hard limits.

Where bubblewrap or user namespaces are missing, nothing is run at all. The wall is the kernel's: it keeps out code that
is wrong or greedy and ordinary malice, not an exploit of the kernel itself.
"""

import asyncio
import contextlib
import functools
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

from wisen.core.errors import EnvironmentFault
from wisen.core.records import Record

PYTHON = "/usr/bin/python3"
MIB = 1 << 20
_UIDS = range(61000, 61064)  # unused by Debian, systemd and their kin
_WATCH_SECONDS = 0.1
_SIGXCPU_EXIT, _SIGKILL_EXIT = 128 + 24, 128 + 9
_INSTALL = "install bubblewrap 0.8 or newer and python3, on Debian and Ubuntu: apt-get install bubblewrap python3"
_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Limits(Record):
    """What one run may use. `memory_mb` holds for each process and, where the kernel lists children, for their sum
    (watched ten times a second); `cpu_s` for each process; `disk_mb` for each of /box and /tmp, which are in memory."""

    wall_s: float = 10.0
    cpu_s: int = 5
    memory_mb: int = 512
    processes: int = 32
    file_mb: int = 16
    disk_mb: int = 64
    open_files: int = 64
    output_bytes: int = 16_384  # kept of each of stdout and stderr
    flood_bytes: int = 8 * MIB  # past this much output the run is killed


class SandboxLevel(Record):
    """What stands between untrusted code and this machine. With `none` no code is run; `hint` says what would help."""

    level: Literal["namespaces", "none"]
    detail: str
    hint: str = ""


class SandboxResult(Record):
    """How a run went. `killed_by` names the limit that ended it ("" if none did). It is for messages and not proof:
    code can print MemoryError itself. `exit_code` is 128 + n after signal n."""

    stdout: str
    stderr: str
    exit_code: int
    timed_out: bool = False
    killed_by: Literal["", "time", "cpu", "memory", "output"] = ""


def command(limits: Limits, *, uid: int | None, status_fd: int | None = None) -> list[str]:
    """The argument list that runs PYTHON on its stdin inside the sandbox. With `uid` (needs root) it first becomes that
    user, because the limit on processes does not bind uid 0."""
    become = [
        _tool("setpriv"), "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--inh-caps=-all",
        "--no-new-privs", "--",
    ]  # fmt: skip
    disk = str(limits.disk_mb * MIB)
    jail = [
        _tool("bwrap"), "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
        "--hostname", "sandbox", "--clearenv", "--setenv", "PATH", "/usr/bin", "--setenv", "HOME", "/box",
        "--setenv", "LANG", "C.UTF-8", *_system_folders(), "--proc", "/proc", "--dev", "/dev",
        # bwrap's /dev is a tmpfs without a size, and /dev/shm is a folder in it: give one a size, close the other
        "--size", str(MIB), "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev",
        "--size", disk, "--tmpfs", "/tmp", "--size", disk, "--tmpfs", "/box", "--remount-ro", "/", "--chdir", "/box",
    ]  # fmt: skip
    if status_fd is not None:
        jail += ["--json-status-fd", str(status_fd)]
    # Set inside: kernels since 5.14 count processes per user namespace, so the user's own programs do not count.
    limit = [
        "/usr/bin/prlimit", f"--as={limits.memory_mb * MIB}", f"--cpu={limits.cpu_s}:{limits.cpu_s + 1}",
        f"--nproc={limits.processes}", f"--fsize={limits.file_mb * MIB}", f"--nofile={limits.open_files}", "--core=0",
    ]  # fmt: skip
    return [*(become if uid is not None else ()), *jail, "--", *limit, PYTHON, "-I", "-u", "-"]


@functools.cache
def sandbox_level() -> SandboxLevel:
    """Tries the sandbox once per process and says what is in force. Blocks for some 50 ms the first time."""
    if not sys.platform.startswith("linux"):
        return SandboxLevel(
            level="none",
            detail=f"bubblewrap needs Linux, this is {sys.platform}",
            hint="run code suites on Linux or in a Linux container that allows user namespaces",
        )
    if not Path(PYTHON).exists():
        return SandboxLevel(level="none", detail=f"{PYTHON} does not exist", hint=_INSTALL)
    try:
        argv = command(Limits(), uid=_UIDS[0] if os.geteuid() == 0 else None)
        run = subprocess.run(
            argv, input=b"print('inside')", capture_output=True, timeout=10, env=_ENV, cwd="/", check=False
        )
    except EnvironmentFault as fault:
        return SandboxLevel(level="none", detail=fault.problem, hint=_INSTALL)
    except (OSError, subprocess.TimeoutExpired) as error:
        return SandboxLevel(level="none", detail=f"bubblewrap did not answer: {error}", hint=_INSTALL)
    if run.returncode != 0 or run.stdout.strip() != b"inside":
        said = run.stderr.decode(errors="replace").strip() or f"exit code {run.returncode}"
        return SandboxLevel(
            level="none",
            detail=f"bubblewrap could not start a sandbox: {said}",
            hint="needs bubblewrap 0.8, Linux 5.14 and unprivileged user namespaces; Docker: "
            "--security-opt seccomp=unconfined; Ubuntu 24.04: an AppArmor profile that lets bwrap use userns",
        )
    total = "and in total" if _children_file(os.getpid()).exists() else "but not in total (kernel lists no children)"
    return SandboxLevel(level="namespaces", detail=f"bubblewrap, no network, memory limited per process {total}")


def require_sandbox() -> None:
    """Raises `EnvironmentFault` where code cannot be run safely."""
    found = sandbox_level()
    if found.level == "none":
        raise EnvironmentFault(f"model-written code cannot be run safely here: {found.detail}", found.hint)


class Sandbox:
    """Runs programs, any number at a time. Each gets a fresh, empty /box and nothing of an earlier run."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._turns = itertools.count(os.getpid())  # spreads the uids of several of our processes

    async def run(self, source: str, *, limits: Limits | None = None) -> SandboxResult:
        """Run a Python program to its end or to a limit. Raises `EnvironmentFault` when the sandbox cannot be had or
        did not start; what the program itself does wrong is in the result."""
        limits = limits or self._limits
        await asyncio.to_thread(require_sandbox)
        uid = _UIDS[next(self._turns) % len(_UIDS)] if os.geteuid() == 0 else None
        status_read, status_write = os.pipe()
        try:
            async with _process(command(limits, uid=uid, status_fd=status_write), status_write) as process:
                os.close(status_write)
                status_write = -1
                result = await _attend(process, source.encode(errors="replace"), limits)
            status = _drain(status_read)
        finally:
            os.close(status_read)
            if status_write >= 0:
                os.close(status_write)
        # bwrap reports an exit code only for a command that was started, and the command cannot reach that pipe
        if '"exit-code"' not in status and not result.killed_by:
            raise EnvironmentFault(f"the sandbox did not start: {result.stderr.strip() or result.exit_code}")
        return result


@contextlib.asynccontextmanager
async def _process(argv: list[str], keep_fd: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The started process; on the way out, also by cancellation, it and all below it are dead and reaped."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=_ENV, cwd="/", pass_fds=(keep_fd,), start_new_session=True
    )
    try:
        yield process
    finally:
        _kill(process)
        await process.wait()


async def _attend(process: asyncio.subprocess.Process, source: bytes, limits: Limits) -> SandboxResult:
    """Feed the program, read what it writes, and end it at a limit."""
    assert process.stdin and process.stdout and process.stderr
    started = time.monotonic()
    flooded = asyncio.Event()
    out, err = _Output(limits, flooded), _Output(limits, flooded)
    end = asyncio.ensure_future(
        asyncio.gather(process.wait(), _feed(process.stdin, source), out.read(process.stdout), err.read(process.stderr))
    )
    memory = asyncio.ensure_future(_over_memory(process.pid, limits.memory_mb * MIB))
    output = asyncio.ensure_future(flooded.wait())
    watched: tuple[asyncio.Future[Any], ...] = (end, memory, output)
    killed_by: Literal["", "time", "cpu", "memory", "output"] = ""
    try:
        done, _ = await asyncio.wait(watched, timeout=limits.wall_s, return_when=asyncio.FIRST_COMPLETED)
        if end not in done:
            killed_by = "time" if not done else "memory" if memory in done else "output"
            _kill(process)
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


def _system_folders() -> list[str]:
    """Programs and libraries of the system, read-only, without /usr/local and /usr/share."""
    binds: list[str] = []
    for name in ("bin", "lib", "lib64"):
        if Path("/usr", name).exists():
            binds += ["--ro-bind", f"/usr/{name}", f"/usr/{name}"]
        top = Path("/", name)
        if top.is_symlink():
            binds += ["--symlink", str(top.readlink()), str(top)]
        elif top.exists():
            binds += ["--ro-bind", str(top), str(top)]
    return binds


def _tool(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=_ENV["PATH"])
    if path is None:
        raise EnvironmentFault(f"{name} is not installed", _INSTALL)
    return path


def _children_file(pid: int) -> Path:
    return Path(f"/proc/{pid}/task/{pid}/children")


def _drain(fd: int) -> str:
    """What bwrap reported, one JSON document per line; all writers are gone by now."""
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(fd, 65_536).decode(errors="replace")
    return ""


def _kill(process: asyncio.subprocess.Process) -> None:
    # bwrap leads the group; what it runs is a session of its own and dies with it (--die-with-parent)
    if process.returncode is None:  # once reaped, the number may be another process's
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
