"""The folder in which wisen keeps all it makes, and the lock that gives it one owner at a time."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wisen.core.errors import StoreError

DEFAULT_ROOT = Path(".wisen")


class Workspace:
    """Paths under one root (`./.wisen` by default). Making this object touches no disk; `create` makes the folders."""

    def __init__(self, root: Path = DEFAULT_ROOT) -> None:
        self.root = root.expanduser().absolute()

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    @property
    def database(self) -> Path:
        return self.root / "wisen.db"

    @property
    def store_url(self) -> str:
        """What `Store.open` takes."""
        from sqlalchemy import URL

        return URL.create("sqlite", database=str(self.database)).render_as_string()

    @property
    def index(self) -> Path:
        """The vector index: rebuilt from the store at any time."""
        return self.root / "index"

    @property
    def weights(self) -> Path:
        """Checkpoints, one folder each."""
        return self.root / "weights"

    @property
    def artifacts(self) -> Path:
        """Screenshots and other files made during episodes."""
        return self.root / "artifacts"

    @property
    def runs(self) -> Path:
        """Reports, one folder per run."""
        return self.root / "runs"

    @property
    def cache(self) -> Path:
        """What can be made again."""
        return self.root / "cache"

    def create(self) -> "Workspace":
        """Make the folders that are not there yet. Raises `StoreError` where that cannot be done."""
        with _explained(f"could not make the workspace {self.root}"):
            for folder in (self.index, self.weights, self.artifacts, self.runs, self.cache):
                folder.mkdir(parents=True, exist_ok=True)
            _write_probe(self.root)
        return self

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Own the workspace while the block runs; makes it first if need be. The system frees the lock when the process
        ends, however it ends. Raises `StoreError` at once where another process owns it."""
        from filelock import FileLock, Timeout

        self.create()
        holder = self.root / "lock.pid"
        # Never the library's own fallback, a marker file: that one outlives a killed process.
        lock = FileLock(self.root / "lock", blocking=False, fallback_to_soft=False)
        with _explained(f"could not lock the workspace {self.root}"):
            try:
                lock.acquire()
            except Timeout as error:
                raise StoreError(
                    f"another wisen process (pid {_pid(holder)}) is using {self.root}",
                    "wait for it, stop it, or give this one a workspace of its own",
                ) from error
        try:
            with _explained(f"could not lock the workspace {self.root}"):
                holder.write_text(str(os.getpid()))
            yield
        finally:
            # Before the release: afterwards the file may be the next owner's.
            with suppress(OSError):
                holder.unlink()
            lock.release()


def _write_probe(folder: Path) -> None:
    """Find out now, and not in the middle of a run, that a folder cannot be written to."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(bytes(4096))
    finally:
        with suppress(OSError):
            probe.unlink()


def _pid(holder: Path) -> str:
    try:
        return holder.read_text().strip() or "unknown"
    except OSError:  # it has the lock and has not yet written its number, or is just leaving
        return "unknown"


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{doing}: {error.strerror or error}", _HINTS.get(error.errno or 0, "")) from error


_HINTS = {
    errno.ENOSYS: "this file system has no locks: choose a local folder",
    errno.EACCES: "mend the permissions of the folder, or choose another",
    errno.EPERM: "mend the permissions of the folder, or choose another",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "your disk quota is used up: free some space",
    errno.ENOTDIR: "a part of the path is a file: choose another folder",
    errno.EEXIST: "a file is in the way: move it, or choose another folder",
    errno.ENOENT: "choose a folder that can be made",
}
