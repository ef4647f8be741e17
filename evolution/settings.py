"""Everything that determines a run. The defaults of `EvolveSettings` are the demo."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from wisen.core.errors import SettingsError
from wisen.core.records import Record, Split
from wisen.core.settings import Settings
from wisen.evolution.gates.settings import GateSettings
from wisen.evolution.schedule.settings import ScheduleSettings
from wisen.memory.consolidation import ConsolidationSettings
from wisen.memory.distillers import COMPARING
from wisen.memory.guard.settings import GuardSettings
from wisen.memory.lifecycle import LifecycleSettings
from wisen.memory.recall import RecallSettings
from wisen.models.tiny import TinyShape
from wisen.trainers.algorithms import make_algorithm
from wisen.trainers.settings import TrainSettings
from wisen.trainers.warmup import WarmupSettings

FIRST_EXPLORE = {"sprout": 0.15, "tiny": 1.0}  # a policy that knows nothing of the tasks yet should try everything
EXPLORE = 0.05


class EpisodeSettings(Record):
    """Limits of every episode: part of the harness, so changing one makes another release. `checks`: how often an agent
    that says it is done is sent back to check its work, where it is the agent that says so (sequential MaTTS)."""

    max_steps: int = Field(10, ge=1)
    max_seconds: float = Field(60.0, gt=0)
    checks: int = Field(0, ge=0)

    @property
    def limits(self) -> dict[str, int | float]:
        """Those that name the harness. Without checks it keeps the name that it had before there were any."""
        return self.model_dump(exclude=set() if self.checks else {"checks"})


class CollectSettings(Record):
    """Episodes to learn from, sampled at `temperature` with a share `explore` of actions drawn uniformly.

    The first cycle plays `first` tasks of each template and draws a share `first_explore` uniformly. Later cycles play
    `per_template`, and `weak_extra` more of templates that solved less than half of the last cycle's tasks. Left out,
    the shares are 0.05, and in the first cycle 0.15 for sprout and 1 for the tiny backbone; for a remote model, which
    cannot be made to draw, they are 0.

    Each task is attempted `attempts` times over one bank, each with its own draws of what is held out. With more than
    one the distiller gets all attempts at a task together, and none of them alone.
    """

    first: int = Field(12, ge=1)
    attempts: int = Field(1, ge=1)
    per_template: int = Field(8, ge=1)
    weak_extra: int = Field(4, ge=0)
    temperature: float = Field(1.0, ge=0)
    explore: float | None = Field(None, ge=0, le=1)
    first_explore: float | None = Field(None, ge=0, le=1)
    rewards: Literal["true", "shuffled"] = "true"  # "shuffled" is the control: outcomes are permuted among episodes


class CreditSettings(LifecycleSettings):
    """The life of memory items. `moves`: whether what they were seen to do moves them along it; credit is measured and
    reported in any case."""

    moves: bool = False


class ConsolidateSettings(ConsolidationSettings):
    """Tidying the bank, on trial. every: after each so many cycles; 0: never. tolerance: the share of success that a
    tidier bank may cost, 0.05 being five points; 0: it has to win like anything else."""

    every: int = Field(0, ge=0)
    tolerance: float = Field(0.0, ge=0, lt=1)


class ReportSettings(Record):
    per_template: int = Field(10, ge=1)
    seed_offset: int = Field(0, ge=0)  # fresh report seeds for a repetition


class RemoteSettings(Record):
    """How a remote model is reached, and what it takes. Keys come from the provider's environment variables and are
    never kept.

    timeout: seconds for one try. retries: further tries after a fault that may pass. tools: False for a model without
    tool calls, which then gets the admissible actions in words. tool_choice: "required" where the server honours it.
    max_tokens: of a reply, instead of what each request asks for (512 for an action); a model that thinks first needs
    more. leave_out: what the model is not sent; most providers take no seed. tokens: keep sampled token ids and
    log-probabilities, where the server sends them (vLLM, `wisen models serve`). schemas: the provider takes JSON
    schemas for replies: judges and distillers then send them.
    """

    api_base: str | None = None
    timeout: float = Field(60.0, gt=0)
    retries: int = Field(2, ge=0)
    tools: bool = True
    tool_choice: Literal["auto", "required"] = "auto"
    max_tokens: int | None = Field(None, ge=1)
    leave_out: tuple[Literal["temperature", "seed"], ...] = ("seed",)
    tokens: bool = False
    schemas: bool = False


def is_remote(model: str) -> bool:
    """Whether a name is that of a remote model, PROVIDER/NAME."""
    return "/" in model


class BenchSettings(Settings):
    """What any run needs: where to act, how many at a time, within which limits, with which seed.

    `judge` names a model that says how an episode went where the environment leaves it open. Without one, what is left
    open has failed.
    """

    seed: int = Field(0, ge=0)
    model: str = ""
    remote: RemoteSettings = RemoteSettings()
    judge: str = ""
    suite: str = "miniwob"
    suite_options: dict[str, Any] = {}
    workers: int = Field(6, ge=1)
    threads: int = Field(1, ge=1)  # torch threads while episodes run; training has its own setting
    episode: EpisodeSettings = EpisodeSettings()
    recall: RecallSettings = RecallSettings()
    guard: GuardSettings = GuardSettings()


class RunSettings(BenchSettings):
    """`wisen run`: one model on tasks of a suite, nothing learned. `model` is a release of the workspace (empty: the
    present one), `uniform` (the random policy), or a LiteLLM name such as `openai/gpt-x`."""

    split: Split = Split.REPORT
    per_template: int = Field(1, ge=1)
    offset: int = Field(0, ge=0)
    temperature: float = Field(0.0, ge=0)
    memory: bool = True
    screenshots: bool = False


class EvolveSettings(BenchSettings):
    """`wisen evolve`; `--dry-run` prints them as resolved. Who names no suite gets the demo's pages.

    `model` is empty for a built-in backbone, or a LiteLLM name. `backbone`: sprout, which ships with wisen, or "tiny",
    built on the spot from random weights (its shape `tiny`, its start `warmup`). `trainer` is "rft" or "none", where
    only the memory evolves; left out, a built-in backbone is trained, by `train.algorithm`, and a remote model is not.
    `distiller` writes the
    memory items; one that needs a language model writes with `writer`, or left out with the acting model.
    """

    suite_options: dict[str, Any] = {"families": "demo"}
    cycles: int = Field(3, ge=0)
    backbone: Literal["sprout", "tiny"] = "sprout"
    trainer: Literal["", "rft", "none"] = ""
    distiller: str = "extractive"
    writer: str = ""
    tiny: TinyShape = TinyShape()
    warmup: WarmupSettings = WarmupSettings()
    collect: CollectSettings = CollectSettings()
    credit: CreditSettings = CreditSettings()
    consolidate: ConsolidateSettings = ConsolidateSettings()
    train: TrainSettings = TrainSettings()
    gate: GateSettings = GateSettings()
    report: ReportSettings = ReportSettings()
    schedule: ScheduleSettings = ScheduleSettings()  # read by `wisen schedule` alone

    @model_validator(mode="before")
    @classmethod
    def _own_options(cls, given: Any) -> Any:
        if isinstance(given, dict) and "suite" in given:
            return {"suite_options": {}, **given}  # the default options are the default suite's
        return given

    @property
    def remote_model(self) -> bool:
        return bool(self.model)

    @property
    def trains(self) -> bool:
        return self.trainer == "rft" or (not self.trainer and not self.remote_model)

    def exploration(self, cycle: int) -> float:
        """The share of uniformly drawn actions in a cycle's collection, from 1."""
        given = self.collect.first_explore if cycle == 1 else self.collect.explore
        if given is not None:
            return given
        return 0.0 if self.remote_model else FIRST_EXPLORE[self.backbone] if cycle == 1 else EXPLORE

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.distiller in COMPARING and self.collect.attempts < 2:
            raise SettingsError(
                f"{self.distiller} compares attempts at one task, and each is attempted once",
                "set collect.attempts to 3",
            )
        if self.trains:
            self._trainable()
        if not self.remote_model:
            return self
        if not is_remote(self.model):
            raise SettingsError(
                f"evolve cannot start from {self.model!r}",
                "leave --model out for the built-in backbone, or PROVIDER/NAME",
            )
        if self.trainer == "rft":
            raise SettingsError(
                f"{self.model} cannot be trained from here", "its weights are elsewhere: --trainer none"
            )
        if self.exploration(1) > 0 or self.exploration(2) > 0:
            raise SettingsError(f"{self.model} cannot be made to act at random", "leave collect.explore out")
        return self

    def _trainable(self) -> None:
        """Raises `SettingsError` where the cycle would not have what the algorithm learns from."""
        named = self.train.algorithm
        if self.trainer not in ("", named):
            raise SettingsError(f"trainer is {self.trainer}, and train.algorithm is {named}", "leave trainer out")
        algorithm = make_algorithm(named, self.train.options)
        if self.collect.attempts < algorithm.attempts:
            raise SettingsError(
                f"{named} compares attempts at one task, and each is attempted once", "set collect.attempts to 4"
            )
        if self.train.data.returns == "reward" and self.collect.rewards == "shuffled":
            raise SettingsError("the control permutes successes, and train.data.returns is reward", "take success")
