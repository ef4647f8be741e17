"""A realistic run report to develop and test the report's pages with. Outcomes are drawn from fixed per-family rates;
all intervals are computed from the draws, so that the figures on a page belong together as a real run's would."""

import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from tests.support.sample_showcases import showcases
from wisen.core.ids import content_id
from wisen.core.records import (
    ArmResult,
    Author,
    CurvePoint,
    GateAnswer,
    GateDecision,
    Interval,
    ItemCredit,
    ItemKind,
    MemoryItem,
    PairedOutcome,
    RunReport,
    Scope,
)

# family: success rate of random policy, untrained model, trained model
FAMILIES = {
    "click-test-2": (0.5, 0.5, 1.0),
    "click-button": (0.25, 0.3, 0.8),
    "click-link": (0.15, 0.15, 0.35),
    "click-tab": (0.35, 0.3, 0.9),
    "click-option": (0.1, 0.1, 0.6),
    "click-checkboxes": (0.02, 0.02, 0.3),
    "enter-text": (0.3, 0.35, 1.0),
    "focus-text-2": (0.35, 0.4, 0.9),
    "choose-list": (0.1, 0.1, 0.25),
    "login-user": (0.05, 0.02, 0.6),
    "click-dialog-2": (0.5, 0.5, 0.9),
    "click-widget": (0.6, 0.6, 1.0),
    "enter-password": (0.1, 0.1, 0.95),
}
SEEDS = 10
NAMES = {"rel-0": "r0", "rel-1": "r1", "rel-2": "r2", "rel-3": "r3"}


def wilson(successes: int, n: int) -> Interval:
    z, share = 1.96, successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(mean=share, low=max(0.0, middle - half), high=min(1.0, middle + half))


def paired(new: Sequence[bool], old: Sequence[bool], level: float = 0.95) -> Interval:
    difference = np.asarray(new, dtype=float) - np.asarray(old, dtype=float)
    means = np.random.default_rng(0).choice(difference, (2000, len(difference))).mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean=float(difference.mean()), low=float(low), high=float(high), level=level)


def _play(rates: dict[str, float], seed: int, n: int = SEEDS) -> dict[str, list[bool]]:
    draw = random.Random(seed)
    return {family: [draw.random() < rate for _ in range(n)] for family, rate in rates.items()}


def _flat(results: dict[str, list[bool]]) -> list[bool]:
    return [outcome for results_ in results.values() for outcome in results_]


def _arms() -> tuple[ArmResult, ...]:
    trained = {family: rates[2] for family, rates in FAMILIES.items()}
    arms = {
        "random": ("random policy", _play({f: r[0] for f, r in FAMILIES.items()}, 1), 5.1),
        "untrained": ("untrained model", _play({f: r[1] for f, r in FAMILIES.items()}, 2), 4.6),
        "untrained-memory": ("untrained model + memory", _play({f: r[1] for f, r in FAMILIES.items()}, 3), 4.5),
        "trained": ("trained model, no memory", _play(trained, 4), 2.9),
        "release": ("release r1 (trained model + memory)", _play(trained, 5), 2.8),
    }
    release = _flat(arms["release"][1])
    return tuple(
        ArmResult(
            name=name,
            label=label,
            success=wilson(sum(_flat(results)), len(_flat(results))),
            mean_steps=steps,
            tasks=len(_flat(results)),
            seeds=SEEDS,
            families={family: sum(outcomes) / len(outcomes) for family, outcomes in results.items()},
            versus=None if name == "release" else paired(release, _flat(results)),
        )
        for name, (label, results, steps) in arms.items()
    )


def _gate(
    use: int,
    candidate: str,
    incumbent: str,
    lift: float,
    answer: GateAnswer,
    needed: int | None,
    before: Sequence[bool] = (),
) -> GateDecision:
    """`before`: what the incumbent did when it was the candidate; an unchanged release is not played again."""
    draw, earlier = random.Random(use), iter(before)
    outcomes = []
    for family, (_, untrained, _) in FAMILIES.items():
        for seed in range(8):
            old = next(earlier, draw.random() < untrained)
            flip = draw.random() < (abs(lift) + 0.12 if old == (lift < 0) else 0.1)
            new = old != flip
            outcomes.append(PairedOutcome(task_id=f"web/{family}/gate/{seed}", family=family, old=old, new=new))
    new, old = [outcome.new for outcome in outcomes], [outcome.old for outcome in outcomes]
    wins = sum(n and not o for n, o in zip(new, old, strict=True))
    losses = sum(o and not n for n, o in zip(new, old, strict=True))
    alpha = 0.025 / 20
    return GateDecision(
        id=f"gate-{use}",
        candidate_id=candidate,
        incumbent_id=incumbent,
        panel_digest="5b1f0c9a77d2e314",
        use=use,
        alpha=alpha,
        outcomes=tuple(outcomes),
        difference=paired(new, old),
        lower_bound=paired(new, old, 1 - 2 * alpha).low,
        p_value=float(binomtest(wins, wins + losses, 0.5, alternative="greater").pvalue) if wins + losses else 1.0,
        answer=answer,
        tasks_needed=needed,
        reason="",
        uses=20,
    )


