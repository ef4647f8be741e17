"""Commands by which a person judges an item: approve, refuse, retire, revive."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from wisen.app.commands.memory.common import (
    DEFAULT_WORKSPACE,
    PERSON,
    ItemsArgument,
    ReasonOption,
    WorkspaceOption,
    app,
    known,
    say,
    versions_said,
)

if TYPE_CHECKING:
    from wisen.memory.bank import Bank


@app.command()
def approve(items: ItemsArgument, workspace: WorkspaceOption = DEFAULT_WORKSPACE, reason: ReasonOption = "") -> None:
    """Let items that wait, or that the guard holds, be recalled: they go on probation."""
    _each(workspace, items, lambda bank, key: bank.approve(key, actor=PERSON, reason=reason))


@app.command()
def refuse(items: ItemsArgument, workspace: WorkspaceOption = DEFAULT_WORKSPACE, reason: ReasonOption = "") -> None:
    """Put items that wait in quarantine."""
    _each(workspace, items, lambda bank, key: bank.refuse(key, actor=PERSON, reason=reason))


@app.command()
def retire(items: ItemsArgument, workspace: WorkspaceOption = DEFAULT_WORKSPACE, reason: ReasonOption = "") -> None:
    """Take items out of use. They stay in the bank."""
    _each(workspace, items, lambda bank, key: bank.retire(key, actor=PERSON, reason=reason))


@app.command()
def revive(items: ItemsArgument, workspace: WorkspaceOption = DEFAULT_WORKSPACE, reason: ReasonOption = "") -> None:
    """Put retired items on probation again."""
    _each(workspace, items, lambda bank, key: bank.revive(key, actor=PERSON, reason=reason))


def _each(workspace: Path, keys: list[str], do: Callable[["Bank", str], int]) -> None:
    """In their order; an unknown id among them is refused before anything is done."""
    from wisen.app.opened import opened
    from wisen.memory.bank import Bank

    with opened(workspace) as store:
        bank = Bank(store)
        before = bank.snapshot()
        for key in keys:
            known(before, key)
        for key in keys:
            version = do(bank, key)
            say(f"{key} is {bank.snapshot(version).statuses[key]}")
        say(versions_said(before.version, bank.version))
