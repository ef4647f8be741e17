"""`wisen memory`: what the agent remembers, where it comes from, and undo."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at the memory bank, and set it back.")

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace.", metavar="DIR")]
VersionOption = Annotated[int | None, typer.Option("--version", "-v", help="A bank version. [default: the newest]")]
DEFAULT_WORKSPACE = Path(".wisen")


@app.command("list")
def list_items(workspace: WorkspaceOption = DEFAULT_WORKSPACE, version: VersionOption = None) -> None:
    """One line per item: id, status, kind, evidence, what it says."""
    from rich.console import Console

    from wisen.app.opened import readable
    from wisen.memory.bank import Bank

    console = Console()
    with readable(workspace) as store:
        snapshot = Bank(store).snapshot(version)
    for key, item in sorted(snapshot.items.items()):
        status = snapshot.statuses[key]
        line = f"{key}  {status:11} {item.kind:9} {len(item.evidence):3} episodes  {item.when_to_use} -> {item.content}"
        console.print(line, markup=False, soft_wrap=True, highlight=False)
    console.print(f"{len(snapshot)} items at bank version {snapshot.version}", markup=False)


@app.command()
def show(
    item: Annotated[str, typer.Argument(help="The item's id.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    version: VersionOption = None,
) -> None:
    """Everything about one item: text, scope, evidence, measured lift, history."""
    from rich.console import Console

    from wisen.app.credits import of_item
    from wisen.app.opened import readable
    from wisen.core.errors import SettingsError
    from wisen.memory.bank import Bank

    console = Console()
    with readable(workspace) as store:
        snapshot = Bank(store).snapshot(version)
        events = [event for event in store.events(snapshot.version) if event.item_id == item]
        measured = of_item(store, snapshot, item)
    if item not in snapshot.items:
        raise SettingsError(f"bank version {snapshot.version} has no item {item!r}", "`wisen memory list` lists them")
    found = snapshot.items[item]
    lines = [
        f"{found.title}  ({found.kind}, {snapshot.statuses[item]}, trust: {found.trust})",
        f"when:     {found.when_to_use}",
        *([f"not when: {found.when_not}"] if found.when_not else []),
        f"advice:   {found.content}",
        f"scope:    suite {found.scope.suite or 'any'}, needs {', '.join(found.scope.actions) or 'nothing'}",
        f"author:   {found.author.distiller} {found.author.model}".rstrip(),
        f"evidence: {', '.join(found.evidence)}",
        "measured lift:",
        *(f"  {line}" for line in measured),
        "history:",
        *(
            f"  version {event.seq}: {event.kind} {event.status or ''} by {event.actor} {event.reason}".rstrip()
            for event in events
        ),
    ]
    console.print("\n".join(lines), markup=False, soft_wrap=True, highlight=False)


@app.command()
def stats(workspace: WorkspaceOption = DEFAULT_WORKSPACE, version: VersionOption = None) -> None:
    """The bank in figures: statuses, what each item was measured to be worth, what kinds of items have in common."""
    from rich.console import Console

    from wisen.app.credits import accounts, summary
    from wisen.app.opened import readable
    from wisen.evolution.crediting import largest
    from wisen.memory.bank import Bank

    with readable(workspace) as store:
        snapshot = Bank(store).snapshot(version)
        credits = largest(one for _, found in accounts(store, snapshot) for one in found)
    Console().print("\n".join(summary(snapshot, credits)), markup=False, soft_wrap=True, highlight=False)


@app.command()
def why(
    episode: Annotated[str, typer.Argument(help="The id of an episode's trajectory.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Why an episode was shown what it was shown: scores, ranks, draws, and what was measured of each item."""
    from rich.console import Console

    from wisen.app.credits import explained
    from wisen.app.opened import readable
    from wisen.core.errors import SettingsError
    from wisen.memory.bank import Bank

    with readable(workspace) as store:
        recalls = store.recalls([episode])
        if not recalls:
            raise SettingsError(f"no recall of an episode {episode!r} is in the store", "give a trajectory's id")
        snapshot = Bank(store).snapshot()
        lines = [line for recall in recalls for line in explained(store, recall, snapshot)]
    Console().print("\n".join(lines), markup=False, soft_wrap=True, highlight=False)


@app.command()
def restore(
    version: Annotated[int, typer.Argument(help="The bank version to go back to.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Set the bank back to what it was at a version. History is kept: a restore is an event that can be undone."""
    from rich.console import Console

    from wisen.app.opened import opened
    from wisen.memory.bank import Bank

    with opened(workspace) as store:
        bank = Bank(store)
        before = bank.version
        after = bank.restore(version, actor="person", reason="wisen memory restore")
        count = len(bank.snapshot(after))
    Console().print(
        f"the bank holds {count} items again, as at version {version}; this is version {after}, "
        f"and `wisen memory restore {before}` undoes it. The present release keeps the version it was gated with",
        markup=False,
        soft_wrap=True,
    )
