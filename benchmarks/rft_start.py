"""Does it pay to start from sprout? The same cycles of RFT from sprout and from random weights, in one run.

    python benchmarks/rft_start.py --seeds 0 1 2 --out .wisen-rft-start

For each seed and start `wisen evolve` plays the same families, as many tasks and as many gradient tokens; what differs
is the backbone (the tiny one with its warm-up, at its own learning rate and first exploration). The curve is the
success of each cycle's weights on the gate panel, over the tasks that were played to learn until then: 0 tasks is the
start itself. Prints how many tasks each start needed for the best that random weights came to, and writes
`rft_start.json`, `.md` and `.png` to the output folder. A run that was stopped goes on where it stood.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean

from demo import evolved

from wisen.core.records import RunReport

STARTS: dict[str, tuple[str, ...]] = {
    "sprout": (),
    "random weights": ('backbone="tiny"', "train.loop.learning_rate=2e-3"),
}
COMMON = ("report.per_template=1", "gate.uses=20")

Curve = list[tuple[int, float]]  # (tasks played to learn until then, share of the gate panel solved)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cycles", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path(".wisen-rft-start"))
    parser.add_argument("--set", dest="assignments", action="append", default=[], help="settings for every run")
    told = parser.parse_args()
    curves: dict[str, list[Curve]] = {start: [] for start in STARTS}
    for seed in told.seeds:
        for start, settings in STARTS.items():
            given = [*COMMON, f"cycles={told.cycles}", *settings, *told.assignments]
            report = evolved(told.out / f"{start.replace(' ', '-')}-{seed}", seed, given)
            curves[start].append(curve(report))
    lines = table(curves, told.seeds)
    (told.out / "rft_start.json").write_text(json.dumps({"seeds": told.seeds, "curves": curves}, indent=1) + "\n")
    (told.out / "rft_start.md").write_text("\n".join(lines) + "\n")
    picture(curves, told.out / "rft_start.png")
    sys.stdout.write("\n".join(lines) + "\n")


def curve(report: RunReport) -> Curve:
    """Of a run: the start, then the weights of each cycle."""
    played, found = 0, [(0, report.curve[0].incumbent.mean)]
    for point in report.curve:
        played += point.collected
        found.append((played, point.candidate.mean))
    return found


def needed(found: Curve, level: float) -> int | None:
    """Tasks until the curve first stood at the level; None if it never did."""
    return next((tasks for tasks, share in found if share >= level), None)


def table(curves: dict[str, list[Curve]], seeds: list[int]) -> list[str]:
    lines = [
        "| seed | from | at the start | after each cycle | tasks to the best of random weights |",
        "| --- | --- | --- | --- | --- |",
    ]
    for number, seed in enumerate(seeds):
        level = max(share for _, share in curves["random weights"][number])
        for start, runs in curves.items():
            (_, first), *rest = runs[number]
            after = ", ".join(f"{100 * share:.0f} % ({tasks})" for tasks, share in rest)
            tasks = needed(runs[number], level)
            reached = f"{100 * level:.0f} %: {'never' if tasks is None else tasks}"
            lines.append(f"| {seed} | {start} | {100 * first:.0f} % | {after} | {reached} |")
    means = {
        start: [fmean(shares) for shares in zip(*map(_shares, runs), strict=True)] for start, runs in curves.items()
    }
    told = "; ".join(f"{start} {', '.join(f'{100 * share:.0f}' for share in each)} %" for start, each in means.items())
    return [*lines, "", f"Means over {len(seeds)} seeds, start and cycles: {told}. In brackets: tasks played to learn."]


def _shares(found: Curve) -> list[float]:
    return [share for _, share in found]


def picture(curves: dict[str, list[Curve]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for colour, (start, runs) in zip(("#0b7285", "#e8590c"), curves.items(), strict=True):
        for number, run in enumerate(runs):
            axes.plot(*zip(*run, strict=True), "o-", color=colour, alpha=0.75, label="" if number else f"from {start}")
    axes.set(xlabel="tasks played to learn", ylabel="gate panel solved", ylim=(0, 1))
    axes.set_title("RFT from sprout and from random weights")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
