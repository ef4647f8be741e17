"""`wisen train`: weights by any algorithm from what a workspace collected. No release: the gate decides on those."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from wisen.app.training import TrainRunSettings, material, resolved
from wisen.core.errors import SettingsError
from wisen.core.workspace import Workspace

if TYPE_CHECKING:
    from wisen.core.store import Store
    from wisen.trainers.estimate import Estimate
    from wisen.trainers.trainer import Replay


def run_train(
    root: Path,
    config: Path | None,
    assignments: Sequence[str],
    *,
    algorithm: str | None,
    parent: str,
    name: str,
    seed: int | None,
    dry_run: bool,
) -> None:
    from wisen.trainers.trainer import Trainer

    settings = resolved(config, assignments, {"algorithm": algorithm, "seed": seed}, {})
    workspace, console = Workspace(root), Console()
    workspace.require_store()
    Trainer(settings.train)  # what it does not know is said before anything is opened
    with workspace.lock(), workspace.open_store() as store:
        if dry_run:
            _estimated(store, workspace, settings, parent, console)
        else:
            _trained(store, workspace, settings, parent, name, console)


def _estimated(store: "Store", workspace: Workspace, settings: TrainRunSettings, parent: str, console: Console) -> None:
    from wisen.trainers.estimate import estimate
    from wisen.trainers.trainer import Trainer

    found = material(store, workspace, parent)
    trainer = Trainer(settings.train, replay=_replay(found.parent))
    told = estimate(trainer, found.trajectories, parent=found.parent, seed=settings.seed)
    lines = estimate_lines(told, settings.train.device)
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def estimate_lines(told: "Estimate", device: str) -> list[str]:
    from wisen.models.memory import GIB

    free = "unknown" if told.free is None else f"{told.free / GIB:.1f} GiB"
    return [
        f"rows     {told.rows:,} of {told.trajectories:,} attempts, {told.units:,} to count as one each",
        f"tokens   {told.tokens:,} in {told.epochs} epochs and {told.steps:,} steps; longest row {told.longest:,}",
        f"trained  {told.trained:,} tokens an epoch carry loss",
        f"time     about {told.seconds:,.0f} s on {device}, by one batch that was tried",
        f"memory   about {told.needed / GIB:.2f} GiB; free: {free}",
    ]


def _trained(
    store: "Store", workspace: Workspace, settings: TrainRunSettings, parent: str, name: str, console: Console
) -> None:
    from wisen.trainers.trainer import Trainer

    found = material(store, workspace, parent)
    known = {one.name for one in store.checkpoints()} | {path.name for path in workspace.weights.iterdir()}
    wanted = name or next(
        each for number in range(1, len(known) + 2) if (each := f"{settings.train.algorithm}-{number}") not in known
    )
    if wanted in known:
        raise SettingsError(f"there are weights {wanted} already", "a name never means two: give another --name")
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("loss {task.fields[loss]:.3f}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(settings.train.algorithm, total=None, loss=0.0)

        def tick(done: int, total: int, loss: float) -> None:
            bar.update(task, completed=done, total=total, loss=loss)

        trainer = Trainer(settings.train, tick, replay=_replay(found.parent))
        checkpoint = trainer.train(
            found.trajectories, parent=found.parent, out=workspace.weights / wanted, seed=settings.seed
        )
    store.add_checkpoint(checkpoint)
    recipe = checkpoint.recipe
    console.print(
        f"{checkpoint.name}: {recipe['rows']:,} rows of {recipe['trajectories']:,} attempts, {recipe['tokens']:,} "
        f"tokens, loss {recipe['first_loss']:.3f} to {recipe['last_loss']:.3f}, from {checkpoint.parent}. It is in no "
        f"release: `wisen run --model {checkpoint.name}` plays it",
        markup=False,
        soft_wrap=True,
    )


def _replay(parent: Path) -> "Replay":
    """Rows of what the weights learned first: sprout's lessons for what came from sprout, else made-up pages."""
    import json

    from wisen.models import sprout
    from wisen.trainers.checkpoints import CARD
    from wisen.trainers.sprout.replay import lesson_row
    from wisen.trainers.warmup import made_up_row

    name: str | None = parent.name
    while name is not None and name != sprout.NAME:
        card = parent.with_name(name) / CARD
        name = json.loads(card.read_text())["parent"] if card.exists() else None
    return made_up_row if name is None else lesson_row
