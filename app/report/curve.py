"""The learning curve's data, shared by the PNG and the page."""

from wisen.app.report.words import baseline_arm
from wisen.core.records import ArmResult, CurvePoint, Interval, RunReport


def present_release(points: tuple[CurvePoint, ...]) -> tuple[tuple[int, Interval], ...]:
    """(cycle, success) of the release present after each cycle, and before the first: that cycle's incumbent."""
    if not points:
        return ()
    start = (points[0].cycle - 1, points[0].incumbent)
    return (start, *((point.cycle, point.candidate if point.promoted else point.incumbent) for point in points))


def references(report: RunReport) -> tuple[ArmResult, ...]:
    """Arms drawn as dashed lines. They were played on the report panel, not on the gate panel: label them so."""
    random = [arm for arm in report.arms if "random" in f"{arm.name} {arm.label}".lower()]
    base = baseline_arm(report)
    untrained = [base] if base and "untrained" in f"{base.name} {base.label}".lower() else []
    return tuple(random[:1] + untrained)
