"""Runs a server's command and sees to it that nothing of it outlives the process that asked for it, even one that was
killed with SIGKILL.

    python -I mcp_guard.py PARENT_PID COMMAND...

It is run by its path, without wisen, so that it starts at once. It leads the process group that the server belongs to,
and ends the whole group when the parent or the server ends. A server that opens a session of its own gets away.
"""

import contextlib
import os
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.5


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    signal.signal(signal.SIGHUP, _end)
    told = _be_told_of_the_parents_end()
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    if os.getppid() != parent:  # it ended before it could be asked
        _end()
    signal.signal(signal.SIGTERM, lambda *_: None)  # the server has its own; it may need a moment
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(127)
    while True:
        try:
            child.wait(None if told else _POLL_S)
            break
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                break
    _end()


def _be_told_of_the_parents_end() -> bool:
    """Whether the system sends SIGHUP then (Linux does)."""
    with contextlib.suppress(OSError, AttributeError, ImportError):
        import ctypes

        return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0) == 0)
    return False


def _end(*_: object) -> None:
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
