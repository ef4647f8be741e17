"""Does `wisen evolve` survive `kill -9` at any moment? Many short runs, each killed several times and then finished.

    python benchmarks/kills.py --kills 60 --out .wisen-kills

A kill is drawn as a stretch of work (one of the phases, those hit least first) and a moment uniform in the time that
the stretch took undisturbed; the kernel's clock sends it. The same command follows each. After every kill and at every
end it is checked, on a copy, that all writes that had returned are in the store, that nothing is there twice, that
releases, checkpoints and index are consistent and that no process is left; at every end also that everything is equal
to the undisturbed run. `--browser` of the kills hit MiniWoB++ in a real Chromium, the others a text suite that starts
faster.

Writes kills.json and kills.md to the output folder. Exits with 1 where anything is amiss, or where a phase was hit less
than `--least` times. Linux only. Sixty kills take about ten minutes on two idle cores.
"""

import argparse
import json
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for tests.support

from tests.support.evolving import Host, Result, Trace, differing, indexed, read_trace, result  # noqa: E402
from tests.support.moments import PHASES  # noqa: E402
from wisen.core.records import GateAnswer, ReleaseEventKind  # noqa: E402
from wisen.core.store import Store  # noqa: E402
from wisen.core.workspace import Workspace  # noqa: E402
from wisen.memory.bank import Bank  # noqa: E402
from wisen.trainers.checkpoints import describe  # noqa: E402

COMMON = """
seed = 2
workers = 4
threads = 1
backbone = "tiny"
tiny = {vocab_size = 300, hidden_size = 32, layers = 1, heads = 2, feed_forward = 64, context = 1024}
warmup = {pages = 8, threads = 1}
train = {tokens = 12000, most_epochs = 4, threads = 1, loop = {learning_rate = 5e-3}}
"""
SUITES = {
    "levers": 'suite = "levers"\n'
    "collect = {first = 6, per_template = 4, weak_extra = 2}\n"
    "gate = {per_template = 4, alpha = 0.49, uses = 1, resamples = 200}\n"
    "report = {per_template = 2}\n",
    "miniwob": 'suite = "miniwob"\nsuite_options = {families = ["click-test-2", "click-button"]}\n'
    "collect = {first = 4, per_template = 3, weak_extra = 2}\n"
    "gate = {per_template = 3, alpha = 0.49, uses = 1, resamples = 200}\n"
    "report = {per_template = 1}\n",
}
PER_RUN = 6  # kills of one run, at most


