"""Who is who in a report: what its arms stand for, and which words suit the run. Everything follows from the record.

A run that trained has the arms random, untrained, untrained-memory, trained and release; one that only gathered memory
has random (where the environment lists its actions), model and release."""

from wisen.app.report.figures import shortened
from wisen.core.records import ArmResult, CurvePoint, GateAnswer, GateDecision, RunReport

RELEASE, RANDOM = "release", "random"
BASES = ("untrained", "model")  # what the run started from, without memory: one of them is the headline's other side
_WHAT = {
    RANDOM: "takes one of the listed actions, each equally likely",
    "untrained": "the model as it was before the first cycle; no memory",
    "untrained-memory": "that same model, with the release’s memory",
    "trained": "the release’s model; memory switched off",
    "model": "the release’s model; memory switched off",
    RELEASE: "what this run ended with; memory on",
}
_SHORT = {
    RANDOM: "random policy",
    "untrained": "before training",
    "untrained-memory": "before training + memory",
    "trained": "trained, no memory",
    "model": "no memory",
    RELEASE: "release",
}
_IN_A_SENTENCE = {
    RANDOM: "the random policy",
    "untrained": "the model before training",
    "model": "the same model without memory",
}


def what(arm: ArmResult) -> str:
    """What the arm is, for someone who never saw one; empty for an arm that is not known here."""
    return _WHAT.get(arm.name, "")


def short(arm: ArmResult) -> str:
    """A name that fits a narrow column."""
    return _SHORT.get(arm.name) or shortened(arm.label, 28)


def in_a_sentence(arm: ArmResult) -> str:
    return _IN_A_SENTENCE.get(arm.name) or f"“{arm.label}”"


def release_arm(report: RunReport) -> ArmResult | None:
    """The arm that the others are compared with: the one called `release`, or the last without a difference to it."""
    without = [arm for arm in report.arms if arm.versus is None]
    return next((arm for arm in without if arm.name == RELEASE), without[-1] if without else None)


def baseline_arm(report: RunReport) -> ArmResult | None:
    """What the headline sets the release against: what the run started from, else the first other arm with a paired
    difference."""
    others = [arm for arm in report.arms if arm.versus is not None]
    return next(iter([arm for arm in others if arm.name in BASES] or others), None)


def memory_only(report: RunReport) -> bool:
    """Whether the run left the weights alone, so that nothing may be said of training."""
    names = {arm.name for arm in report.arms}
    if names:
        return "model" in names
    return bool(report.curve) and not any(point.rows for point in report.curve)


def model_name(report: RunReport) -> str:
    """The remote model that the run was asked to use; empty for the built-in backbone."""
    return str(report.settings.get("model") or "")


def name_of(report: RunReport, release_id: str) -> str:
    return report.release_names.get(release_id, release_id)


def promoted(report: RunReport) -> tuple[GateDecision, ...]:
    return tuple(gate for gate in report.gates if gate.answer is GateAnswer.PROMOTE)


def tried(report: RunReport, point: CurvePoint) -> bool:
    """Whether the cycle had a candidate of its own: a gate tried one by the cycle's name. A cycle that brought nothing
    new has none."""
    names = {name_of(report, gate.candidate_id) for gate in report.gates}
    own = {f"r{point.cycle}{part}" for part in ("", "w", "m")}  # parts of it may have competed
    return len(report.gates) >= len(report.curve) or bool(own & names)


def untried(report: RunReport) -> tuple[CurvePoint, ...]:
    return tuple(point for point in report.curve if not tried(report, point))
