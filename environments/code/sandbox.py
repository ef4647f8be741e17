"""Runs programs that nobody vouches for, behind the strongest wall that this machine offers, and else not at all.

Level 1 is bubblewrap: namespaces, no network, an empty read-only root, a filter for system calls. Level 2, where no
namespaces can be had, is another user, Landlock and the filter. Hard limits hold at both. The walls are the kernel's:
they keep out code that is wrong or greedy and ordinary malice, not an exploit of the kernel itself.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from wisen.core.errors import EnvironmentFault
from wisen.environments.code import jail
from wisen.environments.code.attend import attend
from wisen.environments.code.box import Box, next_uid
from wisen.environments.code.bubblewrap import ENV, PROGRAM, command
from wisen.environments.code.levels import SandboxLevel, checked_level, landlock_level, require_sandbox, sandbox_level
from wisen.environments.code.limits import Job, Limits, Mount, SandboxResult
from wisen.environments.code.seccomp import deny_list, supported

__all__ = [
    "Box",
    "Job",
    "Limits",
    "Mount",
    "Sandbox",
    "SandboxLevel",
    "SandboxResult",
    "require_sandbox",
    "sandbox_level",
]
_JAILER_SECONDS = 5.0  # to end all processes of its user, before it is killed itself


class Sandbox:
    """Runs programs, any number at a time. Each gets a fresh, empty box and nothing of an earlier run, unless a kept
    one is given. `least` is the weakest level to accept; `only` takes that level and no other."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        least: str = "landlock",
        only: Literal["", "namespaces", "landlock"] = "",
    ) -> None:
        self._limits = limits or Limits()
        self._least, self._only = checked_level(only or least), only

    def require(self) -> SandboxLevel:
        """The level that runs will have. Raises `EnvironmentFault` where none is good enough. Blocks the first time."""
        if self._only == "landlock":
            found = landlock_level()
            if found.level == "none":
                raise EnvironmentFault(found.detail, found.hint)
            return found
        return require_sandbox(self._least)

    async def run(
        self, source: str, *, limits: Limits | None = None, box: Box | None = None, read_only: bool = False
    ) -> SandboxResult:
        """Run a Python program to its end or to a limit. Raises `EnvironmentFault` when the sandbox cannot be had or
        did not start; what the program itself does wrong is in the result."""
        return await self.execute(PROGRAM, source.encode(errors="replace"), limits=limits, box=box, read_only=read_only)

    async def execute(
        self,
        program: Sequence[str],
        stdin: bytes = b"",
        *,
        limits: Limits | None = None,
        box: Box | None = None,
        read_only: bool = False,
        box_at: str = "/box",
        mounts: Sequence[Mount] = (),
        env: dict[str, str] | None = None,
    ) -> SandboxResult:
        """Run any program of the system, by its full path. `box` is kept between runs; `mounts` and
        another `box_at` need level 1. Raises
        `EnvironmentFault` as `run` does."""
        level = await asyncio.to_thread(self.require)
        job = Job(
            program=tuple(program), box=box.folder if box else "", box_at=box_at, read_only=read_only,
            mounts=tuple(mounts), env=env or {},
        )  # fmt: skip
        return await self._at(level, job, stdin, limits or self._limits, box)

    async def _at(self, level: SandboxLevel, job: Job, stdin: bytes, limits: Limits, box: Box | None) -> SandboxResult:
        watched = [folder for folder in (job.box, *(m.source for m in job.mounts if m.writable)) if folder]
        with contextlib.ExitStack() as open_:
            status_read, status_write = os.pipe()
            open_.callback(os.close, status_read)
            ours = open_.enter_context(contextlib.ExitStack())  # what only the program is to hold
            ours.callback(os.close, status_write)
            if level.level == "namespaces":
                filter_fd = _filter_file()
                if filter_fd is not None:
                    ours.callback(os.close, filter_fd)
                uid = box.uid if box else next_uid()
                argv = command(limits, uid=uid, status_fd=status_write, filter_fd=filter_fd, job=job)
                keep, stop, word = [status_write, filter_fd], _kill, '"exit-code"'
            else:
                if job.mounts or job.box_at != "/box":
                    raise EnvironmentFault("this needs sandbox level 1 (namespaces)", sandbox_level().hint)
                folder = job.box or jail.fresh_box()
                watched = watched or [folder]
                argv = jail.command(limits, job, box=folder, status_fd=status_write)
                keep, stop, word = [status_write], _ask_to_end, "started"
            async with _process(argv, [fd for fd in keep if fd is not None], stop) as process:
                ours.close()
                result = await attend(process, stdin, limits, folders=watched, stop=stop)
            status = _drain(status_read)
        # bwrap reports an exit code only for a command that was started, the jailer that it starts one now; the
        # program cannot reach that pipe
        if word not in status and not result.killed_by:
            raise EnvironmentFault(f"the sandbox did not start: {result.stderr.strip() or result.exit_code}")
        return result


def _filter_file() -> int | None:
    """The system call filter as an open file; None on machines whose call numbers are not known."""
    if not supported():
        return None
    made = os.memfd_create("filter", 0)
    os.write(made, deny_list(sockets=True))
    os.lseek(made, 0, os.SEEK_SET)
    return made


@contextlib.asynccontextmanager
async def _process(argv: list[str], keep: list[int], stop) -> AsyncIterator[asyncio.subprocess.Process]:  # type: ignore[no-untyped-def]
    """The started process; on the way out, also by cancellation, it and all below it are dead and reaped."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=ENV, cwd="/", pass_fds=keep, start_new_session=True
    )
    try:
        yield process
    finally:
        stop(process)
        try:
            await asyncio.wait_for(asyncio.shield(process.wait()), _JAILER_SECONDS)
        except TimeoutError:
            _kill(process)
            await process.wait()


def _drain(fd: int) -> str:
    """What was reported; all writers are gone by now."""
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(fd, 65_536).decode(errors="replace")
    return ""


def _kill(process: asyncio.subprocess.Process) -> None:
    # bwrap leads the group; what it runs is a session of its own and dies with it (--die-with-parent)
    if process.returncode is None:  # once reaped, the number may be another process's
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _ask_to_end(process: asyncio.subprocess.Process) -> None:
    # the jailer ends what it started, which is of another user and may have left its group
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
