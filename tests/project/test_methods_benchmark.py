"""The table of methods, small: cells are played once, paired with memory off, and unreadable replies are counted."""

import json
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from benchmarks import memory_methods
from benchmarks.memory_methods import figures, main
from benchmarks.method_parts import SUITES, WRITTEN, Cell, place_of, stream
from benchmarks.method_streams import PRACTICE, Practised, played
from wisen.models.embedder import MiniLM
from wisen.models.scripted import ScriptedModel
from wisen.models.uniform import UniformModel
from wisen.trainers.sprout.playing import GeneratedSuite

SMALL = ("--suites", "generated", "--seeds", "0", "--orders", "default", "--agent", "random", "--tasks", "9")
CELL = Cell("generated", "extractive", 0, False, 9, "random")


def test_a_second_start_plays_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [*SMALL, "--methods", "cases", "random", "--out", str(tmp_path)]
    assert main(command) == 0
    table, cells = (tmp_path / "methods.md").read_text(), sorted((tmp_path / "cells").iterdir())
    assert [path.name.rsplit("-", 3)[0] for path in cells] == ["generated-cases", "generated-none", "generated-random"]
    assert all(f"| {name} |" in table for name in ("none", "cases", "random")) and "by task" in table

    def refuse(name: str, threads: int) -> NoReturn:
        raise AssertionError("a cell is played again")

    with monkeypatch.context() as patched:
        patched.setattr(memory_methods, "opened", refuse)
        assert main(command) == 0 and (tmp_path / "methods.md").read_text() == table
        with pytest.raises(AssertionError, match="again"):
            main([*command, "--tasks", "8"])  # another stream is another cell
    times, lost = {path: path.stat().st_mtime_ns for path in cells}, json.loads(cells[0].read_text())
    cells[0].unlink()
    assert main([*command, "--only-table"]) == 0 and not cells[0].exists()
    assert "| cases |" not in (tmp_path / "methods.md").read_text()
    assert main(command) == 0
    assert [path for path in cells if path.stat().st_mtime_ns != times[path]] == cells[:1]
    assert json.loads(cells[0].read_text())["rows"] == lost["rows"]


async def test_the_first_wave_knows_nothing_and_later_ones_are_told() -> None:
    one = await played(replace(CELL, method="cases", tasks=24), UniformModel(), None, MiniLM())
    told = [len(row["shown"]) for row in one["rows"]]
    assert not any(told[:8]) and any(told[8:]) and 1 < max(told) <= 4 and one["bank"] > 8


async def test_replies_that_cannot_be_read_are_counted() -> None:
    writer = ScriptedModel(lambda request: "no JSON")
    one = await played(replace(CELL, method="reasoningbank", tasks=2), UniformModel(), writer, MiniLM())
    assert one["read"] == one["failed"] == 2 * (1 + PRACTICE) and one["bank"] == 0


async def test_methods_learn_from_the_same_practice_which_no_row_holds() -> None:
    practised, cells = Practised(), [replace(CELL, method=name, tasks=2) for name in ("none", "raw", "cases")]
    rows = []
    for cell in cells:
        rows.append((await played(cell, UniformModel(), None, MiniLM(), practised))["rows"])
        seen = [id(episode) for by_task in practised.values() for found in by_task.values() for episode in found]
        if cell.method == "raw":
            first = seen
    assert [len(one) for one in rows] == [2, 2, 2] and seen == first and len(seen) == 2 * PRACTICE
    (found,) = practised.values()
    for episode in (episode for group in found.values() for episode in group):
        assert episode.recall is None or not episode.recall.shown


def test_every_written_method_can_be_asked_for() -> None:
    told = ["--agent", "random", "--writer", "openai/any", "--only-table", "--seeds", "0"]
    assert "skills" not in WRITTEN and len(memory_methods.wanted(memory_methods.parsed(told))) == 3 * (
        1 + 2 * len(WRITTEN)
    )


def test_both_orders_hold_the_same_tasks() -> None:
    suite = GeneratedSuite(0)
    plain, mixed = (stream(suite, "generated", 0, 24, shuffled) for shuffled in (False, True))
    assert plain != mixed and {task.id for task in plain} == {task.id for task in mixed}
    assert len({place_of(task) for task in plain}) == len({place_of(task) for task in plain[:4]}) == 4


def test_a_function_comes_back_though_its_mutation_is_another() -> None:
    tasks = stream(SUITES["code-repair"][0](0), "code-repair", 0, 12, False)
    assert len({task.params["function"] for task in tasks}) == 2 < len({task.template_id for task in tasks})


def test_a_method_is_paired_with_its_own_seed() -> None:
    def cell(*successes: bool) -> dict[str, object]:
        rows = [
            {"task": str(place), "success": success, "shown": [], "tokens": 0, "end": "terminated"}
            for place, success in enumerate(successes)
        ]
        return {"rows": rows, "bank": 0, "read": 0, "failed": 0, "ranked_by": {}, "seconds": 1.0, "cpu": 1.0}

    none = replace(CELL, method="none")
    done = {none: cell(True, False), replace(none, seed=1): cell(False, False), CELL: cell(False, False)}
    done |= {replace(CELL, seed=1): cell(True, True), replace(CELL, seed=2): cell(True, True)}
    row = figures(done)[1]
    assert (row["seeds"], row["won"], row["lost"], row["tasks"]) == ([0, 1], 2, 1, 4)
    assert row["ahead"]["mean"] == 0.25 and row["ahead"]["low"] < 0.25
