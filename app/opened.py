"""Opening a workspace that must be there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wisen.core.errors import StoreError
from wisen.core.workspace import Workspace

if TYPE_CHECKING:
    from wisen.core.store import Store


@contextmanager
def opened(root: Path) -> Iterator["Store"]:
    """The workspace's store, owned while the block runs. Raises `StoreError` where there is none."""
    from wisen.core.store import Store

    workspace = Workspace(root)
    if not workspace.database.exists():
        raise StoreError(f"{workspace.root} is no workspace", "run `wisen evolve` first, or name another --workspace")
    with workspace.lock(), Store.open(workspace.store_url) as store:
        yield store
