"""Folders for episodes, removed with them; and those of processes that were killed, removed by the next."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

_PREFIX = f"wisen-episodes-{os.getuid()}-"


class EpisodeFolders:
    """A room of this process in the system's folder for temporary files. It is locked while we live: a room that can
    be locked by another belongs to nobody any more."""

    def __init__(self) -> None:
        sweep()
        fresh = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
        lock = os.open(fresh / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.root = fresh.rename(fresh.with_name(fresh.name.removeprefix(".")))  # seen by others only once it is locked
        self._end = weakref.finalize(self, _remove, self.root, lock)

    def new(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="episode-", dir=self.root))

    def close(self) -> None:
        self._end()


def sweep() -> int:
    """Remove what processes of ours that are gone have left behind. Returns how many rooms that were."""
    gone = 0
    for room in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(room / ".lock", os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(room, ignore_errors=True)
                gone += 1
            finally:
                os.close(lock)
    return gone


def _remove(root: Path, lock: int) -> None:
    shutil.rmtree(root, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.close(lock)
