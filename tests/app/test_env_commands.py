"""`wisen env` and `wisen suite`: listed, explained, played through a pipe, served, verified."""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.support.levers import LeverSuite
from tests.support.offered import offer
from tests.support.openenv_serving import openenv
from wisen.app.cli import app
from wisen.core.errors import WisenError

WISEN = str(Path(sys.executable).with_name("wisen"))
Wisen = Callable[..., Result]


@pytest.fixture
def wisen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wisen:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WISEN_"):
            monkeypatch.delenv(name)
    offer(monkeypatch, levers="tests.support.levers:LeverSuite", corridor="tests.support.corridor:Corridors")

    def run(*args: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(app, args, input=typed)

    return run


def refused(result: Result) -> str:
    assert isinstance(result.exception, WisenError), result.output
    return str(result.exception)


def test_environments_are_listed(wisen: Wisen) -> None:
    lines = wisen("env", "list").output.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == sorted(names) and {"miniwob", "code-repair", "openenv", "gymnasium"} <= set(names)
    assert all(len(line.split()) > 3 for line in lines)
    head, _, *rows = wisen("env", "list", "--markdown").output.splitlines()
    assert head.startswith("| suite | what |") and set(names) >= {row.split("`")[1] for row in rows}
    assert any(row.startswith("| `office` | Errands in a generated organisation") for row in rows)


def test_one_is_explained(wisen: Wisen) -> None:
    told = wisen("env", "info", "code-repair").output
    assert "functions = ()" in told and re.search(r"gate: \d+ templates, such as code-repair/", told)
    told = wisen("env", "info", "gymnasium").output
    assert "id   (must be given)" in told and "--set id=" in told
    told = wisen("env", "info", "gymnasium", "--set", "id=FrozenLake-v1").output
    assert "learn: 1 templates, such as gymnasium/FrozenLake-v1/0" in told and "reward: as the environment pays" in told
    assert "unknown suite 'minivob' (did you mean miniwob?" in refused(wisen("env", "info", "minivob"))
    assert "its options are id" in refused(wisen("env", "info", "gymnasium", "--set", "id=x", "--set", "colour=1"))


def test_a_person_plays_by_number_and_in_words(wisen: Wisen) -> None:
    told = wisen("env", "play", "levers", "--seed", "2", typed='dance\n9\n0\n\npress lever "red"\n').output
    assert "Make it stop." in told and 'lever "red"' in told
    assert told.count("there are 1 to 3") == 2
    assert told.endswith("over: success, 2 steps, reward 1\n") and "reward 1\n" in told
    number = re.search(r"(\d)  press lever \"red\"", told)
    assert number and "over: success, 1 step" in wisen("env", "play", "levers", "--seed", "2", typed=number[1]).output


@pytest.mark.parametrize(
    ("typed", "steps"), [("q\n", "0 steps"), ("", "0 steps"), ("x\nQUIT\n", "1 step,"), ("x", "1 step,")]
)
def test_leaving_and_the_end_of_input_are_clean(wisen: Wisen, typed: str, steps: str) -> None:
    result = wisen("env", "play", "levers", typed=typed)
    assert result.exit_code == 0 and f"left after {steps}" in result.output


def test_tools_are_called_by_number_and_in_words(wisen: Wisen, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support import corridor

    schema = {
        "properties": {"to": {"type": "string", "description": "where"}, "n": {"type": "integer"}},
        "required": ["to"],
    }
    monkeypatch.setattr(corridor, "TOOL", corridor.TOOL.model_copy(update={"parameters": schema}))
    told = wisen(
        "env", "play", "corridor", "--seed", "2", typed='5\nright\n\nmove(to="right")\n> right\n1\nmove(to=3)\n3'
    ).output
    assert "   5  move(to, n)  Move or open the door here." in told and "to (string) where" in told
    assert "n (integer, may be empty)" in told
    doors = re.findall(r"You are at door (\d)", told)
    assert doors == ["0", "1", "2", "3", "2", "2", "2"]
    assert told.endswith("over: success, 6 steps, reward 0.375\n")
    assert "left after 0 steps" in wisen("env", "play", "corridor", typed="5\n").output  # in the middle of a call


def test_what_a_person_gets_wrong(wisen: Wisen) -> None:
    assert "no split 'train' (one of learn, gate, report)" in refused(
        wisen("env", "play", "levers", "--split", "train")
    )
    assert "is the server running" in refused(wisen("env", "play", "openenv", "--set", "url=http://127.0.0.1:9"))
    assert "its options are url" in refused(wisen("env", "play", "openenv"))
    assert "so the server needs a token" in refused(wisen("env", "serve", "levers", "--host", "0.0.0.0"))
    assert "unknown suite" in refused(wisen("env", "serve", "nobody"))


def test_a_served_one_is_played(wisen: Wisen) -> None:
    with openenv(LeverSuite()) as url:
        told = wisen("env", "play", "openenv", "--set", f"url={url}", "--seed", "2", typed='press lever "red"\n').output
        assert "Make it stop." in told and told.endswith("over: success, 1 step, reward 1\n")
        card = wisen("env", "info", "openenv", "--set", f"url={url}").output
        assert "tasks: learn 300, gate 300, report 300" in card and "; the server at http" in card


def test_the_program_plays_from_a_file_and_is_stopped_by_a_signal(tmp_path: Path) -> None:
    """A real process: what a thread that waits for input would hang or crash at the end of."""
    command = [WISEN, "env", "play", "gymnasium", "--set", "id=FrozenLake-v1"]
    (tmp_path / "input").write_text("0\nq\n")
    with (tmp_path / "input").open() as typed:
        run = subprocess.run(command, stdin=typed, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0 and "left after 0 steps" in run.stdout and not run.stderr, run.stderr
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    seen = b""
    while b"q to leave" not in seen:
        seen += os.read(process.stdout.fileno(), 1000)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert b"stopped" in process.stdout.read() and process.stderr.read() == b""


def test_the_program_serves_until_it_is_stopped(tmp_path: Path) -> None:
    command = [WISEN, "env", "serve", "gymnasium", "--set", "id=FrozenLake-v1", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    line = process.stdout.readline()
    url = line.split(" at ")[1].split()[0]
    run = subprocess.run(
        [WISEN, "env", "play", "openenv", "--set", f"url={url}"],
        input="1\nq\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0 and "left after 1 step" in run.stdout, run.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert process.stderr.read() == ""


# Named suites


def test_named_suites_are_listed_shown_and_verified(wisen: Wisen) -> None:
    listed = wisen("suite", "list").output
    assert re.search(r"^miniwob-13 +miniwob +learn 1300, gate 130, report 130", listed, re.MULTILINE)
    told = wisen("suite", "show", "miniwob-13-cross-template").output
    assert told.count("as pinned") == 3 and "disjoint by template" in told
    assert "wisen run --suite miniwob --per-template 20 --set 'suite_options.families=[" in told
    assert "        miniwob/click-tab/2000000" in wisen("suite", "show", "miniwob-13", "--tasks").output
    result = wisen("suite", "verify", "miniwob-13", "miniwob-13-cross-template")
    assert result.exit_code == 0 and "disjoint by template" in result.output
    assert "no named suite" in refused(wisen("suite", "verify", "nobody"))


FILE = """
name = "mine"
about = "A test."
suite = "levers"
[learn]
per_template = 2
[gate]
per_template = 2
[report]
per_template = 2
"""


def test_one_s_own_is_pinned_and_a_change_is_noticed(wisen: Wisen) -> None:
    path = Path("mine.toml")
    path.write_text(FILE)
    assert wisen("suite", "verify", "mine.toml").exit_code == 1
    path.write_text(wisen("suite", "show", "mine.toml", "--toml").output)
    assert wisen("suite", "verify", "mine.toml").exit_code == 0
    path.write_text(path.read_text().replace("per_template = 2", "per_template = 3", 1))
    result = wisen("suite", "verify", "mine.toml")
    assert result.exit_code == 1 and "mine: differs" in result.output and "mine/learn is panel-" in result.output
    assert "mine/gate" not in result.output


def test_verify_says_what_it_could_not_check(wisen: Wisen, monkeypatch: pytest.MonkeyPatch) -> None:
    from wisen.environments import registry

    monkeypatch.delitem(registry._BUILT_IN, "code-repair")
    result = wisen("suite", "verify")
    assert result.exit_code == 0 and "code-repair: not checked: unknown suite" in result.output
    assert "unknown suite" in refused(wisen("suite", "verify", "code-repair"))


def test_lines_come_as_they_are_typed() -> None:
    from wisen.app.terminal import _lines_of

    read, write = os.pipe()
    with os.fdopen(read) as source:
        os.write(write, "eins\r\nzw\u00f6".encode() + b"\nno end")
        lines = _lines_of(source)
        assert [next(lines), next(lines)] == ["eins", "zwö"]
        os.write(write, b"\xff!")
        os.close(write)
        assert list(lines) == ["no end\ufffd!"]
    assert list(_lines_of(io.StringIO("a\nb"))) == ["a", "b"]
