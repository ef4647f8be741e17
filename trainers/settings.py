"""What a training run is made of."""

from typing import Any

from pydantic import Field

from wisen.core.records import Record
from wisen.trainers.data import DataSettings
from wisen.trainers.loop import LoopSettings


class TrainSettings(Record):
    """algorithm: by name (`wisen.trainers.algorithms`), with its options. data: what of the trajectories it gets.

    tokens: about how many are trained on, in whole epochs: at least one, at most `most_epochs` and as many as the
    algorithm allows. cap: rows (or units of rows) of one template at most. rename: share of labels renamed in the extra
    row that each row brings to each epoch (0: no extra rows; only of algorithms that imitate). replay: rows of what the
    backbone learned at first (sprout's lessons, or the pages of the warm-up) per row and epoch, against forgetting it.

    lora: rank of an adapter that is trained in place of all weights and merged into them at the end (0: all weights).
    device: where to compute, such as "cuda". checkpointing: compute activations twice instead of keeping them.
    """

    algorithm: str = "rft"
    options: dict[str, Any] = {}
    data: DataSettings = DataSettings()
    tokens: int = 100_000
    most_epochs: int = 10
    cap: int = 160
    rename: float = 0.5
    replay: float = 1.0
    lora: int = Field(0, ge=0)
    device: str = "cpu"
    checkpointing: bool = False
    threads: int = 2
    loop: LoopSettings = LoopSettings(learning_rate=1e-3, batch_tokens=1536)
