"""What hostile code tries against the sandbox, one probe each. Tests and benchmarks/sandbox.py run the same ones.

A probe is a program with places of this machine filled in. It prints `ESCAPED ...` for what it should not have been
able to do; what cannot be seen from inside is looked for outside, afterwards.
"""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from wisen.environments.code.sandbox import Limits, Sandbox, SandboxResult

SECRET = "a secret of this machine"
LEFT_OVER = "98765.4321"  # seconds that a process which should be gone would sleep


@dataclass
class Host:
    """This machine as a probe finds it: a file and a folder that all users may use, servers, a process to signal."""

    folder: Path
    port: int
    victim: subprocess.Popen[bytes]
    servers: tuple[socket.socket, ...]
    shared: tuple[Path, ...]

    @property
    def places(self) -> dict[str, object]:
        return {
            "SECRET_FILE": str(self.folder / "secret"), "FOLDER": str(self.folder), "PORT": self.port,
            "PID": os.getpid(), "VICTIM": self.victim.pid, "NAME": self.folder.name, "LEFT_OVER": LEFT_OVER,
        }  # fmt: skip

    def was_reached(self) -> bool:
        """Whether anybody came to one of the servers."""
        for server in self.servers:
            with contextlib.suppress(BlockingIOError):
                if server.type == socket.SOCK_STREAM:
                    server.accept()[0].close()
                else:
                    server.recv(10)
                return True
        return False


@contextlib.contextmanager
def host() -> Iterator[Host]:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="wisen-probe-") as name, contextlib.ExitStack() as open_:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "secret").write_text(SECRET)
        (folder / "secret").chmod(0o644)
        tcp = open_.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = open_.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(tcp.getsockname())
        servers = [tcp, udp]
        for address in (f"{name}/socket", f"\0{folder.name}"):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                server = open_.enter_context(socket.socket(socket.AF_UNIX, kind))
                where = f"{address}-{int(kind)}"
                server.bind(where)
                if not where.startswith("\0"):
                    Path(where).chmod(0o777)
                if kind == socket.SOCK_STREAM:
                    server.listen()
                servers.append(server)
        for server in servers:
            server.setblocking(False)
        victim = subprocess.Popen(["/bin/sleep", "600"])
        shared = tuple(Path(place) for place in ("/tmp", "/dev/shm", "/var/tmp", name))
        try:
            yield Host(folder, tcp.getsockname()[1], victim, tuple(servers), shared)
        finally:
            victim.kill()
            victim.wait()


@dataclass(frozen=True)
class Probe:
    name: str
    code: str
    limits: Limits = field(default_factory=lambda: Limits(wall_s=20.0))
    ended_by: tuple[str, ...] = ()  # limits of which one must have ended it ("": none of them)
    outside: Callable[[Host], str] = lambda host: ""  # what is wrong with this machine afterwards
    within: Callable[[str], bool] = lambda stdout: True  # whether what it printed is as it should be

    async def escaped(self, sandbox: Sandbox, machine: Host) -> tuple[str, SandboxResult]:
        """What got out, or "" for nothing; and how the run went."""
        places = "".join(f"{name} = {value!r}\n" for name, value in machine.places.items())
        result = await sandbox.run(f"{_HELP}{places}{self.code}\nprint('over')", limits=self.limits)
        said = [line for line in result.stdout.splitlines() if "ESCAPED" in line]
        if SECRET in result.stdout + result.stderr:
            said.append("the secret was read")
        if self.ended_by and result.killed_by not in self.ended_by:
            said.append(f"not ended by {' or '.join(self.ended_by)} but {result.killed_by or result.exit_code}")
        if not self.ended_by and "over" not in result.stdout:
            said.append(f"did not come to its end: {result.killed_by} {result.stderr[-200:]}")
        if not self.within(result.stdout):
            said.append(f"printed {result.stdout[:200]!r}")
        if outside := self.outside(machine):
            said.append(outside)
        if machine.victim.poll() is not None:
            said.append("a process of the machine was ended")
        return "; ".join(said), result


_HELP = """
import ctypes, os, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what, action):
    try:
        if (found := action()) is not None:
            print("ESCAPED", what, repr(found)[:200], flush=True)
    except (OSError, ValueError):
        pass
def read(path):
    with open(path, "rb") as file:
        return file.read(200) or None
"""


