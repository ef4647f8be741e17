"""Commands that write to the bank: add, edit, restore."""

from pathlib import Path
from typing import Annotated

import typer

from wisen.app.commands.memory.common import (
    DEFAULT_WORKSPACE,
    PERSON,
    ItemArgument,
    JsonOption,
    ReasonOption,
    WorkspaceOption,
    app,
    as_json,
    known,
    say,
    say_json,
    versions_said,
)

ContentOption = Annotated[str | None, typer.Option("--content", "-c", help="The advice itself.")]
TitleOption = Annotated[str | None, typer.Option("--title", "-t", help="A few words. [default: from the content]")]
WhenOption = Annotated[str | None, typer.Option("--when", help="The situation that it is for.")]
WhenNotOption = Annotated[str | None, typer.Option("--when-not", help="Where it does not hold.")]


@app.command()
def add(
    file: Annotated[
        Path | None,
        typer.Argument(help="JSON lines, one item each; - reads them from stdin.", metavar="FILE", show_default=False),
    ] = None,
    content: ContentOption = None,
    title: TitleOption = None,
    when: WhenOption = None,
    when_not: WhenNotOption = None,
    kind: Annotated[
        str | None, typer.Option(help="strategy, warning, workflow, skill, fact or case. [default: strategy]")
    ] = None,
    suite: Annotated[str | None, typer.Option(help="Only for this suite or application. [default: any]")] = None,
    environment: Annotated[str | None, typer.Option(help="Only for this environment. [default: any]")] = None,
    needs: Annotated[
        list[str] | None, typer.Option(help="An action or tool that the advice needs. May be repeated.", metavar="VERB")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Add what you know: one item from options, or many from JSON lines.

    A line holds `content`, and may hold `title`, `when_to_use`, `when_not`, `kind`, and `scope` with `suite`,
    `environment` and `actions`. All lines are added, or none. Items go through the guard and start on probation; the
    workspace is made where there is none.
    """
    from wisen.app.opened import opened
    from wisen.app.written import from_lines, from_options, lines_of, passing
    from wisen.core.errors import SettingsError
    from wisen.memory.bank import Bank

    given = {"content": content, "title": title, "when_to_use": when, "when_not": when_not, "kind": kind}
    options = {name: value for name, value in given.items() if value is not None}
    places = {"suite": suite, "environment": environment, "actions": needs}
    scope = {name: value for name, value in places.items() if value}
    if file is not None and (options or scope):
        raise SettingsError("both a file and options for one item are given", "leave out one of the two")
    if file is None and "content" not in options:
        raise SettingsError("nothing to add", "give --content, or a FILE of JSON lines (- for stdin)")
    items = (
        from_options(options, scope)
        if file is None
        else from_lines(lines_of(file), "stdin" if str(file) == "-" else str(file))
    )
    checked = passing(items)
    with opened(workspace, create=True) as store:
        bank = Bank(store)
        before = bank.snapshot()
        after = bank.snapshot(bank.propose([verdict.item for verdict in checked], actor=PERSON))
    keys = [verdict.item.id for verdict in checked]
    if json:
        added = as_json(after, dict.fromkeys(keys))
        say_json({"version": after.version, "items": [one | {"new": one["id"] not in before.items} for one in added]})
        return
    for verdict in checked:
        key = verdict.item.id
        notes = ["was there already"] if key in before.items else []
        say(f"{key} is {after.statuses[key]}" + "".join(f"; {note}" for note in [*notes, *verdict.reasons]))
    say(versions_said(before.version, after.version))


@app.command()
def edit(
    item: ItemArgument,
    content: ContentOption = None,
    title: Annotated[str | None, typer.Option("--title", "-t", help="A few words.")] = None,
    when: WhenOption = None,
    when_not: WhenNotOption = None,
    reason: ReasonOption = "",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Write an item's texts anew, by options or, without any, in $EDITOR.

    Other advice or another situation makes a new version, with the old one as its parent: it has to prove itself anew.
    """
    from wisen.app.opened import opened
    from wisen.app.written import edited
    from wisen.core.errors import SettingsError
    from wisen.memory.bank import Bank

    given = {"title": title, "when_to_use": when, "when_not": when_not, "content": content}
    texts = {name: value for name, value in given.items() if value is not None}
    with opened(workspace) as store:
        bank = Bank(store)
        before = bank.version
        old = known(bank.snapshot(), item)
        if old.kept is not None:
            place = "/".join((*old.kept.namespace, old.kept.key))
            raise SettingsError(f"{item} is what an application keeps as {place}", "change it there, or retire it")
        key, version = bank.edit(item, actor=PERSON, reason=reason, **(texts or edited(old)))
        after = bank.snapshot(version)
    if json:
        say_json({"id": key, "status": after.statuses[key].value, "version": version})
        return
    now = f"{item} has a new version, {key}: it" if key != item else item
    say(f"{now} is {after.statuses[key]}", versions_said(before, version))


@app.command()
def restore(
    version: Annotated[int, typer.Argument(help="The bank version to go back to.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Set the bank back to what it was at a version. History is kept: a restore is an event that can be undone."""
    from wisen.app.opened import opened
    from wisen.memory.bank import Bank

    with opened(workspace) as store:
        bank = Bank(store)
        before = bank.version
        after = bank.restore(version, actor=PERSON, reason="wisen memory restore")
        count = len(bank.snapshot(after))
    say(
        f"the bank holds {count} items again, as at version {version}; this is version {after}, "
        f"and `wisen memory restore {before}` undoes it. The present release keeps the version it was gated with"
    )
