"""`wisen memory consolidate`: what tidying the bank would do. It only shows; `wisen evolve` tries it on the gate."""

from typing import Annotated

import typer

from wisen.app.commands.memory.common import DEFAULT_WORKSPACE, VersionOption, WorkspaceOption, app, say


@app.command()
def consolidate(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    version: VersionOption = None,
    near: Annotated[
        float, typer.Option(help="Least cosine at which two items say the same.", min=0.01, max=1.0)
    ] = 0.90,
    budget: Annotated[
        int, typer.Option(help="Items in use beyond which those never recalled retire; 0: any number.", min=0)
    ] = 0,
) -> None:
    """Show what would be merged and what pruned. Changes nothing: `wisen evolve --set consolidate.every=1` tries it."""
    import asyncio

    from wisen.app.opened import readable
    from wisen.evolution.crediting import collected, largest
    from wisen.memory.bank import Bank
    from wisen.memory.consolidation import ConsolidationSettings, plan
    from wisen.memory.credit import credit, restarts
    from wisen.models.embedder import MiniLM

    with readable(workspace) as store:
        snapshot = Bank(store).snapshot(version)
        begun = restarts(store.events(snapshot.version))
        parts = [part for run in store.runs() for part in collected(store, run.id)]
    credits = largest(one for part in parts for one in credit(part.recalls, part.outcomes, snapshot.items, begun=begun))
    proposal = asyncio.run(
        plan(
            snapshot,
            MiniLM(),
            credits=tuple(credits.values()),
            recalls=[recall for part in parts for recall in part.recalls],
            settings=ConsolidationSettings(near=near, budget=budget),
        )
    )
    for merge in proposal.merges:
        say(f"{merge.into}  {snapshot.items[merge.into].content}")
        say(*(f"  would absorb {key}  {snapshot.items[key].content}" for key in merge.absorbed))
    for pruned in proposal.pruned:
        item = snapshot.items[pruned.item_id]
        say(f"{pruned.item_id}  {item.content}", f"  would be {pruned.status}: {pruned.reason}")
    say(
        f"{proposal.summary}, of {len(snapshot.recallable)} items in use at bank version {snapshot.version}; "
        "nothing was changed"
    )
