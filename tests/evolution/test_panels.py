"""Panels: pinned by content, and never overlapping."""

import pytest

from tests.support.levers import LeverSuite
from wisen.core.errors import SettingsError
from wisen.core.records import Split
from wisen.evolution.panels import make_panel, refuse_overlap


def test_the_digest_is_that_of_the_tasks() -> None:
    panel = make_panel(LeverSuite(), Split.GATE, 3)
    assert panel.name == "levers/gate" and len(panel.tasks) == 9
    assert make_panel(LeverSuite(), Split.GATE, 3) == panel
    others = [
        make_panel(LeverSuite(version="2"), Split.GATE, 3),
        make_panel(LeverSuite(), Split.GATE, 4),
        make_panel(LeverSuite(), Split.GATE, 3, offset=1),
        make_panel(LeverSuite(), Split.REPORT, 3),
        make_panel(LeverSuite(templates=["one"]), Split.GATE, 3),
    ]
    assert len({panel.digest, *(other.digest for other in others)}) == 6


def test_the_generation_alone_does_not_make_it_another_panel() -> None:
    again = make_panel(LeverSuite(), Split.GATE, 3, generation=1)
    assert again.generation == 1 and again.digest == make_panel(LeverSuite(), Split.GATE, 3).digest


def test_an_overlap_is_refused_and_named() -> None:
    suite = LeverSuite()
    gate, report = make_panel(suite, Split.GATE, 2), make_panel(suite, Split.REPORT, 2)
    learned = suite.tasks(Split.LEARN, 2)
    refuse_overlap([gate, report], learned)
    refuse_overlap([])
    both = report.model_copy(update={"tasks": (*report.tasks, gate.tasks[0])})
    with pytest.raises(SettingsError, match=rf"{gate.tasks[0].id} is in levers/gate and in levers/report"):
        refuse_overlap([gate, both])
    with pytest.raises(SettingsError, match="the learning tasks"):
        refuse_overlap([gate], [*learned, gate.tasks[-1]])
