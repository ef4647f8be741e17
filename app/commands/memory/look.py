"""Commands that read the bank: list, show, why, stats, diff. They work beside a process that owns the workspace."""

from typing import Annotated

import typer

from wisen.app.commands.memory.common import (
    DEFAULT_WORKSPACE,
    ItemArgument,
    JsonOption,
    VersionOption,
    WorkspaceOption,
    app,
    as_json,
    known,
    say,
    say_json,
)


@app.command("list")
def list_items(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    version: VersionOption = None,
    status: Annotated[
        str, typer.Option(help="Only candidate, probation, active, retired or quarantined ones.", metavar="STATUS")
    ] = "",
    kind: Annotated[
        str, typer.Option(help="Only strategies, warnings, workflows, skills, facts or cases.", metavar="KIND")
    ] = "",
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait for your approval.")] = False,
    json: JsonOption = False,
) -> None:
    """One line per item: id, status, kind, evidence, what it says."""
    from wisen.app.opened import readable
    from wisen.core.errors import SettingsError
    from wisen.core.records import ItemKind, ItemStatus
    from wisen.memory.bank import Bank

    for given, name, names in ((status, "status", ItemStatus), (kind, "kind", ItemKind)):
        if given and given not in set(names):
            raise SettingsError(f"there is no {name} {given!r}", f"one of {', '.join(names)}")
    if waiting and status:
        raise SettingsError("--waiting is a choice of status itself", "leave out one of the two")
    with readable(workspace) as store:
        snapshot = Bank(store).snapshot(version)
    wanted = {item.id for item in snapshot.queue()} if waiting else snapshot.items.keys()
    keys = [
        key
        for key in sorted(snapshot.items)
        if key in wanted and status in ("", snapshot.statuses[key]) and kind in ("", snapshot.items[key].kind)
    ]
    if json:
        say_json(as_json(snapshot, keys))
        return
    for key in keys:
        item = snapshot.items[key]
        evidence = f"{len(item.evidence):3} episodes"
        text = " -> ".join(part for part in (item.when_to_use, item.content) if part)
        say(f"{key}  {snapshot.statuses[key]:11} {item.kind:9} {evidence}  {text}")
    of = "" if len(keys) == len(snapshot) else f" of {len(snapshot)}"
    say(f"{len(keys)}{of} items at bank version {snapshot.version}")


@app.command()
def show(
    item: ItemArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    version: VersionOption = None,
    json: JsonOption = False,
) -> None:
    """Everything about one item: text, scope, source, versions, measured effect, history."""
    from wisen.app import explained, lineage
    from wisen.app.opened import readable
    from wisen.memory.bank import Bank

    with readable(workspace) as store:
        snapshot = Bank(store).snapshot(version)
        found = known(snapshot, item)
        versions = lineage.versions(snapshot, found)
        sources = lineage.sources(store, found)
        effects = explained.effects(store, snapshot, item)
        history = [event for event in store.events(snapshot.version) if event.item_id == item]
    if json:
        parts = {
            "versions": [{"id": one.id, "status": snapshot.statuses[one.id].value} for one in versions],
            "sources": [source.as_json() for source in sources],
            "measured": [effect.as_json() for effect in effects],
            "history": [
                {"version": event.seq, "kind": event.kind.value, "status": event.status and event.status.value}
                | {"actor": event.actor, "reason": event.reason, "figures": event.figures}
                for event in history
            ],
        }
        say_json(as_json(snapshot, [item])[0] | parts)
        return
    scope = found.scope
    where = ", ".join(
        f"{name} {part}" for name, part in (("suite", scope.suite), ("environment", scope.environment)) if part
    )
    lines = [
        f"{found.title}  ({found.kind}, {snapshot.statuses[item]}, trust: {found.trust})",
        f"when:     {found.when_to_use}",
        *([f"not when: {found.when_not}"] if found.when_not else []),
        f"advice:   {found.content}",
        f"scope:    {where or 'any suite'}, needs {', '.join(scope.actions) or 'nothing'}",
        *([f"kept as:  {'/'.join((*found.kept.namespace, found.kept.key))}"] if found.kept else []),
        f"author:   {found.author.distiller} {found.author.model}".rstrip(),
        f"evidence: {len(found.evidence)} episodes" + (", the newest first:" if found.evidence else ""),
        *(f"  {source}" for source in sources),
        *(["versions:"] if len(versions) > 1 else []),
        *(
            f"  {one.id}  {snapshot.statuses[one.id]:11} {one.content}" + ("  (this one)" if one.id == item else "")
            for one in (versions if len(versions) > 1 else ())
        ),
        "measured effect:",
        *(f"  {effect}" for effect in effects),
        *([] if effects else ["  no randomised appearance yet"]),
        "history:",
        *(
            f"  version {event.seq}: {event.kind} {event.status or ''} by {event.actor} {event.reason}".rstrip()
            for event in history
        ),
    ]
    say(*lines)


