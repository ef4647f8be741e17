"""The sandbox's walls, each tried from inside by a real program under real bubblewrap."""

import asyncio
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wisen.core.errors import EnvironmentFault
from wisen.environments.code import bubblewrap, jail
from wisen.environments.code import sandbox as room
from wisen.environments.code.bubblewrap import command
from wisen.environments.code.sandbox import Limits, Sandbox, SandboxLevel, sandbox_level

inside = pytest.mark.sandbox


@pytest.fixture
def box() -> Sandbox:
    return Sandbox(Limits(wall_s=20.0))


@inside
async def test_output_and_exit_code_come_back(box: Sandbox) -> None:
    result = await box.run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 3)
    assert result.killed_by == "" and not result.timed_out


@inside
async def test_a_server_of_this_machine_is_unreachable(box: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # it does answer outside
            server.accept()[0].close()
        result = await box.run(
            f"""
import socket
for address in [("127.0.0.1", {port}), ("192.0.2.1", 80)]:
    try:
        socket.create_connection(address, 2)
        print("reached")
    except OSError as error:
        print(error.strerror)
print([name for _, name in socket.if_nameindex()])
"""
        )
    assert result.stdout.splitlines() == ["Connection refused", "Network is unreachable", "['lo']"]


@inside
async def test_only_two_small_folders_can_be_written(box: Sandbox) -> None:
    result = await box.run(
        """
import os
for folder in ["/", "/usr", "/usr/bin", "/usr/lib", "/dev", "/etc", "/proc/sys/kernel", "/box", "/tmp"]:
    try:
        open(folder + "/made", "w").close()
        print("wrote", folder)
    except OSError:
        pass
for folder in ["/dev/shm", "/tmp", "/box"]:
    size = os.statvfs(folder)
    print(size.f_blocks * size.f_frsize >> 20)
"""
    )
    assert result.stdout.splitlines() == ["wrote /box", "wrote /tmp", "1", "64", "64"]


@inside
async def test_files_are_limited_one_by_one_and_together(box: Sandbox) -> None:
    result = await box.run(
        """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def fill(name, size):
    try:
        with open(name, "wb") as file:
            file.write(bytes(size << 20))
        print("fits")
    except OSError as error:
        print(error.strerror)
fill("one", 20)
for i in range(5):
    fill(f"part{i}", 15)
"""
    )
    assert result.stdout.splitlines()[0] == "File too large"
    assert result.stdout.splitlines()[-1] == "No space left on device"


@inside
async def test_nothing_of_the_host_is_seen(box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    (tmp_path / "private").write_text("x")
    places = ["/etc/passwd", "/root", "/home", "/var", "/sys", "/usr/local", str(Path.cwd()), str(tmp_path)]
    result = await box.run(
        f"""
import os
print([place for place in {places!r} if os.path.exists(place)])
print(sorted(set(os.environ) - {{"LC_CTYPE"}}), os.listdir("/box"), os.listdir("/tmp"), os.uname().nodename)
print(max(int(name) for name in os.listdir("/proc") if name.isdigit()) < 10)
status = open("/proc/self/status").read()
print([line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "NoNewPrivs"))])
print(sorted(set(os.listdir("/proc/self/fd")) - {{"0", "1", "2"}}))
"""
    )
    assert result.stdout.splitlines() == [
        "[]",
        "['HOME', 'LANG', 'PATH', 'PWD'] [] [] sandbox",
        "True",
        "['0000000000000000', '0000000000000000', '1']",
        "['3']",  # the listing's own
    ]


@inside
async def test_no_new_namespaces_and_no_raised_limits(box: Sandbox) -> None:
    result = await box.run(
        """
import ctypes, resource
CLONE_NEWUSER = 0x10000000
print(ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER))
try:
    resource.setrlimit(resource.RLIMIT_NPROC, (999, 999))
    print("raised")
except (ValueError, PermissionError):
    print("kept")
"""
    )
    assert result.stdout.splitlines() == ["-1", "kept"]


@inside
async def test_memory_of_one_process(box: Sandbox) -> None:
    result = await box.run("x = bytearray(3 << 30)", limits=Limits(memory_mb=256, wall_s=20))
    assert result.killed_by == "memory" and result.exit_code == 1
    fine = await box.run("x = bytearray(50 << 20); print(len(x))", limits=Limits(memory_mb=256, wall_s=20))
    assert fine.stdout == f"{50 << 20}\n"


@inside
@pytest.mark.skipif("not in total" in sandbox_level().detail, reason="the kernel lists no children")
async def test_memory_of_several_processes_together(box: Sandbox) -> None:
    result = await box.run(
        """
import os, time
for _ in range(6):
    if os.fork() == 0:
        x = b"1" * (120 << 20)
        break
time.sleep(60)
""",
        limits=Limits(memory_mb=256, wall_s=30),
    )
    assert result.killed_by == "memory" and not result.timed_out


@inside
async def test_an_endless_loop_runs_out_of_cpu_time(box: Sandbox) -> None:
    result = await box.run("while True: pass", limits=Limits(cpu_s=1, wall_s=60))
    assert result.killed_by == "cpu" and result.exit_code > 128 and not result.timed_out


@inside
async def test_a_sleeper_and_its_children_end_at_the_wall_limit(box: Sandbox) -> None:
    code = "import os, time\nif os.fork() == 0: os.setsid()\nprint('on'); time.sleep(600)"
    started = time.monotonic()
    result = await box.run(code, limits=Limits(wall_s=1.5))
    assert result.timed_out and result.killed_by == "time" and "on" in result.stdout
    assert time.monotonic() - started < 15
    assert not await _survivors()


@inside
async def test_cancelling_ends_the_program(box: Sandbox) -> None:
    run = asyncio.create_task(box.run("import time; time.sleep(600)"))
    await asyncio.sleep(0.5)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert not await _survivors()


async def _survivors() -> list[str]:
    """Python of the sandbox that this process started and that still runs after a moment."""
    for _ in range(50):
        found = []
        for folder in Path("/proc").iterdir():
            try:
                line = (folder / "cmdline").read_bytes()
                status = (folder / "status").read_text()
            except OSError:
                continue
            if line == b"/usr/bin/python3\0-I\0-B\0-u\0-\0" and f"PPid:\t{os.getpid()}\n" not in status:
                found.append(folder.name)
        if not found:
            return []
        await asyncio.sleep(0.1)
    return found


@inside
async def test_forks_are_limited(box: Sandbox) -> None:
    result = await box.run(
        """
import os, time
made = 0
try:
    while made < 300:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        made += 1
except OSError as error:
    print(error.strerror)
print(made)
os._exit(0)
"""
    )
    message, made = result.stdout.splitlines()
    assert message == "Resource temporarily unavailable" and 10 < int(made) <= 32


@inside
async def test_much_output_is_cut_in_the_middle(box: Sandbox) -> None:
    result = await box.run(
        "print('first'); print('x' * 1_000_000); print('last')", limits=Limits(output_bytes=1000, wall_s=20)
    )
    assert result.stdout.startswith("first\n") and result.stdout.endswith("last\n")
    assert "[... 999012 bytes left out ...]" in result.stdout and len(result.stdout) < 1100
    assert result.killed_by == ""


@inside
async def test_a_flood_is_stopped(box: Sandbox) -> None:
    result = await box.run("while True: print('x' * 10_000)", limits=Limits(cpu_s=60, wall_s=60))
    assert result.killed_by == "output" and len(result.stdout) < 20_000


@inside
async def test_bytes_that_are_no_text_and_sources_that_are_no_utf8(box: Sandbox) -> None:
    result = await box.run("import os; os.write(1, bytes([255, 65]))  # \ud800")
    assert result.stdout == "\ufffdA"


@inside
async def test_twenty_at_once_do_not_meet(box: Sandbox) -> None:
    code = "import os, time; open('n', 'w').write('{0}'); time.sleep(0.2); print(open('n').read(), os.listdir('/box'))"
    results = await asyncio.gather(*(box.run(code.format(n)) for n in range(20)))
    assert [result.stdout for result in results] == [f"{n} ['n']\n" for n in range(20)]
    assert all(result.exit_code == 0 for result in results)


@inside
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_root_becomes_a_user_without_rights(box: Sandbox) -> None:
    first, second = await asyncio.gather(*(box.run("import os; print(os.getuid())") for _ in range(2)))
    assert 61000 <= int(first.stdout) <= 61063
    assert first.stdout != second.stdout


@inside
async def test_a_sandbox_that_does_not_start_is_a_fault(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(limits: Limits, **options: Any) -> list[str]:
        argv = command(limits, **options)
        return [*argv[: argv.index("--chdir")], "--bind", "/does/not/exist", "/x", *argv[argv.index("--chdir") :]]

    monkeypatch.setattr(room, "command", broken)
    with pytest.raises(EnvironmentFault, match="did not start"):
        await box.run("print('hello')")


@pytest.fixture
def fresh_probe(monkeypatch: pytest.MonkeyPatch):
    """The first level is tried anew, and there is no second."""
    monkeypatch.setattr(jail, "why_not", lambda: ("no Landlock", ""))
    sandbox_level.cache_clear()
    yield
    sandbox_level.cache_clear()


async def test_without_bubblewrap_nothing_runs(fresh_probe: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **kw: None if name == "bwrap" else real(name, **kw))
    level = sandbox_level()
    assert level.level == "none" and "apt-get install bubblewrap" in level.hint
    with pytest.raises(EnvironmentFault, match="bwrap is not installed"):
        await Sandbox().run("print('hello')")


def test_a_bubblewrap_that_cannot_make_namespaces_counts_as_none(
    fresh_probe: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    for folder in [tmp_path, *tmp_path.parents]:
        if folder == Path("/tmp"):
            break
        folder.chmod(0o755)  # as root the probe runs it as another user
    monkeypatch.setattr(bubblewrap, "tool", lambda name: str(refusing) if name == "bwrap" else shutil.which(name))
    level = sandbox_level()
    assert level.level == "none" and "user namespaces" in level.hint
    assert "No permissions to create new namespace" in level.detail


def test_no_linux_no_sandbox(fresh_probe: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert sandbox_level().level == "none" and "needs Linux" in sandbox_level().detail


def test_no_system_python_no_sandbox(fresh_probe: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "PYTHON", "/usr/bin/no-such-python")
    assert sandbox_level() == SandboxLevel(
        level="none", detail="/usr/bin/no-such-python does not exist; no Landlock", hint=bubblewrap.INSTALL
    )
