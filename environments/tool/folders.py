"""Folders for episodes, removed with them; and those of processes that were killed, removed by the next."""

import contextlib
import fcntl
import io
import os
import shutil
import tempfile
import weakref
import zipfile
from pathlib import Path

from wisen.core.errors import EnvironmentFault

MOST_KEPT = 16 << 20  # bytes of a packed folder
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


def packed(folder: Path) -> bytes:
    """All that the folder holds. Raises `EnvironmentFault` for anything but files and folders, and for too much."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise EnvironmentFault(f"an episode with {str(name)[:100]} cannot be kept: it is no file and no folder")
            archive.write(path, name)
            if made.tell() > MOST_KEPT:
                raise EnvironmentFault(f"an episode of more than {MOST_KEPT >> 20} MB cannot be kept")
    return made.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Fill the empty folder with what was packed. Raises `EnvironmentFault` for anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                os.chmod(archive.extract(entry, folder), (entry.external_attr >> 16) & 0o777)
    except (zipfile.BadZipFile, OSError) as error:
        raise EnvironmentFault(f"the folder cannot be filled: {error}") from error


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
