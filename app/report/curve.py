"""The learning curve's data, shared by the PNG and the page."""

from wisen.app.report.roles import BASES, RANDOM, tried
from wisen.core.records import ArmResult, CurvePoint, Interval, RunReport


def present_release(points: tuple[CurvePoint, ...]) -> tuple[tuple[int, Interval], ...]:
    """(cycle, success) of the release present after each cycle, and before the first: that cycle's incumbent."""
    if not points:
        return ()
    start = (points[0].cycle - 1, points[0].incumbent)
    return (start, *((point.cycle, point.candidate if point.promoted else point.incumbent) for point in points))


def candidates(report: RunReport) -> tuple[CurvePoint, ...]:
    """The cycles that had a candidate."""
    return tuple(point for point in report.curve if tried(report, point))


def references(report: RunReport) -> tuple[ArmResult, ...]:
    """Arms drawn as dashed lines. They were played on the report panel, not on the gate panel: label them so."""
    return tuple(arm for name in (RANDOM, *BASES) for arm in report.arms if arm.name == name)
