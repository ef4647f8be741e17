"""Does the demo's claim hold again? `wisen evolve` over several seeds, with its control beside it, in one run.

    python benchmarks/demo.py --seeds 0 1 2 --out .wisen-benchmark

For each seed: the run as users get it, on report seeds of its own, and the control, which is the same cycles with the
outcomes of the collected episodes permuted, so that success teaches nothing (what episodes look like still may). Each
release that the control promotes is put to the proof on fresh tasks beside the one it took over from. Prints a table,
and writes `demo.json` and `demo.md` to the output folder. A run that was stopped goes on where it stood. On two cores a
seed and its control take about ten minutes.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wisen.core.records import ArmResult, GateAnswer, Interval, Phase, RunReport
from wisen.core.statistics import paired_bootstrap, wilson
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.evolution.play import play
from wisen.evolution.settings import EvolveSettings, RunSettings

ARMS = ("random", "untrained", "untrained-memory", "trained", "release")
CONTROL = "control"
# The control is there for its gates: whether it promotes what cannot have learned anything. Its report panel is short.
KINDS: dict[str, Sequence[str]] = {"main": (), CONTROL: ('collect.rewards="shuffled"', "report.per_template=1")}
REPORT_SEEDS = 1_000  # each seed's report tasks start this much further on
# Report tasks that no run has.
PROOF: dict[str, Any] = {"per_template": 30, "offset": 100_000, "suite_options": EvolveSettings().suite_options}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path(".wisen-benchmark"))
    parser.add_argument("--set", dest="assignments", action="append", default=[], help="settings for every run")
    arguments = parser.parse_args()
    reports: dict[int, dict[str, RunReport]] = {seed: {} for seed in arguments.seeds}
    for kind, settings in KINDS.items():
        for seed in arguments.seeds:
            folder = arguments.out / f"seed-{seed}-{kind}"
            fresh = f"report.seed_offset={REPORT_SEEDS * (seed + 1)}"
            reports[seed][kind] = evolved(folder, seed, [fresh, *settings, *arguments.assignments])
    lines, record = summary(arguments.out, reports)
    arguments.out.joinpath("demo.json").write_text(json.dumps(record, indent=1) + "\n")
    arguments.out.joinpath("demo.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


def evolved(folder: Path, seed: int, settings: Sequence[str]) -> RunReport:
    """Run `wisen evolve` to its end in a workspace of its own; what is there already is not run again."""
    command = [sys.executable, "-c", "from wisen.app.cli import main; main()", "evolve"]
    command += ["--workspace", str(folder), "--seed", str(seed)]
    for assignment in settings:
        command += ["--set", assignment]
    found = sorted(folder.glob("runs/*/report.json"))
    if not found:
        subprocess.run(command, check=True)
        found = sorted(folder.glob("runs/*/report.json"))
    return RunReport.model_validate_json(found[-1].read_text())


def outcomes(folder: Path, report: RunReport, arm: str) -> dict[str, bool]:
    """Success by task of one arm on the report panel. Where nothing was promoted, the release is the untrained one, and
    its arms were played once."""
    if report.release_name == "r0":
        arm = {"trained": "untrained", "release": "untrained-memory"}.get(arm, arm)
    with Store.open(Workspace(folder).store_url) as store:
        played = store.trajectories(run_id=report.run_id, phase=Phase.REPORT)
    return {one.task.id: one.success is True for one in played if one.arm == arm}


def proofs(folder: Path, seed: int, report: RunReport) -> list[tuple[ArmResult, ArmResult]]:
    """For each promotion of a run, the release promoted and the one before it, on fresh tasks."""
    with Store.open(Workspace(folder).store_url) as store:
        names = {one.id: one.name for one in store.releases()}
    found = []
    for gate in report.gates:
        if gate.answer is GateAnswer.PROMOTE:
            new, old = (
                asyncio.run(play(RunSettings(seed=seed, model=names[key], memory=False, **PROOF), Workspace(folder)))
                for key in (gate.candidate_id, gate.incumbent_id)
            )
            found.append((new, old))
    return found


def summary(out: Path, reports: dict[int, dict[str, RunReport]]) -> tuple[list[str], dict[str, object]]:
    """(lines of Markdown, the same as JSON)."""
    solved: dict[str, list[bool]] = {arm: [] for arm in ARMS}
    for seed, kinds in reports.items():
        tasks: list[str] = []
        for arm in ARMS:
            by_task = outcomes(out / f"seed-{seed}-main", kinds["main"], arm)
            tasks = tasks or sorted(by_task)
            solved[arm] += [by_task[task] for task in tasks]
    labels = {arm.name: arm.label for arm in next(iter(reports.values()))["main"].arms}
    labels |= {
        "release": "promoted release (trained model + memory)",
        CONTROL: "control: same cycles, shuffled rewards",
    }
    lines = [
        "| arm | solved | 95 % interval | release ahead by | 95 % interval | per seed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    record: dict[str, object] = {"seeds": list(reports), "tasks": len(solved["release"]), "arms": {}}
    for arm in ARMS:
        share = wilson(sum(solved[arm]), len(solved[arm]))
        ahead = None
        if arm != "release":
            differences = [float(new) - float(old) for new, old in zip(solved["release"], solved[arm], strict=True)]
            ahead = paired_bootstrap(differences, seed=0)
        size = len(solved[arm]) // len(reports)
        each = [sum(solved[arm][start : start + size]) / size for start in range(0, len(solved[arm]), size)]
        lines.append(
            f"| {labels[arm]} | {_share(share)} | {_points(ahead)} | {' / '.join(f'{100 * x:.0f}' for x in each)} |"
        )
        record["arms"][arm] = {  # type: ignore[index]
            "success": share.model_dump(),
            "release_ahead": ahead.model_dump() if ahead else None,
            "per_seed": each,
        }
    promotions = {
        kind: [sum(gate.answer is GateAnswer.PROMOTE for gate in kinds[kind].gates) for kinds in reports.values()]
        for kind in ("main", CONTROL)
    }
    gates = {kind: sum(len(kinds[kind].gates) for kinds in reports.values()) for kind in ("main", CONTROL)}
    seconds = [round(kinds["main"].seconds) for kinds in reports.values()]
    proved = [
        pair for seed, kinds in reports.items() for pair in proofs(out / f"seed-{seed}-{CONTROL}", seed, kinds[CONTROL])
    ]
    record |= {"promotions": promotions, "gates": gates, "seconds": seconds}
    record["control_proofs"] = [[arm.model_dump() for arm in pair] for pair in proved]
    lines += [
        "",
        f"{len(reports)} seeds, {len(solved['release'])} report tasks in all. Intervals resample tasks, not seeds. "
        f"Promotions: {sum(promotions['main'])} of {gates['main']} gates; with shuffled rewards: "
        f"{sum(promotions[CONTROL])} of {gates[CONTROL]}. Seconds per run: {', '.join(map(str, seconds))}.",
        *(
            f"The control's {new.name} on {new.tasks} fresh tasks, without memory: {_told(new.success)}; "
            f"{old.name} before it: {_told(old.success)}."
            for new, old in proved
        ),
    ]
    return lines, record


def _told(interval: Interval) -> str:
    return f"{100 * interval.mean:.0f} % [{100 * interval.low:.0f}, {100 * interval.high:.0f}]"


def _share(interval: Interval) -> str:
    return f"{100 * interval.mean:.0f} % | {100 * interval.low:.0f} to {100 * interval.high:.0f}"


def _points(interval: Interval | None) -> str:
    if interval is None:
        return " | "
    return f"{100 * interval.mean:+.0f} points | {100 * interval.low:+.0f} to {100 * interval.high:+.0f}"


if __name__ == "__main__":
    main()
