"""Opening a workspace for a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wisen.core.workspace import Workspace

if TYPE_CHECKING:
    from wisen.core.store import Store


@contextmanager
def opened(root: Path, *, create: bool = False) -> Iterator["Store"]:
    """The workspace's store, to read and write, owned while the block runs. Raises `StoreError` where there is none and
    none is to be made, or another process owns it."""
    workspace = Workspace(root)
    if not create:
        workspace.require_store()  # before the lock, which would make a folder
    with workspace.lock(), workspace.open_store(create=create) as store:
        yield store


@contextmanager
def readable(root: Path) -> Iterator["Store"]:
    """The workspace's store, to read, also while another process owns it. One of an earlier wisen is upgraded first,
    which needs the ownership. Raises `StoreError` where there is none."""
    from wisen.core.store import OlderSchema

    workspace = Workspace(root)
    try:
        store = workspace.read_store()
    except OlderSchema:
        with opened(root):
            pass
        store = workspace.read_store()
    with store:
        yield store
