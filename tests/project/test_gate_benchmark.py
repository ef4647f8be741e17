"""benchmarks/gate.py: its gates are the product's, its criteria can be missed, and a second start goes on."""

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import gate as benchmark
from benchmarks.gate_streams import Anytime, Fixed, Gate, families_pass, live
from benchmarks.gate_views import drawn, table
from wisen.core.records import GateAnswer, PairedOutcome
from wisen.environments import registry
from wisen.evolution.gate import decide
from wisen.evolution.gates.settings import GateSettings
from wisen.evolution.settings import EvolveSettings


def product(rule: GateSettings, pairs: list[PairedOutcome]) -> tuple[bool, int]:
    found = decide(
        pairs, candidate_id="new", incumbent_id="old", panel_digest="p", use=1, settings=rule, seed=0, of=None
    )
    units = {one.family if rule.claim == "families" else one.task_id for one in found.outcomes}
    return found.answer is GateAnswer.PROMOTE, len(units)


@pytest.mark.parametrize("kind", ["fixed", "anytime"])
def test_the_gates_are_those_of_the_product(kind: str) -> None:
    """Over outcomes near the border: what is promoted, and after how many tasks."""
    rule = GateSettings(alpha=0.06, uses=2, kind=kind, resamples=2_000)
    anytime = Anytime(rule.share, rule.batch, rule.futility)
    gate: Gate = Fixed(rule.share, rule.resamples) if kind == "fixed" else anytime
    draw = np.random.default_rng(0)
    kinds = draw.choice(3, p=[0.16, 0.06, 0.78], size=(40, 90))
    new, old = kinds == 0, kinds == 1
    promoted, played = gate.decide(new, old)
    assert 5 < promoted.sum() < 35
    for life in range(40):
        pairs = [
            PairedOutcome(task_id=str(task), family="f", old=bool(old[life, task]), new=bool(new[life, task]))
            for task in range(90)
        ]
        assert product(rule, pairs) == (promoted[life], played[life])


@pytest.mark.parametrize("every", [None, 5])
def test_the_gates_over_families_are_those_of_the_product(every: int | None) -> None:
    settings = {"kind": "anytime", "batch": every} if every else {}
    rule = GateSettings(alpha=0.06, uses=2, claim="families", resamples=200, **settings)  # type: ignore[arg-type]
    draw = np.random.default_rng(1)
    means = draw.integers(-2, 5, size=(15, 30)) / 5
    promoted, played = families_pass(means, 5, rule.share, every, rule.futility)
    assert 0 < promoted.sum() < 15
    for life in range(15):
        pairs = [
            PairedOutcome(
                task_id=f"{family}-{task}",
                family=str(family),
                old=task < round(-5 * mean),
                new=task < round(5 * mean),
            )
            for family, mean in enumerate(means[life])
            for task in range(5)
        ]
        assert product(rule, pairs) == (promoted[life], played[life])


def test_a_gate_that_spends_too_much_is_seen() -> None:
    """The planted fault: every use spends the whole budget."""
    whole = live(Fixed(0.025), tasks=400, discordance=0.2, uses=20, lives=500, stream="fresh", seed=1)
    shared = live(Fixed(0.025 / 20), tasks=400, discordance=0.2, uses=20, lives=500, stream="fresh", seed=1)
    assert whole.fooled.mean() > 0.2 and shared.fooled.mean() < 0.05


def test_the_page_names_the_command_and_settings_that_there_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
    assert "python benchmarks/gate.py" in page and "images/gate.png" in page
    assert (Path(__file__).parents[2] / "docs" / "images" / "gate.png").read_bytes().startswith(b"\x89PNG")
    text = page.split("```toml\n")[1].split("```")[0]
    settings = EvolveSettings.model_validate(tomllib.loads(text))
    assert settings.gate.noninferior["puzzles"].suite in registry.suites()
    named = set(re.findall(r"`gate\.([a-z_]+)`", page))
    assert named and named <= set(GateSettings.model_fields)


def test_cells_are_kept_and_criteria_can_be_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, few in (
        ("DISCORDANCE", (0.1,)),
        ("PANELS", (50,)),
        ("FAMILIES", (13,)),
        ("STREAMS", ("fresh", "undecided", "last")),
    ):
        monkeypatch.setattr(benchmark, name, few)
    results = benchmark.played(tmp_path, 40, Console(quiet=True))
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    again = benchmark.played(tmp_path, 40, Console(quiet=True))
    assert again == results and {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == kept
    assert any("false promotion" in one for one in benchmark.missed(results))  # 40 lives bound nothing at 3 %
    bound = json.loads(json.dumps(results).replace('"upper": ', '"upper": 0.0, "was": '))
    bound["stream/ahead"]["upper"] = 0.9
    bound["noninferiority/0.1"]["unchanged passes"]["share"] = 0.7
    assert [one.split(":")[0] for one in benchmark.missed(bound)] == ["noninferiority/0.1"]
    assert "| fixed | 10 % |" in table(results, [], 40)
    assert drawn(results, "0.1").startswith(b"\x89PNG")