@dataclass
class Tally:
    """What came of the kills."""

    hit: Counter[str] = field(default_factory=Counter)  # by the phase that it died in
    runs: int = 0
    acknowledged: int = 0  # writes that had returned when their process was killed
    amiss: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(self.hit.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--browser", type=int, default=None, help="how many of them in a real browser [a sixth]")
    parser.add_argument("--least", type=int, default=5, help="how often each phase must be hit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(".wisen-kills"))
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    arguments.out.mkdir(parents=True)
    started, draw = time.monotonic(), random.Random(arguments.seed)
    in_browser = arguments.kills // 6 if arguments.browser is None else arguments.browser
    tallies: dict[str, Tally] = {}
    for suite, wanted, least in (
        ("miniwob", in_browser, 0),
        ("levers", arguments.kills - in_browser, arguments.least),
    ):
        if wanted:
            tallies[suite] = campaign(suite, wanted, least, draw, arguments.out.absolute() / suite)
    seconds = time.monotonic() - started
    lines, fine = summary(tallies, arguments.kills, arguments.least, seconds)
    record = {
        "seconds": round(seconds),
        "suites": {
            suite: {"kills": one.kills, "runs": one.runs, "acknowledged": one.acknowledged, **vars(one)}
            for suite, one in tallies.items()
        },
    }
    arguments.out.joinpath("kills.json").write_text(json.dumps(record, indent=1) + "\n")
    arguments.out.joinpath("kills.md").write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(0 if fine else 1)


def campaign(suite: str, wanted: int, least: int, draw: random.Random, folder: Path) -> Tally:
    """Kill runs until there were `wanted` kills and `least` in every phase."""
    folder.mkdir()
    host, tally = Host(folder, COMMON + SUITES[suite]), Tally()
    try:
        plain = folder / "undisturbed"
        if host.evolve(plain) != 0:
            raise SystemExit(f"the undisturbed run failed:\n{host.said()}")
        whole, timed = result(plain), read_trace(host.trace)
        missing = [phase for phase in PHASES if phase not in {one.phase for one in timed.stretches}]
        if missing:
            raise SystemExit(f"the undisturbed run told of no {', '.join(missing)}")
        seconds = spans(timed)
        most = 3 * (wanted // PER_RUN + 3)  # runs: so that a phase that is never hit is told and not waited for
        while tally.runs < most and (tally.kills < wanted or min(tally.hit[phase] for phase in PHASES) < least):
            tally.runs += 1
            root = folder / f"run-{tally.runs}"
            disturb(host, root, seconds, whole, tally, draw)
            said = ", ".join(f"{phase} {tally.hit[phase]}" for phase in (*PHASES, "between"))
            sys.stdout.write(f"{suite}: {tally.kills} kills in {tally.runs} runs ({said}); {len(tally.amiss)} amiss\n")
            sys.stdout.flush()
            if not tally.amiss:
                shutil.rmtree(root)
    finally:
        host.close()
    return tally


Place = tuple[str, int, int]  # phase, cycle, which of those


def spans(trace: Trace) -> dict[Place, float]:
    """How long each stretch took until another began in it, in the order in which they began; the last, the report,
    ends with the process."""
    return {(one.phase, one.cycle, one.nth): one.alone or one.seconds or 0.5 for one in trace.stretches}


def disturb(
    host: Host,
    root: Path,
    seconds: dict[Place, float],
    whole: Result,
    tally: Tally,
    draw: random.Random,
    kills: int = PER_RUN,
) -> None:
    """One run: killed up to `kills` times, each time further on or at the same place again, then left alone."""
    for place in sorted(chosen(seconds, tally, draw, kills), key=list(seconds).index):
        moment = dict(zip(("phase", "cycle", "nth"), place, strict=True))
        code = host.evolve(root, moment={**moment, "delay": draw.uniform(0, seconds[place])})
        trace = read_trace(host.trace)
        if code == -signal.SIGKILL:
            tally.hit[trace.died_in] += 1
            tally.acknowledged += len(trace.written)
        elif code != 0:
            tally.amiss.append(f"{root.name}: exit code {code} instead of a kill in {place}: {host.said()[-400:]}")
        where = f"{root.name}, killed in {trace.died_in} (drawn: {place})"
        tally.amiss += [f"{where}: {what}" for what in (*amiss(root, trace), *left(host))]
    code = host.evolve(root)
    trace = read_trace(host.trace)
    found = list(left(host))
    if code != 0:
        found.append(f"the last start ended with {code}: {host.said()[-400:]}")
    else:
        found += [*amiss(root, trace), *unfinished(root)]
        found += [f"{name} differs from the undisturbed run" for name in differing(result(root), whole)]
    tally.amiss += [f"{root.name}, at its end: {what}" for what in found]


def chosen(seconds: dict[Place, float], tally: Tally, draw: random.Random, kills: int) -> list[Place]:
    """So many stretches: of the phases hit least so far, ties at random, and any cycle of theirs."""
    phases = sorted(PHASES, key=lambda phase: (tally.hit[phase], draw.random()))[:kills]
    return [draw.choice([place for place in seconds if place[0] == phase]) for phase in phases]


def left(host: Host) -> Iterator[str]:
    for line in host.orphans:
        yield f"a process was left: {line}"


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """The workspace as the killed process left it: reading a database may mend it."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "copy"
        if root.exists():
            shutil.copytree(root, target)
        yield target


def amiss(root: Path, trace: Trace) -> list[str]:
    """What is wrong with a workspace, whenever its process ended; `trace` is what that process told."""
    with copied(root) as copy:
        workspace = Workspace(copy)
        if not workspace.database.exists():
            return [f"{len(trace.written)} writes had returned and there is no store"] if trace.written else []
        found = list(damaged(workspace.database))
        with Store.open(workspace.store_url) as store:
            found += [f"lost: {what}" for what in trace.written if not held(store, what)]
            found += [*doubled(store), *releases(store), *checkpoints(store, workspace)]
            known = Bank(store).snapshot().items if store.events() else {}
        if strangers := set(indexed(copy)) - set(known):
            found.append(f"the index holds {len(strangers)} items that the store does not")
        if list(copy.glob("index.broken*")):
            found.append("the index was damaged")
    return found


def damaged(database: Path) -> Iterator[str]:
    with closing(sqlite3.connect(database)) as connection:
        for pragma in ("integrity_check", "foreign_key_check"):
            rows = [row for row in connection.execute(f"PRAGMA {pragma}") if row != ("ok",)]
            if rows:
                yield f"{pragma}: {rows[:3]}"


def held(store: Store, what: str) -> bool:
    """Whether the store has what a write that had returned put there; `what` is in the store's own words."""
    kind, _, name = what.partition(" ")
    match kind:
        case "episode":
            return bool(store.present([name])) and bool(store.verdicts([name]))
        case "mark":
            return any(store.marked(run.id, name) is not None for run in store.runs())
        case "checkpoint":
            return store.checkpoint(name) is not None
        case "release":
            return store.release(name) is not None
        case "gate":
            return any(gate.id == name for gate in store.gates())
        case "run":
            return store.run(name) is not None
        case "the":  # the ledger: its events go with a mark, and are compared at the end
            return bool(store.events())
        case "a":  # a release event
            return bool(store.release_events())
    return False


def doubled(store: Store) -> Iterator[str]:
    recalled = Counter(recall.trajectory_id for recall in store.recalls())
    if twice := [key for key, count in recalled.items() if count > 1]:
        yield f"{len(twice)} episodes have two recalls"
    ids = [one.id for one in store.trajectories()]
    if any(len(verdicts) != 1 for verdicts in store.verdicts(ids).values()) or len(store.verdicts(ids)) != len(ids):
        yield "an episode has no verdict, or two"
    offered = Counter(event.item_id for event in store.events() if event.kind == "proposed")
    if twice := [key for key, count in offered.items() if count > 1]:
        yield f"{len(twice)} items were proposed twice"
    events = [(event.kind, event.release_id) for event in store.release_events()]
    if len(set(events)) != len(events):
        yield f"a release event is there twice: {events}"


def releases(store: Store) -> Iterator[str]:
    """Every decision has its consequence, every release its parts, and where one was promoted, one is present."""
    events = {(event.kind, event.release_id) for event in store.release_events()}
    present, names = store.current_release(), {one.name for one in store.checkpoints()}
    if any(kind is ReleaseEventKind.PROMOTED for kind, _ in events) != (present is not None):
        yield "a release was promoted and none is present"
    for gate in store.gates():
        promoted = (ReleaseEventKind.PROMOTED, gate.candidate_id) in events
        if promoted != (gate.answer is GateAnswer.PROMOTE):
            yield f"gate {gate.id} said {gate.answer}, and the release was {'' if promoted else 'not '}promoted"
    for release in store.releases():
        if release.model not in names:
            yield f"release {release.name} needs the checkpoint {release.model}, which the store does not know"
        if not 0 <= release.bank_version <= Bank(store).version:
            yield f"release {release.name} needs bank version {release.bank_version}"


def checkpoints(store: Store, workspace: Workspace) -> Iterator[str]:
    for known in store.checkpoints():
        folder = workspace.weights / known.path
        try:
            same = describe(folder) == known
        except (OSError, ValueError):
            same = False
        if not same:
            yield f"checkpoint {known.name} is not the folder that the store knows"
    whole = {known.path for known in store.checkpoints()}
    for folder in workspace.weights.iterdir() if workspace.weights.exists() else ():
        if folder.name not in whole and not folder.name.endswith(".part"):
            try:  # written, and not yet told to the store: it must be whole all the same
                describe(folder)
            except (OSError, ValueError) as error:
                yield f"checkpoint {folder.name} is half-written: {error}"


def unfinished(root: Path) -> Iterator[str]:
    """What only a finished run must have."""
    with copied(root) as copy, Store.open(Workspace(copy).store_url) as store:
        wanted, got = set(Bank(store).snapshot().items), set(indexed(copy))
        if wanted != got:
            yield f"the index holds {len(got)} items and the store {len(wanted)}"
        if not any(run.finished_at for run in store.runs()):
            yield "no run is finished"
    if parts := [path.name for path in root.rglob("*") if path.suffix in (".part", ".tmp")]:
        yield f"half-written files are left: {parts}"
    for page in root.glob("runs/*/report.html"):
        if not page.read_text().rstrip().endswith("</html>"):
            yield "the report is cut"


def summary(tallies: dict[str, Tally], wanted: int, least: int, seconds: float) -> tuple[list[str], bool]:
    """(lines of Markdown, whether nothing is amiss)."""
    head = [*PHASES, "between"]
    lines = [f"| suite | kills | runs | {' | '.join(head)} |", f"| {' | '.join(['---'] * (len(head) + 3))} |"]
    for suite, tally in tallies.items():
        lines.append(f"| {suite} | {tally.kills} | {tally.runs} | {' | '.join(str(tally.hit[one]) for one in head)} |")
    total: Counter[str] = sum((tally.hit for tally in tallies.values()), Counter())
    few = [phase for phase in PHASES if total[phase] < least]
    problems = [f"{suite}: {what}" for suite, tally in tallies.items() for what in tally.amiss]
    acknowledged = sum(tally.acknowledged for tally in tallies.values())
    lines += [
        "",
        f"{total.total()} kills in {seconds:.0f} s. {acknowledged} writes had returned before a kill; each was looked "
        f"for afterwards. Amiss: {len(problems)}.",
        *(f"- {problem}" for problem in problems),
    ]
    if few or total.total() < wanted:
        lines.append(f"Too few kills: {total.total()} of {wanted}; too seldom in {', '.join(few) or 'no phase'}.")
    return lines, not problems and not few and total.total() >= wanted


if __name__ == "__main__":
    main()