def _gates() -> tuple[GateDecision, ...]:
    first = _gate(1, "rel-1", "rel-0", 0.5, GateAnswer.PROMOTE, None)
    before = [outcome.new for outcome in first.outcomes]
    return (
        first,
        _gate(2, "rel-2", "rel-1", 0.16, GateAnswer.NOT_ENOUGH_EVIDENCE, 410, before),
        _gate(3, "rel-3", "rel-1", -0.15, GateAnswer.KEEP, None, before),
    )


def _curve(gates: tuple[GateDecision, ...]) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(
            cycle=cycle,
            incumbent=wilson(sum(o.old for o in gate.outcomes), len(gate.outcomes)),
            candidate=wilson(sum(o.new for o in gate.outcomes), len(gate.outcomes)),
            promoted=gate.answer is GateAnswer.PROMOTE,
            collected=390 + 40 * cycle,
            collected_success=(0.27, 0.58, 0.6)[cycle - 1],
            items=(34, 71, 88)[cycle - 1],
            rows=(280, 610, 930)[cycle - 1],
            tokens=(410_000, 780_000, 1_060_000)[cycle - 1],
            seconds=(71.0, 88.5, 96.0)[cycle - 1],
        )
        for cycle, gate in enumerate(gates, start=1)
    )


def _item(title: str, kind: ItemKind, when: str, content: str, evidence: int) -> MemoryItem:
    return MemoryItem(
        id=content_id("item", title),
        kind=kind,
        title=title,
        when_to_use=when,
        content=content,
        scope=Scope(suite="miniwob", environment="web"),
        evidence=tuple(content_id("traj", title, number) for number in range(evidence)),
        source_tasks=(f"web/{title}/learn/4",),
        author=Author(distiller="extractive"),
    )


def _credit(
    item: MemoryItem, mean: float, half: float, shown: int, held: int, rates: tuple[float, float]
) -> ItemCredit:
    return ItemCredit(
        item=item,
        lift=Interval(mean=mean, low=mean - half, high=mean + half),
        shown=shown,
        held_out=held,
        success_shown=rates[0],
        success_held_out=rates[1],
    )


def _items() -> tuple[tuple[ItemCredit, ...], tuple[ItemCredit, ...]]:
    password = _item(
        "Type the password into both fields",
        ItemKind.WORKFLOW,
        "A form asks for a password and for the same again.",
        '1. type textbox "Password" {value}  2. type textbox "Verify password" {value}  3. click button "Submit"',
        9,
    )
    tab = _item(
        "Open each tab before giving up",
        ItemKind.STRATEGY,
        "The wanted link is not on the page, and there are tabs.",
        'click tab "Tab #2", then look again; go on to the next tab.',
        3,
    )
    dialog = _item(
        "Close the dialog first",
        ItemKind.STRATEGY,
        "A dialog covers the page.",
        'click button "Close" before anything else.',
        2,
    )
    submit = _item(
        "Do not submit before the boxes are ticked",
        ItemKind.WARNING,
        "A form with check boxes and a Submit button.",
        'At the first state click button "Submit" failed and click checkbox "{name}" worked.',
        2,
    )
    link = _item(
        "Click the first link",
        ItemKind.WORKFLOW,
        "A paragraph has several links.",
        'click link "{first}"',
        1,
    )
    new = _item(
        "Focus before typing",
        ItemKind.WARNING,
        "A single text field.",
        "click textbox, then type.",
        1,
    )
    best = (
        _credit(password, 0.22, 0.15, 64, 61, (0.81, 0.57)),
        _credit(tab, 0.08, 0.19, 31, 36, (0.68, 0.61)),
        _credit(dialog, 0.05, 0.2, 24, 22, (0.75, 0.7)),
    )
    worst = (
        _credit(link, -0.24, 0.21, 28, 30, (0.11, 0.37)),
        _credit(submit, -0.06, 0.18, 35, 33, (0.2, 0.27)),
        ItemCredit(item=new, lift=None, shown=4, held_out=0, success_shown=0.5, success_held_out=None),
    )
    return best, worst


def sample_report(folder: Path) -> RunReport:
    """The report of a plausible run; its screenshots are written below `folder`."""
    gates, (best, worst) = _gates(), _items()
    return RunReport(
        run_id="run-5f00c2d1a9b3e477",
        title="Thirteen web task families, three cycles",
        command="wisen evolve --seed 7 --cycles 3",
        settings={"seed": 7, "cycles": 3, "suite": "miniwob", "gate": {"per_template": 8, "uses": 20}},
        suite="miniwob",
        release_name="r1",
        arms=_arms(),
        curve=_curve(gates),
        gates=gates,
        release_names=NAMES,
        best_items=best,
        worst_items=worst,
        bank_size=88,
        showcases=showcases(folder, best[0].item),
        leakage_guard="an item is never shown on the task that it was learned from",
        seconds=331.4,
        versions={"wisen": "0.1.0", "python": "3.11.2", "torch": "2.13.0"},
    )
