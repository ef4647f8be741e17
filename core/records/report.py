"""What a run is, and what it has to show at its end. The report is drawn from `RunReport` and from nothing else."""

from datetime import datetime

from wisen.core.records.base import JSON, Record
from wisen.core.records.calls import Spent
from wisen.core.records.memory import MemoryItem, Recall
from wisen.core.records.release import GateDecision, Interval
from wisen.core.records.trajectory import Trajectory


class RunInfo(Record):
    """A run as the store knows it. Times are UTC; `finished_at` is None while it runs, and after it was killed."""

    id: str
    title: str
    settings: JSON
    created_at: datetime
    finished_at: datetime | None = None


class ArmResult(Record):
    """One arm on the report panel. `versus` is the paired difference of the promoted release to this arm, in points of
    success share (release - arm), None for the release itself."""

    name: str
    label: str
    success: Interval  # Wilson
    mean_steps: float
    tasks: int
    seeds: int
    families: dict[str, float]
    versus: Interval | None = None


class CurvePoint(Record):
    """One cycle of learning: what the candidate and the incumbent did on the gate panel, and what was spent on it."""

    cycle: int
    incumbent: Interval
    candidate: Interval
    promoted: bool
    collected: int
    collected_success: float
    items: int
    rows: int
    tokens: int
    seconds: float


class ItemCredit(Record):
    """An item's measured worth: mean of inverse-propensity scores against a predictable baseline, in success share
    (0.1 = 10 points), with a 95 % confidence sequence: an interval that holds however often it is read.

    `shown` and `held_out` count the randomised appearances of its account. `others` are near-duplicates that shared
    its draws. `deviation`: standard deviation of the scores. `log_e`: natural logarithm of the e-value for "it helps".
    `log_alarm`: that of the evidence that it does harm of late. `more`: about how many further appearances until the
    interval leaves 0, if they go on as so far; None where no number would do.
    """

    item: MemoryItem
    lift: Interval | None
    shown: int
    held_out: int
    success_shown: float | None
    success_held_out: float | None
    deviation: float | None = None
    log_e: float = 0.0
    log_alarm: float = 0.0
    more: int | None = None
    others: tuple[str, ...] = ()

    @property
    def appearances(self) -> int:
        return self.shown + self.held_out


class Showcase(Record):
    """A trajectory shown step by step, with why it was picked."""

    trajectory: Trajectory
    recall: Recall | None
    items: tuple[MemoryItem, ...]
    why: str


class RunReport(Record):
    run_id: str
    title: str
    command: str
    settings: JSON
    suite: str
    release_name: str
    arms: tuple[ArmResult, ...]
    curve: tuple[CurvePoint, ...]
    gates: tuple[GateDecision, ...]
    release_names: dict[str, str]  # release id -> name
    best_items: tuple[ItemCredit, ...]
    worst_items: tuple[ItemCredit, ...]
    bank_size: int
    showcases: tuple[Showcase, ...]
    leakage_guard: str
    seconds: float
    versions: dict[str, str]
    spent: Spent | None = None  # by the acting model, where it is a remote one
