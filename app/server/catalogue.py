"""Which models there are to serve: the workspace's releases and checkpoints, folders, and the hub's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wisen.app.opened import readable
from wisen.core.errors import SettingsError
from wisen.core.workspace import Workspace

if TYPE_CHECKING:
    from wisen.core.store import Store


@dataclass(frozen=True)
class Source:
    """A model to load: a folder or a hub id, and the names that clients may call it by, the best one first."""

    place: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Listed:
    """A checkpoint of the workspace; `parameters` is None where its weights are gone."""

    name: str
    parent: str
    parameters: int | None
    releases: tuple[str, ...]
    present: bool


def resolve(root: Path, wanted: Sequence[str]) -> list[Source]:
    """What to load. No name: the present release. Else each is a checkpoint or a release of the workspace, a folder,
    or a hub id. Raises `StoreError` or `SettingsError` for what is not there, or is named twice."""
    workspace = Workspace(root)
    if not wanted:
        with readable(root) as store:
            sources = [_present(store, workspace)]
    elif workspace.store_server is not None or workspace.database.exists():
        with readable(root) as store:
            sources = [_of_workspace(store, workspace, name) or _elsewhere(name) for name in wanted]
    else:
        sources = [_elsewhere(name) for name in wanted]
    names = [name for source in sources for name in source.names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"two models would be served as {twice[0]}", "leave one out, or rename its folder")
    return sources


def adapters_of(given: Sequence[str], sources: Sequence[Source]) -> dict[str, Path]:
    """The folder of each adapter by its name, from NAME=DIR. Raises `SettingsError`."""
    taken = {name for source in sources for name in source.names}
    found: dict[str, Path] = {}
    for text in given:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise SettingsError(f"{text!r} names no adapter", "write NAME=DIR")
        if name in taken or name in found:
            raise SettingsError(f"two models would be served as {name}", "give the adapter another name")
        found[name] = Path(folder).expanduser()
    return found


def listed(root: Path) -> list[Listed]:
    """The workspace's checkpoints, oldest first."""
    workspace = Workspace(root)
    with readable(root) as store:
        present, releases = store.current_release(), store.releases()
        return [
            Listed(
                name=each.name,
                parent=each.parent or "",
                parameters=_parameters(workspace.weights / each.name),
                releases=tuple(release.name for release in releases if release.model == each.name),
                present=present is not None and present.model == each.name,
            )
            for each in store.checkpoints()
        ]


def _present(store: "Store", workspace: Workspace) -> Source:
    release = store.current_release()
    if release is None:
        raise SettingsError(f"{workspace.root} has no release yet", "run `wisen evolve` first, or name a model")
    return _checked(store, workspace, release.name, release.model)


def _of_workspace(store: "Store", workspace: Workspace, name: str) -> Source | None:
    if store.checkpoint(name) is not None:
        return Source(str(workspace.weights / name), (name,))
    release = store.release(name)
    return None if release is None else _checked(store, workspace, release.name, release.model)


def _checked(store: "Store", workspace: Workspace, release: str, model: str) -> Source:
    if store.checkpoint(model) is None:
        raise SettingsError(f"release {release} acts with {model}, which has no weights here", "name another model")
    return Source(str(workspace.weights / model), tuple(dict.fromkeys((release, model))))


def _elsewhere(name: str) -> Source:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Source(str(folder), (folder.resolve().name,))
    if folder.exists():
        raise SettingsError(f"{name} is a file", "name the folder that it is in")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise SettingsError(f"there is no folder {name}")
    return Source(name, (name,))


def _parameters(folder: Path) -> int | None:
    """Counted from the headers of the weights' files; tied weights are stored, and counted, once."""
    from safetensors import safe_open

    count = 0
    files = sorted(folder.glob("*.safetensors"))
    for path in files:
        with safe_open(path, framework="numpy") as weights:
            count += sum(math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())  # noqa: SIM118
    return count if files else None
