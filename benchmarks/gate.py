"""Can a promotion be believed? The gate's error, power and cost over ten thousand simulated lives of a panel.

    python benchmarks/gate.py --out .wisen-gate

The gates are the product's (`wisen.evolution.gate`), many lives at a time. A panel is used 20 times with an error
budget of 2.5 %. Parts:

- lives: candidates that are no better, and differ from what they build on in 2 to 50 % of tasks. How many lives see any
  of them promoted? Candidates build on the present release, on the last candidate that was ahead without being promoted
  (what a cycle trains on from), or always on the last one (what a bank does).
- stream: candidates of which some help and more do harm. What is promoted, and how good is the release after 20 uses,
  with either gate, with "ahead on the panel is enough", and with everything let in?
- power: how often one use of the panel promotes a candidate that is 0, 5, 10 or 20 points better, and how many rollouts
  that takes, by the size of the panel.
- families: the same error and power where the claim is about other families, and what a test over tasks, sign-flips
  over families and a bootstrap of families would do there.
- noninferiority: how often an unchanged candidate passes a panel of the size that the product asks for, and one that
  lost 10 points, or breaks a rule in 10 points more of its episodes.

Writes gate.md, gate.json and gate.png to the output folder, and each cell as it is finished: a second start goes on
from there. Exits with 1 where a criterion is missed. One core, some minutes.

What it leaves out: panels are samples from one population of tasks, and outcomes are independent given the task's
chances. A panel that is not like the tasks that the release will meet is wrong in a way that no gate sees.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))  # for its neighbours

from benchmarks.gate_streams import (
    FAMILY_NULLS,
    Ahead,
    Anytime,
    Fixed,
    Gate,
    families_pass,
    family_effects,
    family_means,
    live,
    not_worse,
)
from benchmarks.gate_views import drawn, table
from wisen.core.ids import derived_seed
from wisen.core.noninferiority import pairs_needed
from wisen.core.statistics import wilson
from wisen.evolution.gates.settings import GateSettings, NonInferioritySettings

USES, BUDGET, MOST = 20, 0.025, 0.03
DISCORDANCE = (0.02, 0.05, 0.1, 0.2, 0.5)
STREAMS = ("fresh", "undecided", "last")
PANELS = (50, 100, 200, 400, 800)
EFFECTS = (0.0, 0.05, 0.1, 0.2)
MIXED = ((0.0, 0.5), (-0.05, 0.3), (0.1, 0.2))  # half change nothing on the whole, some harm, a few help
FAMILIES = (13, 40, 100, 200)
WAYS = {"fixed": None, "anytime": 5}  # families between two looks
EACH = 10  # tasks of a family on a panel
MARGIN = NonInferioritySettings(measure="violation").margin
RULE = GateSettings(alpha=BUDGET, uses=USES)
BLOCK = 2_500


def gates() -> dict[str, Gate]:
    return {"fixed": Fixed(RULE.share), "anytime": Anytime(RULE.share, RULE.batch, RULE.futility)}


def cells(lives: int) -> dict[str, Callable[[], dict[str, Any]]]:
    found: dict[str, Callable[[], dict[str, Any]]] = {}
    for kind, gate in gates().items():
        for share in DISCORDANCE:
            for stream, tasks in [*((one, 130) for one in STREAMS), ("undecided", 400)]:
                found[f"lives/{kind}/{share:g}/{stream}/{tasks}"] = lambda g=gate, d=share, s=stream, n=tasks: _lives(
                    g, n, d, s, lives
                )
            for size in PANELS:
                for effect in EFFECTS:
                    if effect <= share and share >= 0.1:
                        found[f"power/{kind}/{share:g}/{effect:g}/{size}"] = lambda g=gate, d=share, e=effect, n=size: (
                            _power(g, n, d, e, lives)
                        )
    everyone: dict[str, Gate | None] = {"everything": None, "ahead": Ahead(), **gates()}
    for kind, any_gate in everyone.items():
        found[f"stream/{kind}"] = lambda g=any_gate: _stream(g, lives)
    for share in DISCORDANCE:
        for null in FAMILY_NULLS:
            found[f"families/{share:g}/{null}"] = lambda k=null, d=share: _families(k, d, lives)
    for kind, every in WAYS.items():
        for size in FAMILIES:
            for effect in EFFECTS:
                found[f"family power/{kind}/{effect:g}/{size}"] = lambda n=size, e=effect, v=every: _family_power(
                    n, e, v, lives
                )
    for null in FAMILY_NULLS:
        found[f"family tests/{null}"] = lambda k=null: _family_tests(k, min(lives, 2_000))
    for share in DISCORDANCE:
        found[f"noninferiority/{share:g}"] = lambda d=share: _noninferiority(d, lives)
    found["violations/0.05"] = lambda: _violations(0.05, lives)
    return found


def _lives(gate: Gate, tasks: int, discordance: float, stream: str, lives: int) -> dict[str, Any]:
    fooled = played = 0.0
    for start in range(0, lives, BLOCK):
        size = min(BLOCK, lives - start)
        seed = derived_seed("lives", tasks, discordance, stream, start)
        life = live(gate, tasks=tasks, discordance=discordance, uses=USES, lives=size, stream=stream, seed=seed)
        fooled, played = fooled + int(life.fooled.sum()), played + float(life.played.mean(axis=1).sum())
    return {"fooled": int(fooled), "lives": lives, "upper": _upper(int(fooled), lives), "tasks": played / lives}


def _stream(gate: Gate | None, lives: int) -> dict[str, Any]:
    rows = []
    for start in range(0, lives, BLOCK):
        size, seed = min(BLOCK, lives - start), derived_seed("stream", start)
        how = {"tasks": 200, "discordance": 0.1, "uses": USES, "stream": "fresh", "effects": MIXED}
        rows.append(live(gate, lives=size, seed=seed, **how))
    final = np.concatenate([one.final for one in rows])
    fooled = int(sum(one.fooled.sum() for one in rows))
    error = 1.96 * float(final.std()) / len(final) ** 0.5
    return {
        "fooled": fooled,
        "lives": lives,
        "upper": _upper(fooled, lives),
        "final": float(final.mean()),
        "final_low": float(final.mean()) - error,
        "final_high": float(final.mean()) + error,
        "promotions": float(np.concatenate([one.promotions for one in rows]).mean()),
        "tasks": float(np.concatenate([one.played for one in rows]).mean()),
    }


def _power(gate: Gate, tasks: int, discordance: float, effect: float, lives: int) -> dict[str, Any]:
    passed = played = 0.0
    for start in range(0, lives, BLOCK):
        size, seed = min(BLOCK, lives - start), derived_seed("power", tasks, discordance, effect, start)
        draw = np.random.default_rng(seed)
        kind = draw.random((size, tasks), dtype=np.float32)
        better, worse = (discordance + effect) / 2, (discordance - effect) / 2
        won, lost = kind < better, (kind >= better) & (kind < better + worse)
        promoted, cost = gate.decide(won, lost)  # ties count for neither, so "both failed" stands for them
        passed, played = passed + int(promoted.sum()), played + int(cost.sum())
    return {**_share(int(passed), lives), "rollouts": 2 * played / lives}


def _families(kind: str, discordance: float, lives: int) -> dict[str, Any]:
    draw = np.random.default_rng(derived_seed("families", kind, discordance))
    fooled = {way: np.zeros(lives, bool) for way in WAYS}
    for _ in range(USES):
        means = family_means(family_effects(kind, discordance, (lives, 40), draw), discordance, EACH, draw)
        for way, every in WAYS.items():
            fooled[way] |= families_pass(means, EACH, RULE.share, every)[0]
    counts = {way: int(one.sum()) for way, one in fooled.items()}
    return {way: {"fooled": one, "lives": lives, "upper": _upper(one, lives)} for way, one in counts.items()}


def _family_power(families: int, effect: float, every: int | None, lives: int) -> dict[str, Any]:
    draw = np.random.default_rng(derived_seed("family power", families, effect))
    effects = np.clip(effect + 0.1 * draw.standard_normal((lives, families)), -1, 1)
    passed, played = families_pass(family_means(effects, 0.2, EACH, draw), EACH, RULE.share, every)
    return {**_share(int(passed.sum()), lives), "families": float(played.mean())}


def _family_tests(kind: str, trials: int) -> dict[str, Any]:
    """One use of 13 families at the whole budget of 2.5 %, by four tests."""
    from scipy.stats import binom

    draw = np.random.default_rng(derived_seed("family tests", kind))
    effects = family_effects(kind, 0.2, (trials, 13), draw)
    change = np.maximum(0.2, np.abs(effects))
    wins = draw.binomial(EACH, (change + effects) / 2)
    rest = (change - effects) / 2 / np.maximum(1e-12, 1 - (change + effects) / 2)
    losses = draw.binomial(EACH - wins, np.clip(rest, 0, 1))
    means = (wins - losses) / EACH
    won, lost = wins.sum(axis=1), losses.sum(axis=1)
    signs = np.where(draw.random((4_000, 13)) < 0.5, -1.0, 1.0)
    flipped = means @ signs.T  # [trials, flips]
    as_high = (flipped >= means.sum(axis=1, keepdims=True) - 1e-12).sum(axis=1)
    picks = draw.multinomial(13, np.full(13, 1 / 13), size=4_000)
    bound = np.quantile(means @ picks.T / 13, BUDGET, axis=1)
    found = {
        "McNemar over tasks": binom.sf(won - 1, won + lost, 0.5) <= BUDGET,
        "bootstrap of families": bound > 0,
        "sign-flips of families": (as_high + 1) / 4_001 <= BUDGET,
        "betting over families": families_pass(means, EACH, BUDGET)[0],
    }
    return {name: _share(int(one.sum()), trials) for name, one in found.items()}


def _noninferiority(discordance: float, trials: int) -> dict[str, Any]:
    tasks = pairs_needed(MARGIN, discordance)
    seed = derived_seed("noninferiority", discordance)
    same = not_worse(tasks, MARGIN, 0.025, discordance / 2, discordance / 2, trials, seed)
    change = max(discordance, 0.1)
    fallen = not_worse(tasks, MARGIN, 0.025, (change - 0.1) / 2, (change + 0.1) / 2, trials, seed)
    border = max(discordance, MARGIN)
    at_margin = not_worse(tasks, MARGIN, 0.025, (border - MARGIN) / 2, (border + MARGIN) / 2, trials, seed)
    small = not_worse(max(1, tasks // 4), MARGIN, 0.025, discordance / 2, discordance / 2, trials, seed)
    return {
        "tasks": tasks,
        "unchanged passes": _share(same, trials),
        "lost 10 points, refused": _share(trials - fallen, trials),
        "lost the margin, passes": _share(at_margin, trials),
        "a quarter of the tasks, unchanged passes": _share(small, trials),
    }


def _violations(rate: float, trials: int) -> dict[str, Any]:
    """Episodes that break a rule at `rate`, independently in both releases, and 10 points more in one of them."""
    tasks = pairs_needed(MARGIN, 2 * rate * (1 - rate))
    seed = derived_seed("violations", rate)
    more = rate + 0.1
    same = not_worse(tasks, MARGIN, 0.025, rate * (1 - rate), rate * (1 - rate), trials, seed)
    risen = not_worse(tasks, MARGIN, 0.025, rate * (1 - more), more * (1 - rate), trials, seed)
    return {
        "tasks": tasks,
        "unchanged passes": _share(same, trials),
        "10 points more violations, refused": _share(trials - risen, trials),
    }


def _upper(fooled: int, lives: int) -> float:
    """One-sided 99 % bound."""
    return wilson(fooled, lives, 0.98).high


def _share(successes: int, n: int) -> dict[str, float]:
    found = wilson(successes, n)
    return {"share": found.mean, "low": found.low, "high": found.high}


def missed(results: dict[str, dict[str, Any]]) -> list[str]:
    """Criteria that are not met, in words."""
    wrong = []
    for name, one in results.items():
        part = name.split("/")[0]
        for way, life in (("", one),) if part == "lives" else one.items() if part == "families" else ():
            if life["upper"] > MOST:
                wrong.append(f"{name} {way}: {life['fooled']} of {life['lives']} lives saw a false promotion")
        if part in ("noninferiority", "violations"):
            for what, least in (
                ("unchanged passes", 0.8),
                ("lost 10 points, refused", 0.95),
                ("10 points more violations, refused", 0.95),
            ):
                if what in one and one[what]["share"] < least:
                    wrong.append(f"{name}: {what} {100 * one[what]['share']:.1f} %, and {100 * least:.0f} % is asked")
    if results["stream/ahead"]["upper"] <= MOST:
        wrong.append("stream/ahead: promoting whatever is ahead is not seen to be wrong, so nothing is shown")
    return wrong


def played(out: Path, lives: int, console: Console) -> dict[str, dict[str, Any]]:
    """Every cell; those that a former start left are read."""
    results, folder = {}, out / f"cells-{lives}"
    folder.mkdir(parents=True, exist_ok=True)
    todo = cells(lives)
    for number, (name, play) in enumerate(todo.items(), start=1):
        path = folder / (name.replace("/", "_").replace(" ", "-") + ".json")
        if not path.exists():
            started = time.monotonic()
            part = path.with_suffix(".part")
            part.write_text(json.dumps(play()))
            part.rename(path)
            console.print(f"{number} of {len(todo)}: {name}, {time.monotonic() - started:.1f} s", highlight=False)
        results[name] = json.loads(path.read_text())
    return results


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(".wisen-gate"))
    parser.add_argument("--lives", type=int, default=10_000, help="simulated lives of a panel in each cell")
    given = parser.parse_args(argv)
    console = Console()
    results = played(given.out, given.lives, console)
    wrong = missed(results)
    text = table(results, wrong, given.lives)
    (given.out / "gate.md").write_text(text, encoding="utf-8")
    (given.out / "gate.json").write_text(
        json.dumps({"lives": given.lives, "cells": results, "missed": wrong}, indent=1)
    )
    (given.out / "gate.png").write_bytes(drawn(results))
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
