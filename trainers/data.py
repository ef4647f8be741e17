"""What an algorithm gets to learn from: chosen trajectories, and how rows are to be made of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from wisen.core.errors import SettingsError
from wisen.core.records import Record, Trajectory
from wisen.models.tokens import Codec
from wisen.trainers.dataset import Row, decisions, merged
from wisen.trainers.filters import Expression, chosen, return_of

Attempts = tuple[Trajectory, ...]


class DataSettings(Record):
    """filter: which trajectories, an expression over `wisen.trainers.filters.NAMES` (empty: all). view: a row for each
    decision ("steps"), or one for as many as extend one another ("whole"). memory: what prompts showed of it is kept or
    stripped; sampled with it and trained without is context distillation. returns: what an attempt is worth: its
    success, or the sum of its rewards."""

    filter: str = ""
    view: Literal["steps", "whole"] = "steps"
    memory: Literal["keep", "strip"] = "keep"
    returns: Literal["success", "reward"] = "success"


AS_IT_IS = DataSettings()


@dataclass(frozen=True)
class Dataset:
    """Trajectories in the order in which they were played, and the seed that fixes every draw. codec: None where the
    backbone has no tags for spans; then nothing can be written for it afresh."""

    trajectories: tuple[Trajectory, ...]
    settings: DataSettings = AS_IT_IS
    codec: Codec | None = None
    seed: int = 0

    @classmethod
    def of(
        cls, trajectories: Sequence[Trajectory], settings: DataSettings, *, codec: Codec | None = None, seed: int = 0
    ) -> "Dataset":
        """Raises `SettingsError` for a filter that cannot be read."""
        kept = chosen(trajectories, Expression(settings.filter), settings.returns) if settings.filter else trajectories
        return cls(tuple(kept), settings, codec, seed)

    def worth(self, trajectory: Trajectory) -> float:
        return return_of(trajectory, self.settings.returns)

    def rows(self, trajectory: Trajectory) -> list[Row]:
        """One row per decision, each token of weight 1, memory as the settings have it."""
        return decisions(trajectory, strip=self.settings.memory == "strip")

    def shaped(self, rows: Sequence[Row]) -> list[Row]:
        """Rows in the view that is asked for; those that nothing is left to train on go."""
        shaped = merged(rows) if self.settings.view == "whole" else rows
        return [row for row in shaped if row.trained]

    def unit(self, row: Row) -> str:
        """What counts as one example: a decision, or a whole trajectory."""
        return row.trajectory_id if self.settings.view == "whole" else f"{row.trajectory_id}/{row.step}"

    @cached_property
    def attempts(self) -> Mapping[str, Attempts]:
        """All attempts at each task, by its id."""
        return _grouped(self.trajectories)

    @property
    def newest(self) -> Attempts:
        """What the release that played last has played."""
        if not self.trajectories:
            return ()
        last = self.trajectories[-1].release_id
        return tuple(one for one in self.trajectories if one.release_id == last)

    @property
    def releases(self) -> tuple[str, ...]:
        """Those that played, the newest first."""
        return tuple(dict.fromkeys(one.release_id for one in reversed(self.trajectories)))

    def groups(self, trajectories: Sequence[Trajectory]) -> list[Attempts]:
        """Attempts at the same task by the same release, where there are several."""
        by_release: dict[tuple[str, str], list[Trajectory]] = defaultdict(list)
        for one in trajectories:
            by_release[one.task.id, one.release_id].append(one)
        return [tuple(group) for group in by_release.values() if len(group) > 1]

    def require_codec(self, what: str) -> Codec:
        if self.codec is None:
            raise SettingsError(f"{what} writes rows afresh, and this backbone has no tags for spans", "leave it out")
        return self.codec


def _grouped(trajectories: Sequence[Trajectory]) -> dict[str, Attempts]:
    found: dict[str, list[Trajectory]] = defaultdict(list)
    for one in trajectories:
        found[one.task.id].append(one)
    return {task: tuple(group) for task, group in found.items()}
