"""What an algorithm is: rows of a dataset, each with weights per token, and the losses that those weights are of."""

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from wisen.core.errors import SettingsError, WisenError
from wisen.core.ids import derived_seed
from wisen.core.records import Record, Trajectory
from wisen.trainers.data import Attempts, Dataset
from wisen.trainers.dataset import Row, muted
from wisen.trainers.loop import IMITATE, Loss, Seen


class NothingToTrain(WisenError):
    """What was collected holds nothing that the algorithm could learn from."""


class Algorithm(Record, ABC):
    """An algorithm; its fields are its options. rate: the share of `train.loop.learning_rate` that it takes: what
    pushes probabilities down needs smaller steps than imitation. epochs: most passes over its rows.

    It knows no model and no optimiser. A trainer asks it for rows, lets it `select` among them once `reference` is
    known, and minimises the sum of its losses.
    """

    name: ClassVar[str]
    attempts: ClassVar[int] = 1  # of one task, that it must have to learn anything
    ratios: ClassVar[bool] = False  # it weighs by the sampler's log-probabilities: prompts must be as they were
    imitates: ClassVar[bool] = False  # its rows stand for themselves, so that renamed ones may stand beside them
    lacking: ClassVar[str] = "no collected episode succeeded"  # why there may be nothing to train on

    rate: float = Field(0.1, gt=0)
    epochs: int = Field(2, ge=1)

    @abstractmethod
    def rows(self, dataset: Dataset) -> list[Row]:
        """What to train on. Raises `SettingsError` where the dataset is made in a way that it cannot learn from."""

    def losses(self) -> Mapping[str, Loss]:
        """By the names that its rows bear."""
        return IMITATE

    @property
    def needs_reference(self) -> bool:
        """Whether it needs the log-probabilities under the weights that training begins with."""
        return False

    def select(self, rows: Sequence[Row]) -> list[Row]:
        """Those to train on, when `reference` is known of all."""
        return list(rows)

    def check(self, dataset: Dataset) -> None:
        """Raises `SettingsError` where importance ratios would compare two different prompts."""
        if self.ratios and dataset.settings.memory == "strip":
            raise SettingsError(
                f"{self.name} weighs tokens by how probable the sampler found them, and without the memory that it saw "
                "that is another prompt",
                "data.memory = keep, or rft, dpo or kto",
            )


def played_rows(dataset: Dataset, trajectory: Trajectory, weight: float, loss: str, *, ratios: bool) -> list[Row]:
    """The decisions of an attempt with one weight. What was drawn uniformly was not sampled by the policy: it stays as
    context, without loss, as does, for `ratios`, what the sampler's log-probabilities are not known of."""
    rows = [row.weighed(weight, loss) for row in dataset.rows(trajectory)]
    return [muted(row) if row.explored or (ratios and not row.old) else row for row in rows]


def needed_groups(dataset: Dataset, trajectories: Sequence[Trajectory], name: str) -> list[Attempts]:
    """Attempts at one task by one release. Raises `NothingToTrain` where nothing was attempted twice."""
    groups = dataset.groups(trajectories)
    if not groups:
        raise NothingToTrain(
            f"{name} compares attempts at one task, and each was attempted once by a release",
            "collect.attempts = 4, or more",
        )
    return groups


def drawn(items: Sequence[Any], most: int, *what: object) -> list[Any]:
    """At most so many, by a seed that derives from `what`, in their order."""
    if len(items) <= most:
        return list(items)
    return [items[at] for at in sorted(random.Random(derived_seed(*what)).sample(range(len(items)), most))]


def sequence_gain(seen: Seen) -> Any:
    """[n] by how much each token became more probable than it was when training began."""
    return seen.logprobs - seen.reference
