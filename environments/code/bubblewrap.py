"""Level 1: the command that runs a program under bubblewrap, in namespaces of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from wisen.core.errors import EnvironmentFault
from wisen.environments.code.limits import MIB, Job, Limits

PYTHON = "/usr/bin/python3"
PROGRAM = (PYTHON, "-I", "-B", "-u", "-")  # a program on stdin
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
UIDS = range(61000, 61064)  # unused by Debian, systemd and their kin
INSTALL = "install bubblewrap 0.8 or newer and python3, on Debian and Ubuntu: apt-get install bubblewrap python3"
_BLOCKED = (
    "needs bubblewrap 0.8, Linux 5.14 and unprivileged user namespaces; Docker: --security-opt seccomp=unconfined; "
    "Ubuntu 24.04: an AppArmor profile that lets bwrap use userns"
)


def command(
    limits: Limits,
    *,
    uid: int | None,
    status_fd: int | None = None,
    filter_fd: int | None = None,
    job: Job | None = None,
) -> list[str]:
    """The argument list that runs the job, or PYTHON on its stdin, inside the sandbox. With `uid` (needs root) it first
    becomes that user, because the limit on processes does not bind uid 0. `filter_fd` holds a system call filter."""
    job = job or Job(program=PROGRAM)
    become = [
        tool("setpriv"), "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--inh-caps=-all",
        "--no-new-privs", "--",
    ]  # fmt: skip
    disk = str(limits.disk_mb * MIB)
    box = ["--size", disk, "--tmpfs", "/box"] if not job.box or job.box_at != "/box" else []
    if job.box:
        box += ["--ro-bind" if job.read_only else "--bind", job.box, job.box_at]
    jail = [
        tool("bwrap"), "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
        "--hostname", "sandbox", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/box",
        "--setenv", "LANG", "C.UTF-8", *_system_folders(), "--proc", "/proc", "--dev", "/dev",
        # bwrap's /dev is a tmpfs without a size, and /dev/shm is a folder in it: give one a size, close the other
        "--size", str(MIB), "--perms", "1777", "--tmpfs", "/dev/shm", "--remount-ro", "/dev",
        "--size", disk, "--tmpfs", "/tmp", *box,
    ]  # fmt: skip
    for mount in job.mounts:
        jail += ["--bind" if mount.writable else "--ro-bind", mount.source, mount.target]
    for name, value in job.env.items():
        jail += ["--setenv", name, value]
    jail += ["--remount-ro", "/", "--chdir", job.box_at]
    if filter_fd is not None:
        jail += ["--seccomp", str(filter_fd)]
    if status_fd is not None:
        jail += ["--json-status-fd", str(status_fd)]
    # Set inside: kernels since 5.14 count processes per user namespace, so the user's own programs do not count.
    limit = [
        "/usr/bin/prlimit", f"--as={limits.memory_mb * MIB}", f"--cpu={limits.cpu_s}:{limits.cpu_s + 1}",
        f"--nproc={limits.processes}", f"--fsize={limits.file_mb * MIB}", f"--nofile={limits.open_files}", "--core=0",
    ]  # fmt: skip
    return [*(become if uid is not None else ()), *jail, "--", *limit, *job.program]


def why_not() -> tuple[str, str]:
    """Tries it. What is in the way and what would help, both empty if nothing is. Blocks for some 50 ms."""
    if not sys.platform.startswith("linux"):
        return (
            f"bubblewrap needs Linux, this is {sys.platform}",
            "run code suites on Linux or in a Linux container that allows user namespaces",
        )
    if not Path(PYTHON).exists():
        return f"{PYTHON} does not exist", INSTALL
    try:
        argv = command(Limits(), uid=UIDS[0] if os.geteuid() == 0 else None)
        run = subprocess.run(
            argv, input=b"print('inside')", capture_output=True, timeout=10, env=ENV, cwd="/", check=False
        )
    except EnvironmentFault as fault:
        return fault.problem, INSTALL
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap did not answer: {error}", INSTALL
    if run.returncode != 0 or run.stdout.strip() != b"inside":
        said = run.stderr.decode(errors="replace").strip() or f"exit code {run.returncode}"
        return f"bubblewrap could not start a sandbox: {said}", _BLOCKED
    return "", ""


def tool(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=ENV["PATH"])
    if path is None:
        raise EnvironmentFault(f"{name} is not installed", INSTALL)
    return path


def _system_folders() -> list[str]:
    """Programs and libraries of the system, read-only, without /usr/local and /usr/share. Debian's choices between
    programs of one name (awk) are links through /etc/alternatives."""
    binds: list[str] = []
    for name in ("bin", "lib", "lib64"):
        if Path("/usr", name).exists():
            binds += ["--ro-bind", f"/usr/{name}", f"/usr/{name}"]
        top = Path("/", name)
        if top.is_symlink():
            binds += ["--symlink", str(top.readlink()), str(top)]
        elif top.exists():
            binds += ["--ro-bind", str(top), str(top)]
    if Path("/etc/alternatives").is_dir():
        binds += ["--ro-bind", "/etc/alternatives", "/etc/alternatives"]
    return binds
