"""`wisen releases` and `wisen schedule` as a person meets them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.evolution.test_releases import KEPT, PROMOTED, Place
from wisen.app.cli import app
from wisen.core.errors import SettingsError, StoreError, WisenError
from wisen.core.records import utcnow
from wisen.evolution.schedule.settings import Budget, ScheduleSettings
from wisen.evolution.schedule.state import End, State, Taken, Turn, only_one, write_state


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WISEN_"):
            monkeypatch.delenv(name)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / ".wisen").grow(None, PROMOTED, KEPT, PROMOTED)
    made.store.close()
    yield made


def invoke(*args: str) -> Result:
    return CliRunner().invoke(app, args)


def said(*args: str) -> str:
    result = invoke(*args)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def refused(*args: str) -> WisenError:
    error = invoke(*args).exception
    assert isinstance(error, WisenError) and "\n" not in str(error)
    return error


def test_the_graph_has_each_release_under_the_one_it_was_made_from(place: Place) -> None:
    lines = said("releases", "list", "--graph").splitlines()
    at = {
        name: next(n for n, line in enumerate(lines) if f"{name}  weights" in line) for name in ("r0", "r1", "r2", "r3")
    }
    indent = {name: lines[n].index(name) for name, n in at.items()}
    assert indent["r0"] < indent["r1"] < indent["r2"] == indent["r3"] - 2  # "* " before the present one
    assert "* r3" in lines[at["r3"]] and sum("* " in line for line in lines) == 1
    under = {name: " ".join(lines[n + 1 : n + 3]) for name, n in at.items()}
    assert "why: made 2" in under["r2"] and "kept out by its gate: +100.0 points" in under["r2"]
    assert "let in by its gate: +100.0 points (95 % interval +50.0 to +100.0) on 1 pairs, p = 0.01" in under["r1"]
    assert "nothing came before it" in under["r0"]
    (root,) = json.loads(said("releases", "list", "--json"))
    assert [child["name"] for child in root["children"][0]["children"]] == ["r2", "r3"]


def test_a_release_by_hand_and_back_in_a_command_each(place: Place) -> None:
    promoted = said("releases", "promote", "r2", "--reason", "I know better")
    assert "the present release is r2 (it was r3)" in promoted and "no gate decided" in promoted
    assert "promoted: promoted by hand: no gate decided; I know better" in said("releases", "list")
    back = said("releases", "rollback", "r3")
    assert "the present release is r3 (it was r2)" in back and "`wisen memory restore" in back
    assert "present release already" in str(refused("releases", "promote", "r3"))


def test_a_release_goes_out_and_comes_in_elsewhere(place: Place) -> None:
    out = said("releases", "export", "night", "--name", "r1")
    digest = out.partition("manifest sha256 ")[2].split()[0]
    came = said("releases", "import", "night", "--workspace", "elsewhere", "--sha256", digest)
    name = f"r1-{digest[:6]}"
    assert f"r1 is here as {name}" in came
    assert "was here already" in said("releases", "import", "night", "--workspace", "elsewhere")
    here, there = (
        json.loads(said("releases", "show", one, "--json", "--workspace", root))
        for one, root in (("r1", ".wisen"), (name, "elsewhere"))
    )
    for part in ("weights", "bank"):
        assert here[part]["sha256"] == there[part]["sha256"]
    assert here["weights"]["sha256"] in said("releases", "show", "r1")
    assert "manifest has sha256" in str(refused("releases", "import", "night", "-w", "x", "--sha256", "0" * 64))
    Path("night/bank.jsonl").write_text("")
    assert "not the file that was exported" in str(refused("releases", "import", "night", "--workspace", "third"))
    assert "no release in" not in said("releases", "list", "--workspace", "third")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["show", "r9"], "no release 'r9'"),
        (["export", ".wisen"], "is there already"),
        (["import", "nowhere"], "holds no release"),
        (["promote", "r9"], "known: r0, r1, r2, r3"),
    ],
)
def test_what_cannot_be_is_one_line(place: Place, args: list[str], told: str) -> None:
    assert told in str(refused("releases", *args))


def test_a_dry_run_of_the_schedule_shows_when_and_makes_nothing(tmp_path: Path) -> None:
    shown = said("schedule", "--cron", "30 2 * * *", "--set", "schedule.timezone=Europe/Budapest", "--dry-run")
    days = [line.split() for line in shown.splitlines()[1:6]]
    assert all(line[2] == "02:30:00" and line[3] in ("CET", "CEST") for line in days) and len({d[1] for d in days}) == 5
    limits = ["--set", "schedule.turn.hours=1.5", "--set", "schedule.total.dollars=40", "--turns", "7"]
    told = said("schedule", "--trajectories", "200", *limits, "--dry-run")
    assert "also when 200 new trajectories are in" in told and "each turn at most: 1.5 hours" in told
    assert "in all at most: $40" in told and "turns at most: 7" in told
    assert list(tmp_path.iterdir()) == []


def test_the_table_schedule_of_the_file_is_read_by_both(tmp_path: Path) -> None:
    Path("wisen.toml").write_text('seed = 4\n[schedule]\ncron = "0 3 * * *"\n')
    assert "cron 0 3 * * *" in said("schedule", "--dry-run")
    assert "seed = 4" in said("evolve", "--dry-run")
    assert "did you mean schedule.cron" in str(refused("schedule", "--set", "schedule.kron=1"))


def test_what_the_schedule_refuses(tmp_path: Path) -> None:
    assert "nothing says when" in str(refused("schedule"))
    assert "no cron expression" in str(refused("schedule", "--cron", "at night"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".wisen").mkdir()
    with only_one(tmp_path / ".wisen"):
        assert isinstance(refused("schedule", "--cron", "* * * * *"), StoreError)
    assert isinstance(refused("schedule", "--cron", "* * * * *", "--set", "schedule.timezone=X"), SettingsError)


def test_status_says_what_was_done_and_what_comes(tmp_path: Path) -> None:
    assert said("schedule", "status") == "no schedule has worked on this workspace\n"
    now = utcnow()
    done = Turn(
        number=1, due=now, why="cron 0 2 * * *", begun=now, cycle=3, end=End.DONE, ended=now, taken=Taken(tokens=1234)
    )
    begun = done.model_copy(update={"number": 2, "cycle": 4, "end": None, "ended": None})
    plan = ScheduleSettings(cron="0 2 * * *", total=Budget(hours=8))
    root = tmp_path / ".wisen"
    root.mkdir()
    write_state(root, State(handled=now, turns=(done, begun), plan=plan))
    told = said("schedule", "status")
    assert "not running; 2 turns took 0.00 h, 2,468 tokens" in told and "cycle 3  cron 0 2 * * *  done" in told
    assert "turn 2 has begun (cycle 4) and goes on at once" in told and "in all at most: 8 hours" in told
    assert invoke("schedule", "status", "--check").exit_code == 1
    with only_one(root):
        assert "at work" in said("schedule", "status", "--check")
    assert json.loads(said("schedule", "status", "--json"))["turns"][1]["cycle"] == 4
