"""What a gate asks for. The defaults are the demo's."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from wisen.core.errors import SettingsError
from wisen.core.records import Record


class NonInferioritySettings(Record):
    """A panel on which a candidate that passed the gate must not be worse than the present release by `margin` (a
    share: 0.05 is five points), tested at `alpha` each time. docs/gate.md says how many tasks that takes.

    measure: "success", on `per_template` gate tasks of each template of another suite (off-task); or "violation", the
    share of episodes in which the environment names one: of such a suite, or where none is given of the gate's own
    episodes.
    """

    measure: Literal["success", "violation"] = "success"
    suite: str = ""
    suite_options: dict[str, Any] = {}
    per_template: int = Field(10, ge=1)
    margin: float = Field(0.05, gt=0, lt=1)
    alpha: float = Field(0.025, gt=0, lt=0.5)

    @model_validator(mode="after")
    def _has_tasks(self) -> Self:
        if self.measure == "success" and not self.suite:
            raise SettingsError(
                "a non-inferiority panel of success needs tasks of its own",
                "name its suite, or set its measure to violation",
            )
        return self


class GateSettings(Record):
    """A panel of `per_template` tasks of each template. Over `uses` gates the probability of any false promotion is at
    most `alpha`: each use may spend an equal share. Then a sealed panel follows.

    kind: "fixed" plays the whole panel; "anytime" looks after every `batch` tasks (or families), and stops as soon as
    the evidence is enough, or the chance that it will be falls below `futility`. A panel for it may be larger.
    claim: what a promotion says something about, more "tasks" of these families, or other "families" (templates).
    attempts: at each task, sampled at `temperature`; the task is what counts, with the mean of its attempts.
    ablation: "shown" also plays new weights with the old memory, and the other way round, and decides nothing by them;
    with "compete" the three share each use's error, and the best that passes is promoted.
    noninferior: by name, where a candidate must not be worse.
    """

    per_template: int = Field(8, ge=1)
    alpha: float = Field(0.025, gt=0, lt=0.5)
    uses: int = Field(3, ge=1)
    resamples: int = Field(10_000, ge=100)
    kind: Literal["fixed", "anytime"] = "fixed"
    claim: Literal["tasks", "families"] = "tasks"
    attempts: int = Field(1, ge=1)
    temperature: float = Field(0.0, ge=0)
    batch: int = Field(20, ge=1)
    futility: float = Field(0.02, ge=0, lt=1)
    ablation: Literal["none", "shown", "compete"] = "none"
    noninferior: dict[str, NonInferioritySettings] = {}

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.kind == "anytime" and self.ablation == "compete":
            raise SettingsError(
                "the anytime gate tries one candidate", "set gate.ablation to shown, or gate.kind to fixed"
            )
        if self.attempts > 1 and self.temperature == 0:
            raise SettingsError(
                f"{self.attempts} attempts at temperature 0 are one attempt, {self.attempts} times",
                "set gate.temperature above 0",
            )
        return self

    @property
    def share(self) -> float:
        """What each use may spend."""
        return self.alpha / self.uses
