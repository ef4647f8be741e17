"""Commands that carry the bank elsewhere, and that make its index anew: export, import, reindex."""

from pathlib import Path
from typing import Annotated

import typer

from wisen.app.commands.memory.common import (
    DEFAULT_WORKSPACE,
    PERSON,
    VersionOption,
    WorkspaceOption,
    app,
    say,
    versions_said,
)


@app.command("export")
def export_items(
    file: Annotated[Path, typer.Argument(help="Where to write JSON lines.", metavar="FILE")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    version: VersionOption = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write the items of a bank version as JSON lines, with their statuses."""
    from wisen.app.opened import readable
    from wisen.core.disk import disk_faults
    from wisen.core.errors import SettingsError
    from wisen.memory.bank import Bank

    if file.is_file() and not force:
        raise SettingsError(f"{file} is there already", "name another file, or give --force")
    with readable(workspace) as store, disk_faults(f"could not write {file}"):
        bank = Bank(store)
        count = bank.export_items(file, version)
        say(f"wrote {count} items of bank version {bank.version if version is None else version} to {file}")


@app.command("import")
def import_items(
    file: Annotated[Path, typer.Argument(help="What `wisen memory export` wrote.", metavar="FILE")],
    trusted: Annotated[
        bool,
        typer.Option("--trusted", help="The file is your own: what it says of trust holds, and nothing waits."),
    ] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Take in the items of an exported file. They go through the guard and wait for `wisen memory approve`."""
    from wisen.app.opened import opened
    from wisen.core.errors import SettingsError
    from wisen.memory.bank import Bank

    try:
        file.read_text(encoding="utf-8")  # before a workspace is made
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file} cannot be read: {error}", "name a file that `wisen memory export` wrote"
        ) from error
    with opened(workspace, create=True) as store:
        bank = Bank(store)
        before = bank.snapshot()
        after = bank.snapshot(bank.import_items(file, actor=PERSON, hold=not trusted))
    new = [key for key in after.items if key not in before.items]
    statuses = [after.statuses[key].value for key in new]
    counts = ", ".join(f"{statuses.count(name)} {name}" for name in sorted(set(statuses)))
    say(f"{len(new)} new items" + (f": {counts}" if counts else ""), versions_said(before.version, after.version))
    if after.queue():
        say("`wisen memory list --waiting` shows what waits for approval")


@app.command()
def reindex(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Make the vector index anew from the store, which is the truth."""
    import asyncio

    from wisen.app.opened import opened
    from wisen.core.workspace import Workspace
    from wisen.memory.bank import Bank
    from wisen.memory.index import ChromaIndex
    from wisen.models.embedder import MiniLM

    async def rebuild(items: list) -> int:
        index = ChromaIndex.of(Workspace(workspace), MiniLM())
        try:
            await index.rebuild(items)
            return len(await index.ids())
        finally:
            await index.close()

    with opened(workspace) as store:
        snapshot = Bank(store).snapshot()
        count = asyncio.run(rebuild(list(snapshot.items.values())))
    say(f"the index holds {count} items, all of bank version {snapshot.version}")
