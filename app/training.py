"""What `wisen data` and `wisen train` share: settings, the workspace's attempts, and the weights to begin with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from wisen.core.errors import SettingsError, WisenError
from wisen.core.records import Phase, Trajectory
from wisen.core.settings import Settings, load, merged, nested
from wisen.core.workspace import Workspace
from wisen.trainers.settings import TrainSettings

if TYPE_CHECKING:
    from wisen.core.store import Store


class TrainRunSettings(Settings):
    """`wisen train` and `wisen data build`: the table [train] as in evolve's settings, and a seed."""

    seed: int = Field(0, ge=0)
    train: TrainSettings = TrainSettings()


@dataclass(frozen=True)
class Material:
    """trajectories: that were collected to learn from, in the order in which they were played. parent: the folder of
    the weights to begin with."""

    trajectories: tuple[Trajectory, ...]
    parent: Path


def resolved(
    config: Path | None, assignments: Sequence[str], flags: Mapping[str, Any], data: Mapping[str, Any]
) -> TrainRunSettings:
    """Flags over assignments over the file."""
    given = {key: value for key, value in flags.items() if value is not None}
    chosen = {key: value for key, value in data.items() if value is not None}
    seed = {"seed": given.pop("seed")} if "seed" in given else {}
    asked = {**seed, "train": {**given, **({"data": chosen} if chosen else {})}}
    return load(TrainRunSettings, file=config, overrides=merged(nested(assignments), asked))


def material(store: "Store", workspace: Workspace, parent: str) -> Material:
    """What there is to train on, and from where. parent: a checkpoint or release by name; empty: the present release.
    Raises `WisenError`."""
    wanted = [key for run in store.runs() for key in store.trajectory_ids(run.id)]
    found = tuple(one for one in store.trajectories(wanted) if one.phase is Phase.COLLECT)
    if not found:
        raise WisenError(f"nothing was collected in {workspace.root}", "run `wisen evolve` first")
    return Material(found, workspace.weights / checkpoint_of(store, parent))


def checkpoint_of(store: "Store", name: str) -> str:
    """The checkpoint of that name, or of the release of that name, or of the present one."""
    release = store.release(name) if name else store.current_release()
    model = release.model if release is not None else name
    if store.checkpoint(model) is None:
        known = ", ".join(one.name for one in store.checkpoints()) or "none"
        raise SettingsError(f"there are no weights {model or 'of a present release'!r} here", f"there is {known}")
    return model
