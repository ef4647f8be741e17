"""Is a run repeatable, and does it survive being killed? The real loop in a real browser, made short, three times over.

    python benchmarks/repeat.py --out .wisen-repeat --kills 5

Runs the same seed twice in two fresh workspaces, then a third time with `kill -9` at random moments, started again
after each. Compares trajectories (every token, probability and observation), recalls, memory ledger, index, weights,
gate decisions, releases and the report. `kills.py` looks closer at kills. Exits with 1 where anything differs. About
five minutes on two cores.
"""

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests.support

from tests.support.evolving import result
from wisen.core.ids import canonical
from wisen.core.store import Store
from wisen.core.workspace import Workspace

SHORT = (
    "collect.first=4",
    "collect.per_template=3",
    "collect.weak_extra=2",
    "train.tokens=30000",
    "gate.per_template=2",
    "report.per_template=1",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(".wisen-repeat"))
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    draw = random.Random(arguments.seed)
    prints, seconds = {}, 0.0
    for name in ("first", "second", "killed"):
        folder, started = arguments.out / name, time.monotonic()
        kills = arguments.kills if name == "killed" else 0
        for _ in range(kills):
            process = subprocess.Popen(command(folder, arguments.seed), stdout=subprocess.DEVNULL)
            try:
                process.wait(timeout=draw.uniform(2, seconds))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                sys.stdout.write(f"killed; {counted(folder)} trajectories are whole\n")
        subprocess.run(command(folder, arguments.seed), check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        prints[name] = fingerprint(folder)
        sys.stdout.write(f"{name}: {prints[name]} in {seconds:.0f} s\n")
    same = len(set(map(canonical, prints.values()))) == 1
    sys.stdout.write("all three are the same\n" if same else "THEY DIFFER\n")
    sys.exit(0 if same else 1)


def command(folder: Path, seed: int) -> list[str]:
    words = [sys.executable, "-c", "from wisen.app.cli import main; main()", "evolve"]
    words += ["--workspace", str(folder), "--seed", str(seed), "--cycles", "2"]
    for assignment in SHORT:
        words += ["--set", assignment]
    return words


def counted(folder: Path) -> int:
    if not Workspace(folder).database.exists():
        return 0
    with Store.open(Workspace(folder).store_url) as store:
        return len(store.trajectories())


def fingerprint(folder: Path) -> dict[str, str]:
    """A hash of each kind of record. Time stands in none of them."""
    return {
        kind: f"{len(values)} x {hashlib.sha256(canonical(values).encode()).hexdigest()[:12]}"
        for kind, values in vars(result(folder)).items()
    }


if __name__ == "__main__":
    main()
