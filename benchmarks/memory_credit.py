"""Does credit tell which memory helps? Banks of items whose true lift is known, and the life cycle at work on them.

    python benchmarks/memory_credit.py --replications 200 --out .wisen-credit

An item's lift is what showing it adds to the chance of success: +20, +5, 0 or -10 points. Items of one topic are
recalled together, the base rate of every topic drifts between 30 and 60 %, and the life cycle
(`wisen.memory.lifecycle`, as the product runs it) looks at all of them after every 25 episodes of each topic. Parts:

- accounts: 1,000 own appearances of each item, in a balanced bank and in one that is 80 % null. How often does each
  kind of interval hold the true lift, after every single outcome; which items become active?
- planted: items that are active from the start, without evidence: how soon do those that do harm lose that?
- pair: two near-duplicates, either of which brings +20 points and both no more: drawn apart, and drawn as one.
- regret: points of success lost against an oracle, beside always-show, never-show and two methods that credit every
  shown item with the run's outcome, on streams of the same kind.

Every part also runs under two policies that must fail: retire everything, keep everything. Writes credit.md and
credit.json to the output folder, and every block of replications as it is finished: a second start goes on from there.
Exits with 1 where a criterion is missed, or where one of the two policies meets them all. One core, some minutes.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # for its neighbours

from benchmarks.credit_parts import (
    BANKS,
    BETTING,
    CLASSES,
    NORMAL,
    REGRET,
    SEQUENCE,
    SHARED,
    accounts,
    pair,
    planted,
    regret,
)
from benchmarks.credit_streams import POLICIES
from wisen.core.ids import derived_seed
from wisen.core.records import Interval
from wisen.core.statistics import paired_bootstrap, wilson
from wisen.memory.credit import LEVEL
from wisen.memory.lifecycle import LifecycleSettings

BLOCK = 50  # replications computed and kept together


def cells() -> dict[str, Callable[[int, int], dict[str, Any]]]:
    found: dict[str, Callable[[int, int], dict[str, Any]]] = {}
    for policy in POLICIES:
        for bank in BANKS:
            found[f"accounts, {bank}, {policy}"] = lambda seed, n, b=bank, p=policy: accounts(b, p, seed, n)
        found[f"planted, {policy}"] = lambda seed, n, p=policy: planted(p, seed, n)
    for joint in (False, True):
        found[f"pair, {'as one' if joint else 'apart'}"] = lambda seed, n, j=joint: pair(j, seed, n)
    for policy in REGRET:
        found[f"regret, {policy}"] = lambda seed, n, p=policy: regret(p, seed, n)
    return found


def played(out: Path, replications: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """The blocks of every cell; those that a former start left are read."""
    blocks: dict[str, list[dict[str, Any]]] = {}
    for name, play in cells().items():
        wanted = BLOCK if "always-" in name and "regret" not in name else replications
        for start in range(0, wanted, BLOCK):
            size = min(BLOCK, wanted - start)
            stem = "".join(letter if letter.isalnum() else "-" for letter in name)
            path = out / "blocks" / f"{stem}-{seed}-{start}-{size}.json"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                # Policies see the same seeds: their streams differ only in what the policy changes.
                made = play(derived_seed(seed, "credit", name.split(",")[0], start), size)
                path.with_suffix(".part").write_text(json.dumps(made))
                path.with_suffix(".part").rename(path)
                sys.stdout.write(f"{name}: {start + size} of {wanted}\n")
                sys.stdout.flush()
            blocks.setdefault(name, []).append(json.loads(path.read_text()))
    return blocks


def summary(blocks: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Counts of all blocks added up, with intervals: Wilson over items, a bootstrap over replications for means."""
    found: dict[str, Any] = {"accounts": {}, "planted": {}, "pair": {}, "regret": {}}
    for name, parts in blocks.items():
        part, _, rest = name.partition(", ")
        if part == "accounts":
            found[part][rest] = _accounts_summary(parts)
        elif part == "planted":
            found[part][rest] = {key: _added([one[key] for one in parts]) for key in CLASSES.values()}
            for one in found[part][rest].values():
                one["within"] = _share(one["demoted"], one["items"])
                one["median_appearances"] = _median(one.pop("demoted_at"))
        elif part == "pair":
            total = sum(one["items"] for one in parts)
            found[part][rest] = {
                "active": _share(sum(one["active"] for one in parts), total),
                "coverage": _share(total - sum(one["missed"] for one in parts), total),
                "mean": float(np.mean([one["mean"] for one in parts])),
            }
        else:
            found[part][rest] = {
                key: _mean([x for one in parts for x in one[key]]).model_dump() for key in ("all", "last")
            }
    return found


