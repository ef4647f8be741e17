"""Folders that are kept between the runs of one episode.

What a hostile program left in such a folder may be a link to anywhere: nobody outside opens a file in it by name. It is
written and read by programs inside the sandbox.
"""

import contextlib
import functools
import itertools
import os
import subprocess
import tempfile
import time
import weakref
from pathlib import Path

from wisen.environments.code.bubblewrap import UIDS

_PREFIX = "wisen-kept-"
_DAY = 86_400.0
_turns = itertools.count(os.getpid())  # spreads the uids of several of our processes


def next_uid() -> int | None:
    """A user of the pool; None where we are not root and stay who we are."""
    return UIDS[next(_turns) % len(UIDS)] if os.geteuid() == 0 else None


class Box:
    """A fresh folder with a user of its own. `remove` when the episode ends; what a crash leaves, a process
    removes a day later. `uid` is that of another box, to be used beside it."""

    def __init__(self, uid: int | None = None) -> None:
        _sweep()
        self.uid = next_uid() if uid is None else uid
        self.folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
        # an environment that nobody closes goes too, at the latest when this process ends
        self._finish = weakref.finalize(self, _remove, self.folder)
        self.own()

    def own(self) -> None:
        """Give all in the folder to its user: after files were put there, and before any program ran."""
        if self.uid is not None:
            subprocess.run(["/bin/chown", "-RhP", f"{self.uid}:{self.uid}", "--", self.folder], check=True)

    def remove(self) -> None:
        self._finish()


def _remove(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError:
        remove = ["/bin/rm", "-rf", "--one-file-system", "--", folder]
        if subprocess.run(remove, check=False, capture_output=True).returncode:
            # not root, and a program closed a folder to its owner
            subprocess.run(["/bin/chmod", "-R", "u+rwX", "--", folder], check=False, capture_output=True)
            subprocess.run(remove, check=False, capture_output=True)


@functools.cache
def _sweep() -> None:
    """Remove the boxes of processes that are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            # a day: the process may be one of another container, whose number is not seen here
            old = time.time() - folder.lstat().st_mtime > _DAY
            if old and number.isdigit() and not Path("/proc", number).exists() and not folder.is_symlink():
                _remove(str(folder))
