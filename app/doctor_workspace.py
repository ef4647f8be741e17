"""The doctor's look at a workspace: store, index and model. It opens nothing to write and makes no folder."""

import asyncio
import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from wisen.app.check import Check, guarded
from wisen.app.doctor_remote import check_remote
from wisen.core.workspace import Workspace

if TYPE_CHECKING:
    from wisen.core.store import Store

MB = 1_000_000
READ_THROUGH = 500 * MB  # larger files are not read through: the doctor answers within seconds


def check_workspace(folder: Path) -> Check:
    """Can files be made there? A folder that does not exist yet is judged by its nearest parent that does."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return Check(part="workspace", ok=False, found=f"{place} is not a folder", advice="name another workspace")
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".wisen-doctor-"):
            pass
    except OSError as error:
        advice = "make it writable, or name another workspace"
        return Check(part="workspace", ok=False, found=f"{place}: {error.strerror or error}", advice=advice)
    free = shutil.disk_usage(place).free / 1e9
    state = "writable" if place == folder.absolute() else f"not made yet; {place} is writable"
    owner = Workspace(folder).owner()
    used = f", in use by pid {owner}" if owner else ""
    return Check(
        part="workspace",
        ok=True,
        found=f"{folder} ({state}, {free:.0f} GB free{used})",
        advice="" if free >= 1 else "make room: a run with screenshots may need a gigabyte",
    )


def check_kept(root: Path, *, model: str = "", api_base: str = "") -> tuple[Check, ...]:
    """Store, index and model. `model`: a LiteLLM name to ask about, instead of the present release's; `api_base`: the
    server to ask whether it has it."""
    workspace = Workspace(root)
    store = guarded("store", lambda: _store(workspace))
    known = store.ok is True  # what the others say is in the store
    unknown = {"found": "not known without the store", "advice": "mend the store first"}
    return (
        store,
        guarded("index", lambda: _index(workspace)) if known else Check(part="index", ok=None, **unknown),
        guarded("model", lambda: _model(workspace, model, api_base))
        if known or model
        else Check(part="model", ok=None, **unknown),
    )


@contextmanager
def _reading(workspace: Workspace) -> Iterator["Store | None"]:
    """The store, or None where none was made yet."""
    from wisen.core.store import NoStore

    if workspace.store_server is None and not workspace.database.exists():
        yield None
        return
    try:
        store = workspace.read_store()
    except NoStore:
        yield None
        return
    with store:
        yield store


def _store(workspace: Workspace) -> Check:
    from wisen.core.store import OlderSchema
    from wisen.core.store.engine import shown

    where = shown(workspace.store_url) if workspace.store_server else f"SQLite {workspace.database}{_size(workspace)}"
    try:
        with _reading(workspace) as store:
            if store is None:
                return Check(part="store", ok=True, found=f"{where}, none yet: `wisen evolve` makes it")
            held = f"schema {store.schema()} (the newest), {store.count_trajectories()} episodes"
    except OlderSchema as older:
        return Check(part="store", ok=None, found=f"{where}: {older.problem}", advice=older.hint)
    if workspace.store_server is None and (damage := _damage(workspace.database)):
        advice = f"restore {workspace.database} from a backup ({workspace.backups}), or move it away to begin anew"
        return Check(part="store", ok=False, found=f"{where} is damaged: {damage}", advice=advice)
    return Check(part="store", ok=True, found=f"{where}, {held}")


def _size(workspace: Workspace) -> str:
    return f" ({workspace.database.stat().st_size / MB:.1f} MB)" if workspace.database.exists() else ""


def _damage(database: Path) -> str:
    if database.stat().st_size > READ_THROUGH:
        return ""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as connection:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError:  # no helper file can be made beside it; the store was read all the same
        return ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if verdict == "ok" else " ".join(verdict.split())


def _index(workspace: Workspace) -> Check:
    from wisen.memory.bank import Bank
    from wisen.memory.index import ChromaIndex, IndexFault
    from wisen.models.embedder import MiniLM

    where = f"Chroma at {workspace.index_url}" if workspace.index_url else f"Chroma in {workspace.index}"
    if workspace.index_url is None:
        if not (workspace.index / "chroma.sqlite3").exists():
            return Check(part="index", ok=True, found="Chroma, none yet: a run makes it")
        if owner := workspace.owner():
            return Check(part="index", ok=True, found=f"{where}, in use by pid {owner}: not looked at")
    with _reading(workspace) as store:
        wanted = frozenset(Bank(store).snapshot().items) if store else frozenset()
    try:
        held = asyncio.run(ChromaIndex.of(workspace, MiniLM()).look())
    except IndexFault as fault:  # a folder is mended by the next run; a server has to be there
        ok = None if workspace.index_url is None else False
        return Check(part="index", ok=ok, found=fault.problem, advice=fault.hint)
    if missing := len(wanted - held):
        found = f"{where} lacks {missing} of the bank's {len(wanted)} items"
        return Check(part="index", ok=None, found=found, advice="nothing to do: the next run adds them")
    others = f", and {len(held - wanted)} of other bank versions" if held - wanted else ""
    return Check(part="index", ok=True, found=f"{where}, all {len(wanted)} items of the bank{others}")


def _model(workspace: Workspace, asked: str, api_base: str) -> Check:
    if asked:
        return check_remote(asked, asked, api_base=api_base)
    with _reading(workspace) as store:
        release = store.current_release() if store else None
        if store is None or release is None:
            return Check(part="model", ok=True, found="no release yet: `wisen evolve` makes the first")
        if store.checkpoint(release.model) is not None:
            return _weights(workspace, store, release.name, release.model)
    if "/" in release.model:
        return check_remote(release.model, f"release {release.name}: {release.model}", api_base=api_base)
    return Check(part="model", ok=True, found=f"release {release.name}: {release.model}")


def _weights(workspace: Workspace, store: "Store", release: str, name: str) -> Check:
    recorded = store.checkpoint(name)
    assert recorded is not None
    what = f"release {release}, weights {name}"
    files = sorted((workspace.weights / name).glob("*.safetensors"))
    advice = f"restore {workspace.weights / name} from a copy, or go back with `wisen releases rollback`"
    if not files:
        return Check(part="model", ok=False, found=f"{what}: not in {workspace.weights}", advice=advice)
    size = sum(path.stat().st_size for path in files)
    if size > READ_THROUGH:
        return Check(part="model", ok=True, found=f"{what} ({size / MB:,.0f} MB: too large to be read through here)")
    digest = hashlib.sha256()  # as `wisen.trainers.checkpoints.describe` makes it
    for path in files:
        digest.update(path.read_bytes())
    if digest.hexdigest() != recorded.sha256:
        return Check(part="model", ok=False, found=f"{what}: not the weights that were recorded", advice=advice)
    return Check(part="model", ok=True, found=f"{what} ({size / MB:.1f} MB, as recorded)")