def _accounts_summary(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    classes = {}
    for name in CLASSES.values():
        own = [one["classes"][name] for one in parts]
        total = sum(one["items"] for one in own)
        covered = {
            which: {key: _share(total - sum(one[which][key] for one in own), total) for key in own[0][which]}
            for which in ("missed", "missed_last")
        }
        classes[name] = {
            "items": total,
            "active": _share(sum(one["active"] for one in own), total),
            "retired": _share(sum(one["retired"] for one in own), total),
            "coverage": covered["missed"],
            "coverage_last": covered["missed_last"],
            "half_width": float(np.average([one["half_width"] for one in own], weights=[one["items"] for one in own])),
        }
    return {
        "classes": classes,
        "false_active": _mean([x for one in parts for x in one["false"]]).model_dump(),
        "median_hit": {key: _median([x for one in parts for x in one["hits"][key]]) for key in (SEQUENCE, BETTING)},
    }


def _added(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: sum((one[key] for one in parts[1:]), parts[0][key]) for key in parts[0]}


def _share(successes: int, n: int) -> dict[str, float]:
    return wilson(successes, n).model_dump()


def _mean(values: Sequence[float]) -> Interval:
    return paired_bootstrap(values, seed=0)


def _median(values: Sequence[float]) -> float | None:
    middle = float(np.median(values))
    return middle if math.isfinite(middle) else None


def criteria(found: Mapping[str, Any], policy: str) -> dict[str, bool]:
    """Each claim, and whether it was seen. A control has no part in what only the estimator decides."""
    banks = {bank: found["accounts"][f"{bank}, {policy}"] for bank in BANKS}
    claims: dict[str, bool] = {}
    for bank, one in banks.items():
        for name, own in one["classes"].items():
            claims[f"{bank}: the sequence of {name} holds at all times in 95 %"] = (
                own["coverage"][SEQUENCE]["mean"] >= 0.95
            )
        claims[f"{bank}: 90 % of +20 become active"] = one["classes"]["+20"]["active"]["mean"] >= 0.9
        claims[f"{bank}: mean share of false activations at most 5 %"] = one["false_active"]["mean"] <= 0.05
    demoted = found["planted"][policy]["-10"]["within"]["mean"]
    claims["planted: 90 % of -10 demoted within 3,000 appearances"] = demoted >= 0.9
    claims["planted: 90 % of +20 active at the end"] = (
        found["planted"][policy]["+20"]["active_at_end"] >= 0.9 * found["planted"][policy]["+20"]["items"]
    )
    return claims


def table(found: Mapping[str, Any], verdicts: Mapping[str, Mapping[str, bool]], replications: int, seed: int) -> str:
    lines = [
        "# Credit by simulation",
        "",
        f"{replications} replications, seed {seed}; the two control policies {BLOCK}. In brackets 95 % intervals. "
        f"Confidence sequence at {100 * LEVEL:.0f} %; settings: {LifecycleSettings().model_dump()}.",
    ]
    for bank in BANKS:
        one = found["accounts"][f"{bank}, life cycle"]
        lines += [
            "",
            f"## 1,000 appearances, {bank} bank",
            "",
            "| true lift | items | became active | would be retired | half width at 1,000 |",
            "| --- | --- | --- | --- | --- |",
        ]
        for name, own in one["classes"].items():
            lines.append(
                f"| {name} | {own['items']} | {_percent(own['active'])} | {_percent(own['retired'])} | "
                f"{100 * own['half_width']:.1f} |"
            )
        hits = ", ".join(
            f"{key} {'more than 1,000' if n is None else f'{n:.0f}'}" for key, n in one["median_hit"].items()
        )
        lines += [
            "",
            f"Mean share of false activations: {_percent(one['false_active'])}. Median appearances until the interval "
            f"of a +20 item lies above 0: {hits}.",
            "",
            "Coverage at all looks, and in brackets at the last one:",
            "",
            "| estimator | " + " | ".join(one["classes"]) + " |",
            "| --- |" + " --- |" * len(CLASSES),
        ]
        for key in (SEQUENCE, BETTING, NORMAL, SHARED):
            shown = [
                f"{100 * own['coverage'][key]['mean']:.1f} % ({100 * own['coverage_last'][key]['mean']:.1f} %)"
                for own in one["classes"].values()
            ]
            lines.append(f"| {key} | {' | '.join(shown)} |")
    lines += [
        "",
        "## Planted as active, 3,000 appearances",
        "",
        "| true lift | items | lost it | median appearances until then | retired at the end | active at the end |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, own in found["planted"]["life cycle"].items():
        at = own["median_appearances"]
        lines.append(
            f"| {name} | {own['items']} | {_percent(own['within'])} | {'more' if at is None else f'{at:.0f}'} | "
            f"{100 * own['retired'] / own['items']:.1f} % | {100 * own['active_at_end'] / own['items']:.1f} % |"
        )
    lines += ["", "## A redundant pair of +20", "", "| drawn | mean score | became active | coverage |"]
    lines.append("| --- | --- | --- | --- |")
    for name, own in found["pair"].items():
        lines.append(f"| {name} | {100 * own['mean']:+.1f} | {_percent(own['active'])} | {_percent(own['coverage'])} |")
    lines += ["", "## Regret: successes lost against the oracle, per 100 episodes", ""]
    lines += ["| policy | 3,000 episodes of each topic | the last 750 |", "| --- | --- | --- |"]
    for name, own in found["regret"].items():
        lines.append(f"| {name} | {_plain(own['all'])} | {_plain(own['last'])} |")
    lines += ["", "## Criteria", "", "| criterion | " + " | ".join(verdicts) + " |"]
    lines.append("| --- |" + " --- |" * len(verdicts))
    for claim in verdicts["life cycle"]:
        lines.append(f"| {claim} | " + " | ".join("yes" if one[claim] else "NO" for one in verdicts.values()) + " |")
    return "\n".join(lines) + "\n"


def _percent(share: Mapping[str, float]) -> str:
    return f"{100 * share['mean']:.1f} % [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"


def _plain(one: Mapping[str, float]) -> str:
    return f"{one['mean']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(".wisen-credit"))
    told = parser.parse_args()
    found = summary(played(told.out, told.replications, told.seed))
    verdicts = {policy: criteria(found, policy) for policy in POLICIES}
    text = table(found, verdicts, told.replications, told.seed)
    told.out.joinpath("credit.md").write_text(text)
    record = {"replications": told.replications, "seed": told.seed, "criteria": verdicts, **found}
    told.out.joinpath("credit.json").write_text(json.dumps(record, indent=1) + "\n")
    sys.stdout.write(text)
    passed = {policy: all(one.values()) for policy, one in verdicts.items()}
    sys.exit(0 if passed == {"life cycle": True, "always-retire": False, "always-keep": False} else 1)


if __name__ == "__main__":
    main()
