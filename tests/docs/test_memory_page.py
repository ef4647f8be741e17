"""docs/memory.md: its scripts as they stand, its JSON line, and its tables beside what there is."""

import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from tests.docs.test_examples import ROOT, copied, fences, files, ran
from wisen.app.cli import app
from wisen.memory.distillers import distiller_names
from wisen.memory.rankers import ranker_names

PAGE = ROOT / "docs" / "memory.md"
pytestmark = pytest.mark.timeout(300)  # fresh processes that import torch, on a machine that may be busy


def column(heading: str) -> set[str]:
    """The names in the first column of the table under a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([a-z]+)` \|", section, re.MULTILINE))


def test_ten_lines_give_a_foreign_graph_a_memory(tmp_path: Path) -> None:
    at = copied(PAGE.name, tmp_path)
    ten = files(PAGE)["remembering.py"].splitlines()[1:]
    assert len([line for line in ten if line.strip()]) == 10
    assert "wisen" not in files(PAGE)["helpdesk.py"]
    assert ran([sys.executable, "remembering.py"], at) == fences(PAGE, "")[0]
    # What it learned has a source, and each search is kept with what came of it.
    listed = CliRunner().invoke(app, ["memory", "list", "--json", "--workspace", str(at / "desk")]).output
    (tip,) = [one for one in json.loads(listed) if one["kept"]]
    why = CliRunner().invoke(app, ["memory", "why", tip["id"], "--json", "--workspace", str(at / "desk")]).output
    found = json.loads(why)
    assert [(one["success"], one["run"] != "") for one in found["sources"]] == [(False, True)]
    assert [(one["shown"], one["success"]) for one in found["recalls"]] == [(True, True)]


def test_recall_and_learn_in_python(tmp_path: Path) -> None:
    first, *second = ran([sys.executable, "refunds.py"], copied(PAGE.name, tmp_path)).splitlines()
    assert first == "order 1734: no advice"
    assert "unlock(order='<1>'); refund(order='<1>')" in "\n".join(second)


def test_the_json_line_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("items.jsonl").write_text(fences(PAGE, "json")[0])
    assert CliRunner().invoke(app, ["memory", "add", "items.jsonl"]).exit_code == 0


def test_the_tables_name_all_that_there_is() -> None:
    assert column("Who writes the items") == set(distiller_names())
    assert column("Who comes first") == set(ranker_names())


def test_the_picture_is_read_without_colours() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "images" / "item-life.svg").getroot()
    words = " ".join(picture.itertext())
    for status in ("candidate", "probation", "active", "retired", "quarantined"):
        assert status in words
    assert "prefers-color-scheme: dark" in words and f"({Path('images') / 'item-life.svg'})" in PAGE.read_text()
