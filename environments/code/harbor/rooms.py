"""Where a Harbor task is played: under bubblewrap here, or in a container of Docker or Podman.

The tests come in only when the work is over, and what they report is read from a folder that the agent never had.
"""

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from wisen.core.errors import EnvironmentFault
from wisen.environments.code.harbor.folder import HarborTask
from wisen.environments.code.limits import MIB
from wisen.environments.code.sandbox import Box, Limits, Mount, Sandbox, SandboxResult

ENGINES = ("bubblewrap", "docker", "podman")
# The command comes on stdin, so that any text of any length can be one; what it runs finds stdin empty.
_SHELL = 'script=$(cat; echo x); exec </dev/null; eval "${script%x}"'
_REWARD = "cat /logs/verifier/reward.json 2>/dev/null || cat /logs/verifier/reward.txt"


class Room(Protocol):
    async def open(self) -> None: ...

    async def run(self, command: str, seconds: float) -> SandboxResult: ...

    async def verify(self) -> tuple[str, SandboxResult]:
        """What the tests wrote as reward ("" for nothing), and how they went."""
        ...

    async def close(self) -> None: ...


class BubblewrapRoom:
    """The work folder is kept from command to command, everything else is fresh each time. Programs are those of this
    machine; nothing can be installed, and there is no network."""

    def __init__(self, task: HarborTask, sandbox: Sandbox, *, disk_mb: int = 256) -> None:
        self._task, self._sandbox, self._disk_mb = task, sandbox, disk_mb
        self._boxes: list[Box] = []

    async def open(self) -> None:
        """Raises `EnvironmentFault` for a task whose Dockerfile does more than copy."""
        if beyond := self._task.dockerfile.beyond:
            raise EnvironmentFault(
                f"Harbor task {self._task.name} needs a container: {beyond}", "play it with engine = docker or podman"
            )
        await asyncio.to_thread(self._prepare)

    def _prepare(self) -> None:
        box = self._box()
        for source, place in self._task.dockerfile.copies:
            origin = self._task.path("environment", source).resolve()
            if not origin.is_relative_to(self._task.path("environment")) or not origin.exists():
                raise EnvironmentFault(f"Harbor task {self._task.name}: COPY {source}: not in its environment folder")
            target = Path(box.folder, PurePosixPath(place).relative_to(self._task.dockerfile.workdir))
            if origin.is_dir():
                skip = shutil.ignore_patterns("Dockerfile") if source.strip("./") == "" else None
                shutil.copytree(origin, target, dirs_exist_ok=True, ignore=skip)
            else:
                target = target / origin.name if place.endswith("/") else target
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(origin, target)
        box.own()

    async def run(self, command: str, seconds: float) -> SandboxResult:
        return await self._shell(command, seconds)

    async def verify(self) -> tuple[str, SandboxResult]:
        tests, logs = await asyncio.to_thread(self._bring_tests)
        mounts = (
            Mount(source=tests.folder, target="/tests"),
            Mount(source=logs.folder, target="/logs", writable=True),
        )
        result = await self._shell("bash /tests/test.sh", self._task.verifier_s, mounts)
        # read from inside: the tests ran the agent's work, which may have left a link to anywhere
        kept = (Mount(source=logs.folder, target="/logs"),)
        reward = await self._shell(_REWARD, 10.0, kept)
        return (reward.stdout if reward.exit_code == 0 else ""), result

    def _bring_tests(self) -> tuple[Box, Box]:
        tests, logs = self._box(), self._box()
        shutil.copytree(self._task.path("tests"), tests.folder, dirs_exist_ok=True)
        Path(logs.folder, "verifier").mkdir()
        tests.own()
        logs.own()
        return tests, logs

    async def close(self) -> None:
        boxes, self._boxes = self._boxes, []
        for box in boxes:
            await asyncio.to_thread(box.remove)

    def _box(self) -> Box:
        box = Box(self._boxes[0].uid if self._boxes else None)
        self._boxes.append(box)
        return box

    async def _shell(self, command: str, seconds: float, mounts: Sequence[Mount] = ()) -> SandboxResult:
        limits = Limits(
            wall_s=seconds, cpu_s=max(1, int(seconds)), memory_mb=self._task.memory_mb, processes=64, file_mb=64,
            disk_mb=self._disk_mb, open_files=256, output_bytes=16_384,
        )  # fmt: skip
        return await self._sandbox.execute(
            ("/usr/bin/bash", "-c", _SHELL),
            command.encode(errors="replace"),
            limits=limits,
            box=self._boxes[0],
            box_at=self._task.dockerfile.workdir,
            mounts=mounts,
            env=self._task.dockerfile.env,
        )


