"""Named panels: pinned, disjoint, and noticed when they are not what they were."""

from pathlib import Path

import pytest

from tests.support.levers import LeverSuite
from tests.support.offered import offer
from wisen.core.errors import SettingsError
from wisen.core.records import Split
from wisen.evolution.named import NamedSuite, PanelPin, named_suite, pinned, shipped, verified
from wisen.evolution.panels import make_panel


@pytest.fixture(autouse=True)
def levers(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, levers="tests.support.levers:LeverSuite")


def of(learn: list[str], gate: list[str], report: list[str], **more: object) -> NamedSuite:
    pins = {
        name: PanelPin(per_template=3, options={"templates": templates})
        for name, templates in (("learn", learn), ("gate", gate), ("report", report))
    }
    return NamedSuite.model_validate({"name": "mine", "about": "", "suite": "levers", **pins, **more})


@pytest.mark.parametrize("name", shipped())
def test_what_is_shipped_is_as_it_was_pinned(name: str) -> None:
    """Where tasks changed on purpose: `wisen suite show NAME --toml` to a new file, and that over the one in
    evolution/suites."""
    named = named_suite(name)
    assert named.name == name and named.about and verified(named) == []
    assert all(named.pin(split).tasks > 20 for split in Split)


def test_pinned_is_what_the_suite_gives() -> None:
    everything = ["one", "two", "stop"]
    named = pinned(of(everything, everything, everything))
    assert verified(named) == []
    assert named.gate.digest == make_panel(LeverSuite(), Split.GATE, 3).digest and named.gate.tasks == 9


def test_a_change_is_noticed_and_named() -> None:
    named = pinned(of(["one"], ["one"], ["one"]))
    newer = named.model_copy(update={"options": {"version": "2"}})
    wrong = verified(newer)
    assert len(wrong) == 3 and "mine/learn is panel-" in wrong[0] and f"pinned as {named.learn.digest}" in wrong[0]
    fewer = named.model_copy(update={"gate": named.gate.model_copy(update={"per_template": 2})})
    assert [line.split()[0] for line in verified(fewer)] == ["mine/gate"]
    assert "pinned as nothing" in verified(of(["one"], ["one"], ["one"]))[0]


def test_cross_template_panels_share_no_template() -> None:
    good = pinned(of(["one"], ["two"], ["stop"], disjoint="template"))
    assert verified(good) == []
    bad = pinned(of(["one", "stop"], ["two"], ["stop", "two"], disjoint="template"))
    assert verified(bad) == [
        "template levers/stop is in mine/learn and in mine/report",
        "template levers/two is in mine/gate and in mine/report",
    ]
    assert verified(bad.model_copy(update={"disjoint": "task"})) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = = 1", "is not TOML"),
        ('name = "x"', "suite: Field required"),
        ('name = "x"\nabout = ""\nsuite = "levers"\ncolour = 1', "colour: Extra inputs"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=told):
        named_suite(str(path))


def test_no_such_name() -> None:
    with pytest.raises(SettingsError, match=r"no named suite 'nobody' \(known: code-repair"):
        named_suite("nobody")
    with pytest.raises(SettingsError, match=r"nowhere.toml cannot be read"):
        named_suite("nowhere.toml")
