"""What is served: releases, the panels they are tried on, and the decisions about them."""

from enum import StrEnum

from wisen.core.records.base import JSON, Record
from wisen.core.records.task import Split, Task


class Checkpoint(Record):
    """Weights in a folder of the workspace. Names are never reused; `sha256` is that of the weights file."""

    name: str
    path: str
    sha256: str
    parent: str | None = None
    recipe: JSON = {}  # algorithm, settings, data: what made it


class Release(Record):
    """The unit that is gated, served and rolled back: weights, bank version and harness version together."""

    id: str
    name: str
    model: str  # the model's name: a checkpoint of the local backbone, or a remote one by its LiteLLM name
    bank_version: int
    harness: str
    parent_id: str | None = None


class ReleaseEventKind(StrEnum):
    CREATED = "created"
    PROMOTED = "promoted"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"


class ReleaseEvent(Record):
    """`PROMOTED` and `ROLLED_BACK` make `release_id` the present one."""

    seq: int
    kind: ReleaseEventKind
    release_id: str
    gate_id: str | None = None
    reason: str = ""


class Panel(Record):
    """A fixed list of tasks, pinned by the hash of its ids and versions."""

    name: str
    split: Split
    tasks: tuple[Task, ...]
    digest: str
    generation: int = 0


class PairedOutcome(Record):
    """One task of a panel under both releases; family groups tasks of one template."""

    task_id: str
    family: str
    old: bool
    new: bool


class Interval(Record):
    """`mean` with the bounds of a `level` interval (0.95 = 95 %)."""

    mean: float
    low: float
    high: float
    level: float = 0.95


class GateAnswer(StrEnum):
    PROMOTE = "promote"
    KEEP = "keep"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


class NonInferiority(Record):
    """How a candidate did where it must not be worse by `margin`. In `outcomes` old and new say whether it went well:
    the task was solved, or no violation was seen. `answer` is "promote" where that it is not worse is shown at `alpha`,
    "keep" where it costs `margin` or more as seen."""

    name: str
    measure: str
    margin: float
    alpha: float
    panel_digest: str
    outcomes: tuple[PairedOutcome, ...]
    difference: Interval
    p_value: float
    answer: GateAnswer
    tasks_needed: int | None = None
    reason: str = ""


class Ablation(Record):
    """A part of the candidate on the gate panel, against the present release: `parts` says what was new. It decides
    nothing unless it competed; then `p_value` is adjusted for that."""

    parts: str
    release_id: str
    outcomes: tuple[PairedOutcome, ...]
    difference: Interval
    p_value: float


class GateDecision(Record):
    """The evidence and the answer. `alpha` is this use's share of the panel's error budget, one-sided.

    `difference` is of means over units: tasks, or families where the claim is about them. `kind` and `claim` are the
    settings'; `test` names what `lower_bound` and `p_value` come from. `of`: how many units the panel has, if not all
    of them were played.
    """

    id: str
    candidate_id: str
    incumbent_id: str
    panel_digest: str
    use: int
    alpha: float
    outcomes: tuple[PairedOutcome, ...]
    difference: Interval
    lower_bound: float  # one-sided, at 1 - alpha: what the decision reads
    p_value: float  # one-sided: what else it reads
    answer: GateAnswer
    tasks_needed: int | None = None  # in all; families where the claim is about them
    uses: int | None = None  # how many uses the panel's error budget is spread over, if it is bounded
    reason: str = ""
    kind: str = "fixed"
    claim: str = "tasks"
    test: str = "mcnemar"  # or "betting"
    of: int | None = None
    noninferior: tuple[NonInferiority, ...] = ()
    ablation: tuple[Ablation, ...] = ()