class ContainerRoom:
    """The same by the command line of Docker or Podman."""

    def __init__(self, task: HarborTask, engine: str) -> None:
        self._task, self._engine = task, engine
        self._image = f"wisen-harbor-{task.name.lower()}:{task.digest}"
        self._name = f"wisen-{task.digest}-{secrets.token_hex(6)}"

    def build(self) -> list[str]:
        return [self._engine, "build", "--tag", self._image, str(self._task.path("environment"))]

    def start(self) -> list[str]:
        return [
            self._engine, "run", "--detach", "--rm", "--init", "--name", self._name,
            *([] if self._task.internet else ["--network", "none"]),
            "--memory", f"{self._task.memory_mb}m", "--cpus", f"{self._task.cpus:g}", "--pids-limit", "256",
            "--security-opt", "no-new-privileges", "--entrypoint", "sleep", self._image, "infinity",
        ]  # fmt: skip

    def shell(self, script: str) -> list[str]:
        return [self._engine, "exec", "--interactive", self._name, "bash", "-c", script]

    def copy_tests(self) -> list[str]:
        return [self._engine, "cp", f"{self._task.path('tests')}/.", f"{self._name}:/tests"]

    def remove(self) -> list[str]:
        return [self._engine, "rm", "--force", self._name]

    async def open(self) -> None:
        """Build and start. Raises `EnvironmentFault`."""
        for argv in (self.build(), self.start()):
            done = await self._call(argv, b"", 1800.0)
            if done.exit_code:
                raise EnvironmentFault(f"{' '.join(argv[:2])} failed: {done.stderr.strip()[-500:]}")

    async def run(self, command: str, seconds: float) -> SandboxResult:
        result = await self._call(self.shell(_SHELL), command.encode(errors="replace"), seconds)
        if result.timed_out:  # ending the client leaves the command running
            await self._call([self._engine, "exec", self._name, "bash", "-c", "kill -9 -1"], b"", 10.0)
        return result

    async def verify(self) -> tuple[str, SandboxResult]:
        # the agent may have made this folder, with a reward of its own choice in it
        for argv in (self.shell("rm -rf /tests /logs/verifier && mkdir -p /tests /logs/verifier"), self.copy_tests()):
            await self._call(argv, b"", 60.0)
        result = await self.run("bash /tests/test.sh", self._task.verifier_s)
        reward = await self.run(_REWARD, 10.0)
        return (reward.stdout if reward.exit_code == 0 else ""), result

    async def close(self) -> None:
        with contextlib.suppress(EnvironmentFault):
            await self._call(self.remove(), b"", 60.0)

    async def _call(self, argv: list[str], stdin: bytes, seconds: float) -> SandboxResult:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise EnvironmentFault(f"{self._engine} does not start: {error}", f"install {self._engine}") from error
        try:
            out, err = await asyncio.wait_for(process.communicate(stdin), seconds)
        except TimeoutError:
            return SandboxResult(stdout="", stderr="", exit_code=124, timed_out=True, killed_by="time")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        texts = [stream[-MIB:].decode(errors="replace")[-16_384:] for stream in (out, err)]
        return SandboxResult(stdout=texts[0], stderr=texts[1], exit_code=process.returncode or 0)