def _nothing_written(machine: Host) -> str:
    found = [str(place / "probe-was-here") for place in machine.shared if (place / "probe-was-here").exists()]
    changed = (machine.folder / "secret").read_text() != SECRET
    return "; ".join([*found, *(["the secret was changed"] if changed else [])])


def _not_reached(machine: Host) -> str:
    return "a server was reached" if machine.was_reached() else ""


def _none_left(machine: Host) -> str:
    left = ""
    for _ in range(30):  # the kernel takes a moment to end a namespace
        left = still_running()
        if not left:
            break
        time.sleep(0.1)
    return left


def still_running() -> str:
    """A process of the sandbox that sleeps for LEFT_OVER seconds, if there is one."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if LEFT_OVER.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                return f"process {folder.name} is left"
    return ""


def _at_most(most: int) -> Callable[[str], bool]:
    return lambda stdout: all(int(line.split()[1]) <= most for line in stdout.splitlines() if line.startswith("made "))


PROBES = (
    Probe(
        "host file read",
        "for path in (SECRET_FILE, '/etc/passwd', '/etc/hostname', '/root/.bashrc', '/var/log/dpkg.log'):\n"
        "    attempt(path, lambda: read(path))\n"
        "for folder in ('/root', '/home', '/var', FOLDER, '/usr/local'):\n"
        "    attempt(folder, lambda: os.listdir(folder))",
    ),
    Probe(
        "write outside",
        "for folder in ('/tmp', '/dev/shm', '/var/tmp', FOLDER, '/usr/lib', '/etc', '/'):\n"
        "    attempt('', lambda: open(folder + '/probe-was-here', 'w').close())\n"
        "attempt('', lambda: os.truncate(SECRET_FILE, 0))\nattempt('', lambda: os.unlink(SECRET_FILE))\n"
        "attempt('', lambda: os.rename(SECRET_FILE, 'mine'))\nattempt('', lambda: os.chmod(SECRET_FILE, 0))",
        outside=_nothing_written,
    ),
    Probe(
        "network",
        "for family, kind, address in ((2, 1, ('127.0.0.1', PORT)), (2, 2, ('127.0.0.1', PORT)),\n"
        "        (2, 1, ('192.0.2.1', 80)),\n"
        "        (1, 1, FOLDER + '/socket-1'), (1, 2, FOLDER + '/socket-2'), (1, 1, '\\0' + NAME + '-1'),\n"
        "        (1, 2, '\\0' + NAME + '-2')):\n"
        "    def go():\n        s = socket.socket(family, kind); s.settimeout(2); s.connect(address); s.send(b'x')\n"
        "        return address if kind == 1 else None\n"
        "    attempt('', go)\n"
        "def pair():\n    s = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]\n"
        "    for to in (FOLDER + '/socket-2', '\\0' + NAME + '-2'):\n        s.sendto(b'x', to)\n"
        "attempt('', pair)\nlibc.syscall(425, 8, ctypes.create_string_buffer(200)) >= 0 and print('ESCAPED io_uring')",
        outside=_not_reached,
    ),
    Probe(
        "symlink",
        "os.symlink(SECRET_FILE, 'link')\nattempt('link', lambda: read('link'))\n"
        "os.symlink('/', 'root')\nattempt('root', lambda: read('root' + SECRET_FILE))\n"
        "attempt('', lambda: open('link', 'w').close())\n"
        "def hard():\n    os.link(SECRET_FILE, 'hard'); return read('hard')\nattempt('hard link', hard)\n"
        "def dot(): return read('../' * 20 + SECRET_FILE[1:])\nattempt('dots', dot)",
        outside=_nothing_written,
    ),
    Probe(
        "/proc",
        "for of in (PID, VICTIM):\n"
        "    for name in ('cmdline', 'environ', 'maps', 'root' + SECRET_FILE, 'cwd/pyproject.toml'):\n"
        "        attempt(name, lambda: read(f'/proc/{of}/{name}'))\n"
        "attempt('init', lambda: read('/proc/1/root' + SECRET_FILE))\n"
        "attempt('', lambda: open('/proc/sys/kernel/hostname', 'w').write('x'))\n"
        "attempt('', lambda: open('/proc/sysrq-trigger', 'w').write('h'))\n"
        "attempt('kernel memory', lambda: read('/proc/kcore'))",
    ),
    Probe(
        "fork bomb",
        "made = 0\ntry:\n    while made < 300:\n        if os.fork() == 0:\n            time.sleep(30); os._exit(0)\n"
        "        made += 1\nexcept OSError:\n    pass\nprint('made', made, flush=True)",
        within=_at_most(32),
    ),
    Probe("memory bomb", "x = bytearray(3 << 30)", Limits(memory_mb=256, wall_s=20), ended_by=("memory",)),
    Probe(
        "memory bomb of many",
        "for _ in range(6):\n    if os.fork() == 0:\n        x = b'1' * (120 << 20)\n        break\ntime.sleep(15)",
        Limits(memory_mb=256, wall_s=20),
        ended_by=("memory",),
    ),
    Probe(
        "memory without a process",
        "attempt('memfd', lambda: os.memfd_create('x'))\n"
        "segment = libc.shmget(0, 1 << 20, 0o1600)\nsegment >= 0 and print('ESCAPED shared segment')",
    ),
    Probe(
        "disk bomb",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\ncount = 0\ntry:\n    while count < 600:\n"
        "        open(f'f{count}', 'wb').write(os.urandom(1 << 20)); count += 1\n"
        "except OSError:\n    pass\nprint('made', count, flush=True)\ntime.sleep(15 if count > 200 else 0)",
        Limits(disk_mb=64, wall_s=20),
        ended_by=("", "disk"),
        within=_at_most(80),
    ),
    Probe(
        "one large file",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "def large():\n    with open('f', 'wb') as file: file.write(bytes(20 << 20))\n"
        "    return 'fits'\nattempt('', large)",
    ),
    Probe("output bomb", "while True: print('x' * 10_000)", Limits(cpu_s=60, wall_s=60), ended_by=("output",)),
    Probe(
        "endless loop",
        "signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        Limits(cpu_s=1, wall_s=60),
        ended_by=("cpu",),
    ),
    Probe("sleep", "time.sleep(600)", Limits(wall_s=1.0), ended_by=("time",)),
    Probe(
        "nested namespace",
        "for flag in (0x10000000, 0x20000, 0x40000000):\n    libc.unshare(flag) == 0 and print('ESCAPED unshare')\n"
        "    made = libc.syscall(56 if os.uname().machine == 'x86_64' else 220, flag | 17, 0, 0, 0, 0)\n"
        "    if made == 0: os._exit(0)\n    made > 0 and print('ESCAPED clone')\n"
        "libc.mount(b'none', b'.', b'tmpfs', 0, None) == 0 and print('ESCAPED mount')\n"
        "libc.chroot(b'.') == 0 and print('ESCAPED chroot')",
    ),
    Probe(
        "signal to the parent",
        "for pid in (PID, VICTIM, os.getppid(), 1, -VICTIM):\n"
        "    for number in (0, signal.SIGTERM, signal.SIGKILL):\n"
        "        attempt('', lambda: os.kill(pid, number))\n"
        "libc.ptrace(16, VICTIM, 0, 0) == 0 and print('ESCAPED ptrace')\n"
        "attempt('pidfd', lambda: signal.pidfd_send_signal(os.pidfd_open(VICTIM), signal.SIGKILL) or 'sent')",
    ),
    Probe(
        "left-over process",
        "for _ in range(3):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n"
        "            for fd in (0, 1, 2): os.close(fd)\n            signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "            os.execv('/usr/bin/sleep', ['sleep', LEFT_OVER])\n        os._exit(0)\ntime.sleep(0.3)",
        outside=_none_left,
    ),
    Probe(
        "raised limits and rights",
        "import resource\nfor name in ('NPROC', 'FSIZE', 'AS', 'CPU'):\n"
        "    def more():\n        hard = resource.getrlimit(getattr(resource, 'RLIMIT_' + name))[1]\n"
        "        resource.setrlimit(getattr(resource, 'RLIMIT_' + name), (hard + 1, hard + 1)); return name\n"
        "    attempt('limit', more)\n"
        "def root():\n    os.setuid(0); return 'root'\nattempt('user', root)",
    ),
)  # fmt: skip
