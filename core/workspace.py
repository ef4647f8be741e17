"""The folder in which wisen keeps all it makes, the servers that may keep store and index instead, and the lock that
gives the folder one owner at a time."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wisen.core.disk import disk_faults
from wisen.core.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from wisen.core.store import Store

DEFAULT_ROOT = Path(".wisen")
STORE_URL, INDEX_URL, NO_BACKUP = "WISEN_STORE_URL", "WISEN_INDEX_URL", "WISEN_NO_BACKUP"


class Workspace:
    """Paths under one root (`./.wisen` by default), and where store and index are. Making this object touches no disk;
    `create` makes the folders.

    Three variables name parts of this machine. `WISEN_STORE_URL`: a PostgreSQL database instead of the SQLite file.
    `WISEN_INDEX_URL`: a Chroma server instead of the folder. `WISEN_NO_BACKUP=1`: an older store is upgraded
    without a backup. `environ` stands in for the environment.
    """

    def __init__(self, root: Path = DEFAULT_ROOT, environ: Mapping[str, str] | None = None) -> None:
        variables = os.environ if environ is None else environ
        self.root = root.expanduser().absolute()
        self.store_server = variables.get(STORE_URL) or None
        self.index_url = variables.get(INDEX_URL) or None
        self._no_backup = variables.get(NO_BACKUP, "").lower() in ("1", "true", "yes")

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    @property
    def database(self) -> Path:
        """The SQLite file: the store, where no server is named."""
        return self.root / "wisen.db"

    @property
    def store_url(self) -> str:
        """What `Store.open` takes. Raises `SettingsError` where the variable names no PostgreSQL database."""
        from sqlalchemy import URL

        if self.store_server is None:
            return URL.create("sqlite", database=str(self.database)).render_as_string()
        if not self.store_server.startswith(("postgresql://", "postgresql+psycopg://", "postgres://")):
            scheme = self.store_server.partition(":")[0] if "://" in self.store_server else "no scheme"
            raise SettingsError(
                f"{STORE_URL} names no PostgreSQL database (it has {scheme})",
                "write postgresql://user@host/database, or unset it to use the workspace's own SQLite file",
            )
        return self.store_server

    @property
    def store_name(self) -> str:
        """Tells this store from others, without its password."""
        from wisen.core.store.engine import shown

        return shown(self.store_url)

    def open_store(self, *, create: bool = True, shared: bool = False) -> "Store":
        """The store, as its owner, or with `shared` as one of several processes (PostgreSQL only); the caller holds
        `lock`. Raises `StoreError`, also without `create` where there is no store yet."""
        from wisen.core.store import Store

        if not create:
            self.require_store()
        return Store.open(
            self.store_url, backups=self.backups, backup=not self._no_backup, create=create, shared=shared
        )

    def read_store(self) -> "Store":
        """The store, to read beside whoever owns it. Raises `StoreError` where there is none, and `OlderSchema` where
        an owner must bring it up to date first."""
        from wisen.core.store import Store

        self.require_store()
        return Store.read(self.store_url)

    def require_store(self) -> None:
        """Raises `StoreError` where there is no SQLite file and no server is named. Touches nothing."""
        if self.store_server is None and not self.database.exists():
            raise StoreError(f"{self.root} is no workspace", "run `wisen evolve` first, or name another --workspace")

    @property
    def backups(self) -> Path:
        """Copies of the store, one from before each upgrade."""
        return self.root / "backups"

    @property
    def index(self) -> Path:
        """The vector index, where no server is named: rebuilt from the store at any time."""
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
        with disk_faults(f"could not make the workspace {self.root}"):
            for folder in (self.index, self.weights, self.artifacts, self.runs, self.cache):
                folder.mkdir(parents=True, exist_ok=True)
            _write_probe(self.root)
        return self

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Own the workspace while the block runs; makes it first if need be. The system frees the lock when the process
        ends, however it ends. Raises `StoreError` at once where another process owns it."""
        from filelock import Timeout

        self.create()
        lock = self._lock()
        with disk_faults(f"could not lock the workspace {self.root}"):
            try:
                lock.acquire()
            except Timeout as error:
                raise StoreError(
                    f"another wisen process (pid {_pid(self._holder)}) is using {self.root}",
                    "wait for it, stop it, or give this one a workspace of its own",
                ) from error
        try:
            with disk_faults(f"could not lock the workspace {self.root}"):
                self._holder.write_text(str(os.getpid()))
            yield
        finally:
            # Before the release: afterwards the file may be the next owner's.
            with suppress(OSError):
                self._holder.unlink()
            lock.release()

    def owner(self) -> str | None:
        """The pid of the process that owns the workspace, if one does. Leaves everything as it was."""
        from filelock import Timeout

        if not (self.root / "lock").exists():
            return None
        lock = self._lock()
        try:
            lock.acquire()
        except Timeout:
            return _pid(self._holder)
        except OSError:  # where nothing may be written, nobody owns anything
            return None
        lock.release()
        return None

    @property
    def _holder(self) -> Path:
        return self.root / "lock.pid"

    def _lock(self) -> "BaseFileLock":
        from filelock import FileLock

        # Never the library's own fallback, a marker file: that one outlives a killed process.
        return FileLock(self.root / "lock", blocking=False, fallback_to_soft=False)


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