@app.command()
def why(
    id: Annotated[str, typer.Argument(help="An episode's id, or an item's.", metavar="ID")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Explain a recall. Of an episode: why it was shown what it was shown. Of an item: where it comes from, and each
    time it was considered, with score, rank, probability, draw and outcome; what its effect was measured to be."""
    from wisen.app import explained
    from wisen.app.opened import readable
    from wisen.core.errors import SettingsError
    from wisen.memory.bank import Bank

    with readable(workspace) as store:
        snapshot = Bank(store).snapshot()
        if id in snapshot.items:
            answer = explained.of_item(store, snapshot, id)
        else:
            recalls = store.recalls([id])
            if not recalls:
                raise SettingsError(
                    f"{id!r} is no item of the bank, and no recall of an episode of that id is in the store",
                    "give the id of an item or of a trajectory",
                )
            answer = explained.of_episode(store, recalls, snapshot)
    if json:
        say_json(answer.data)
    else:
        say(*answer.lines)


@app.command()
def stats(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE, version: VersionOption = None, json: JsonOption = False
) -> None:
    """The bank in figures: statuses, what each item was measured to be worth, what kinds of items have in common."""
    from wisen.app.credits import accounts, summary, summary_data
    from wisen.app.opened import readable
    from wisen.evolution.crediting import largest
    from wisen.memory.bank import Bank

    with readable(workspace) as store:
        snapshot = Bank(store).snapshot(version)
        credits = largest(one for _, found in accounts(store, snapshot) for one in found)
    if json:
        say_json(summary_data(snapshot, credits))
    else:
        say(*summary(snapshot, credits))


@app.command()
def diff(
    old: Annotated[int, typer.Argument(help="A bank version.", metavar="A")],
    new: Annotated[int | None, typer.Argument(help="Another. [default: the newest]", metavar="B")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """What changed from one bank version to another: + came, - went, ~ has another status or more evidence."""
    from wisen.app.opened import readable
    from wisen.memory.bank import Bank

    with readable(workspace) as store:
        bank = Bank(store)
        found = bank.diff(old, new)
    if json:
        changed = [
            {"id": one.item.id, "before": one.before.value, "after": one.after.value, "evidence": list(one.evidence)}
            for one in found.changed
        ]
        came, went = ([one.model_dump(mode="json") for one in part] for part in (found.added, found.removed))
        say_json({"old": found.old, "new": found.new, "added": came, "removed": went, "changed": changed})
        return
    lines = [
        f"{sign} {one.id}  {one.content}" for sign, part in (("+", found.added), ("-", found.removed)) for one in part
    ]
    for one in found.changed:
        what = [f"{one.before} -> {one.after}"] if one.before is not one.after else []
        what += [f"{len(one.evidence)} more episodes"] if one.evidence else []
        lines.append(f"~ {one.item.id}  {', '.join(what) or 'other text'}  {one.item.content}")
    say(*lines, f"{len(lines)} items differ between bank versions {found.old} and {found.new}")
