"""Everything that determines a run. The defaults of `EvolveSettings` are the demo."""

from typing import Any, Literal

from pydantic import Field

from wisen.core.records import Record, Split
from wisen.core.settings import Settings
from wisen.memory.recall import RecallSettings
from wisen.models.tiny import TinyShape
from wisen.trainers.rft import RFTSettings
from wisen.trainers.warmup import WarmupSettings


class EpisodeSettings(Record):
    """Limits of every episode: part of the harness, so changing one makes another release."""

    max_steps: int = Field(10, ge=1)
    max_seconds: float = Field(60.0, gt=0)


class CollectSettings(Record):
    """Episodes to learn from, sampled at `temperature` with a share `explore` of actions drawn uniformly.

    The first cycle plays `first` tasks of each template and draws a share `first_explore` uniformly: a policy that
    knows nothing of the tasks yet should try everything. Later cycles play `per_template`, and `weak_extra` more of
    templates that solved less than half of the last cycle's tasks.
    """

    first: int = Field(24, ge=1)
    per_template: int = Field(14, ge=1)
    weak_extra: int = Field(10, ge=0)
    temperature: float = Field(1.0, ge=0)
    explore: float = Field(0.05, ge=0, le=1)
    first_explore: float = Field(1.0, ge=0, le=1)
    rewards: Literal["true", "shuffled"] = "true"  # "shuffled" is the control: outcomes are permuted among episodes


class GateSettings(Record):
    """A panel of `per_template` tasks of each template. Over `uses` gates the probability of any false promotion is at
    most `alpha`: each use may spend an equal share."""

    per_template: int = Field(10, ge=1)
    alpha: float = Field(0.025, gt=0, lt=0.5)
    uses: int = Field(3, ge=1)
    resamples: int = Field(10_000, ge=100)


class ReportSettings(Record):
    per_template: int = Field(10, ge=1)
    seed_offset: int = Field(0, ge=0)  # fresh report seeds for a repetition


class BenchSettings(Settings):
    """What any run needs: where to act, how many at a time, within which limits, with which seed."""

    seed: int = Field(0, ge=0)
    suite: str = "miniwob"
    suite_options: dict[str, Any] = {}
    workers: int = Field(4, ge=1)
    threads: int = Field(1, ge=1)  # torch threads while episodes run; training has its own setting
    episode: EpisodeSettings = EpisodeSettings()
    recall: RecallSettings = RecallSettings()


class RunSettings(BenchSettings):
    """`wisen run`: one model on tasks of a suite, nothing learned. `model` is a release of the workspace (empty: the
    present one), `uniform` (the random policy), or a LiteLLM name such as `openai/gpt-x`."""

    model: str = ""
    api_base: str | None = None
    split: Split = Split.REPORT
    per_template: int = Field(1, ge=1)
    offset: int = Field(0, ge=0)
    temperature: float = Field(0.0, ge=0)
    memory: bool = True
    screenshots: bool = False


class EvolveSettings(BenchSettings):
    """`wisen evolve`; `--dry-run` prints them as resolved."""

    cycles: int = Field(3, ge=0)
    tiny: TinyShape = TinyShape()
    warmup: WarmupSettings = WarmupSettings()
    collect: CollectSettings = CollectSettings()
    train: RFTSettings = RFTSettings()
    gate: GateSettings = GateSettings()
    report: ReportSettings = ReportSettings()
