"""The learning curve as a picture."""

import io
from typing import Any

from wisen.app.report.curve import candidates, present_release, references
from wisen.app.report.figures import shortened
from wisen.app.report.roles import short
from wisen.core.records import Interval, RunReport

# Okabe and Ito's palette: told apart under the common colour blindnesses; shapes and dashes differ as well.
_RELEASE, _CANDIDATE, _REFERENCES = "#0072B2", "#D55E00", ("#555555", "#009E73")
_ELSEWHERE = "(report tasks)"


def learning_curve(report: RunReport) -> bytes:
    """PNG, 960 x 600, on white, its letters large enough to be read at 400 pixels' width: success of the present
    release on the gate panel after each cycle, with its interval; each cycle's candidate, filled when it was promoted;
    from the report panel, dashed, the random policy and what the run started from."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(6.4, 4), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    release = present_release(report.curve)
    if release:
        cycles = [cycle for cycle, _ in release]
        axes.errorbar(
            cycles,
            [success.mean for _, success in release],
            yerr=_bars([success for _, success in release]),
            color=_RELEASE,
            marker="s",
            linewidth=2.2,
            capsize=4,
            label="present release",
            zorder=3,
        )
        _candidates(axes, report)
        axes.set_xlim(cycles[0] - 0.35, cycles[-1] + 0.35)
    else:
        axes.text(0.5, 0.5, "no cycle was finished", ha="center", va="center", transform=axes.transAxes, fontsize=14)
    for arm, color, dash in zip(references(report), _REFERENCES, ("--", "-."), strict=False):
        label = f"{short(arm)} {_ELSEWHERE}".replace("$", r"\$")  # a dollar would start a formula
        axes.axhline(arm.success.mean, color=color, linestyle=dash, linewidth=1.6, label=label, zorder=1)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("cycle (0: before any learning)", fontsize=12)
    axes.set_ylabel("tasks solved", fontsize=12)
    axes.set_title(
        f"{shortened(report.suite, 30)}: success on the gate tasks", fontsize=14, loc="left", parse_math=False
    )
    axes.tick_params(labelsize=11)
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        order = sorted(range(len(labels)), key=lambda index: labels[index].endswith(_ELSEWHERE))
        figure.legend(
            [handles[index] for index in order],
            [labels[index] for index in order],
            loc="outside lower center",
            ncols=2,
            frameon=False,
            fontsize=11,
        )
    buffer = io.BytesIO()
    # Without the date and version that matplotlib writes, the same report gives the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _candidates(axes: Any, report: RunReport) -> None:
    """Candidates stand a little to the right of their cycle, so that a promoted one does not hide the release."""
    for promoted, label in ((True, "candidate, promoted"), (False, "candidate, not promoted")):
        points = [point for point in candidates(report) if point.promoted is promoted]
        if points:
            axes.errorbar(
                [point.cycle + 0.1 for point in points],
                [point.candidate.mean for point in points],
                yerr=_bars([point.candidate for point in points]),
                fmt="o",
                markersize=9,
                color=_CANDIDATE,
                markerfacecolor=_CANDIDATE if promoted else "white",
                markeredgewidth=2,
                linewidth=1.2,
                capsize=3,
                label=label,
                zorder=4,
            )


def _bars(intervals: list[Interval]) -> list[list[float]]:
    """Distances from the mean down and up, never negative."""
    return [
        [max(0.0, interval.mean - interval.low) for interval in intervals],
        [max(0.0, interval.high - interval.mean) for interval in intervals],
    ]
