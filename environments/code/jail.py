"""Level 2: the command that runs a program without namespaces, behind another user, Landlock, seccomp and rlimits.

For machines that allow no user namespaces, such as most containers. It needs root, to become a user of its own: the
limit on processes counts by user, and a program of our own user could signal and trace us.
"""

import functools
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from wisen.environments.code import jailer
from wisen.environments.code.bubblewrap import ENV, PROGRAM, PYTHON, UIDS
from wisen.environments.code.limits import MIB, Job, Limits
from wisen.environments.code.seccomp import deny_list, supported

_FOLDERS = ("/usr/bin", "/usr/lib", "/usr/lib64", "/bin", "/lib", "/lib64", "/etc/alternatives")


def fresh_box() -> str:
    """Name of a folder that the jailer makes and removes."""
    return f"{tempfile.gettempdir()}/wisen-box-{os.getpid()}-{secrets.token_hex(8)}"


def command(limits: Limits, job: Job, *, box: str, status_fd: int) -> list[str]:
    """The argument list that runs the job. `box` is where it works: the job's own, or one made for this run. Once
    everything is closed and the program is about to start, `started` is written to `status_fd`."""
    settings = {
        "parent": os.getpid(),
        "uids": [UIDS.start, UIDS.stop],
        "locks": f"{tempfile.gettempdir()}/wisen-sandbox-users",
        "box": box,
        "fresh": not job.box,
        "read_only": job.read_only,
        "cwd": box,
        "folders": [folder for folder in _FOLDERS if Path(folder).exists()],
        "rlimits": {
            "RLIMIT_AS": [limits.memory_mb * MIB] * 2,
            "RLIMIT_CPU": [limits.cpu_s, limits.cpu_s + 1],
            "RLIMIT_NPROC": [limits.processes] * 2,
            "RLIMIT_FSIZE": [limits.file_mb * MIB] * 2,
            "RLIMIT_NOFILE": [limits.open_files] * 2,
            "RLIMIT_CORE": [0, 0],
            "RLIMIT_MEMLOCK": [0, 0],
            "RLIMIT_SIGPENDING": [64, 64],
        },
        "seccomp": deny_list(sockets=False).hex(),
        "status_fd": status_fd,
        "program": list(job.program),
        "env": {"PATH": "/usr/bin:/bin", "HOME": box, "TMPDIR": box, "LANG": "C.UTF-8", **job.env},
    }
    return [PYTHON, "-I", "-S", str(Path(jailer.__file__).resolve()), json.dumps(settings)]


@functools.cache
def why_not() -> tuple[str, str]:
    """Tries it, once per process. What is in the way and what would help, both empty if nothing is."""
    help_ = "needs Linux 6.2 with Landlock, on x86-64 or 64-bit ARM, wisen run by root, and /usr/bin/python3"
    if not sys.platform.startswith("linux") or not supported():
        return f"no Landlock jail for {sys.platform} on {platform.machine()}", help_
    if os.geteuid() != 0:
        return "a Landlock jail needs root, to become a user of its own", help_
    status_read, status_write = os.pipe()
    try:
        argv = command(Limits(), Job(program=PROGRAM), box=fresh_box(), status_fd=status_write)
        run = subprocess.run(
            argv, input=b"print('inside')", capture_output=True, timeout=10, env=ENV, cwd="/", check=False,
            pass_fds=(status_write,),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a Landlock jail did not answer: {error}", help_
    finally:
        os.close(status_read)
        os.close(status_write)
    if run.stdout.strip() != b"inside":
        said = run.stderr.decode(errors="replace").strip() or f"exit code {run.returncode}"
        return f"a Landlock jail could not be closed: {said}", help_
    return "", ""
