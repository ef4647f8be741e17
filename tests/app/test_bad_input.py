"""What a person, a machine or a model may get wrong, through the real command line: one clear line and exit code 2, or
a failed episode with its reason where the run should go on. Never a traceback, and nothing that is stored is lost."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_openai import KEY, Answer, FakeOpenAI, error, reply
from tests.support.offered import offer
from wisen.app.cli import main
from wisen.core.records import EpisodeEnd, Trajectory
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.environments.code.sandbox import sandbox_level

PROGRAM = [sys.executable, "-c", "from wisen.app.cli import main; main()"]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line that was said on stderr, where nothing else was."""
        (line,) = self.err.splitlines()
        assert line.startswith("wisen: ") and "Traceback" not in self.out
        return line


Wisen = Callable[..., Done]


@pytest.fixture
def wisen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Wisen:
    """The program in this process, in an empty folder, with test suites to name."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WISEN_") and name != "WISEN_CHROMIUM":
            monkeypatch.delenv(name)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    offer(monkeypatch, corridor="tests.support.corridor:Corridors", levers="tests.support.levers:LeverSuite")

    def run(*args: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["wisen", *args])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        told = capsys.readouterr()
        return Done(code, told.out, told.err)

    return run


def stored(root: Path) -> tuple[Trajectory, ...]:
    if not Workspace(root).database.exists():
        return ()
    with Store.open(Workspace(root).store_url) as store:
        return store.trajectories()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["evolve", "--suite", "minivob"], "unknown suite 'minivob' (did you mean miniwob?"),
        (["evolve", "--set", "suite_options.colour=3"], "its options are families"),
        (["evolve", "--set", "suite_options.families=3"], "suite miniwob cannot take families = 3"),
        (["evolve", "--set", 'suite_options.families="click-link"'], "is no list of pages"),
        (["evolve", "--set", "suite_options.families=[]"], "is no list of pages"),
        (["evolve", "--set", "suite_options.families=[1]"], "no page 1"),
        (["evolve", "--set", "suite_options=1"], "setting suite_options"),
        (["evolve", "--suite", "code-repair", "--set", "suite_options.functions=7"], "cannot take functions = 7"),
        (["run", "--model", "nobody"], "there is no model 'nobody' (one of uniform"),
        (["run", "--model", "r7"], "there is no model 'r7'"),
        (["run"], "no release yet"),
        (["evolve", "--set", "sead=1"], "unknown setting sead, did you mean seed?"),
        (["evolve", "--set", "train.tokens=many"], "setting train.tokens: "),
        (["evolve", "--set", "gate=3"], "setting gate: "),
        (["evolve", "--set", "gate.alpha=2"], "setting gate.alpha: "),
        (["evolve", "--set", "gate.uses=1", "--set", "gate=1"], "gate is set in parts already"),
        (["run", "--set", "workers=0", "--model", "uniform"], "setting workers: "),
        (["evolve", "--config", "missing.toml"], "there is no settings file missing.toml"),
        (["evolve", "--config", "."], "there is no settings file"),
        (["evolve", "--config", "garbled.toml"], "garbled.toml is not TOML"),
        (["evolve", "--config", "bytes.toml"], "bytes.toml is not TOML"),
        (["evolve", "--config", "unknown.toml"], "unknown setting train.tokns, did you mean train.tokens?"),
        (["evolve", "--workspace", "a-file"], "a-file: Not a directory"),
        (["evolve", "--workspace", "a-file/below"], "Not a directory"),
        (["memory", "list", "--workspace", "a-file"], "is no workspace"),
        (["report", "--workspace", "a-file"], "has no report"),
        (["releases", "rollback", "--workspace", "a-file"], "is no workspace"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_person_gets_wrong(wisen: Wisen, args: list[str], told: str) -> None:
    Path("a-file").write_text("x")
    Path("garbled.toml").write_text("seed = = 1")
    Path("bytes.toml").write_bytes(b'suite = "\xff"')
    Path("unknown.toml").write_text("[train]\ntokns = 1\n")
    done = wisen(*args)
    assert done.code == 2 and told in done.line


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_settings_file_that_may_not_be_read(wisen: Wisen) -> None:
    Path("secret.toml").touch(mode=0)
    assert "Permission denied" in wisen("evolve", "--config", "secret.toml").line


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("WISEN_SEAD", "1", "unknown variable WISEN_SEAD (did you mean WISEN_SEED?)"),
        ("WISEN_WORKERS", "many", "setting workers: "),
        ("WISEN_EPISODE", "3", "setting episode: "),
        ("WISEN_SUITE_OPTIONS", "{", "holds JSON"),
    ],
)
def test_variables(wisen: Wisen, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    for command in ("evolve", "run"):
        done = wisen(command, "--dry-run")
        assert done.code == 2 and told in done.line


def test_a_variable_for_one_command_does_not_stop_another(wisen: Wisen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WISEN_TRAIN__TOKENS", "5")
    monkeypatch.setenv("WISEN_TEMPERATURE", "0.5")
    assert "temperature = 0.5" in wisen("run", "--dry-run").out
    assert "tokens = 5" in wisen("evolve", "--dry-run").out


@pytest.mark.parametrize("command", [["run", "--model", "uniform"], ["evolve"]], ids=" ".join)
def test_no_chromium(wisen: Wisen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str]) -> None:
    monkeypatch.setenv("WISEN_CHROMIUM", str(tmp_path / "nowhere"))
    done = wisen(*command)
    assert done.code == 2 and "WISEN_CHROMIUM names" in done.line and "does not exist" in done.line
    for name in ("WISEN_CHROMIUM", "PLAYWRIGHT_BROWSERS_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PATH", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    done = wisen(*command)
    assert done.code == 2 and "no Chromium was found" in done.line and "playwright install" in done.line


def test_no_bubblewrap(wisen: Wisen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from wisen.environments.code import bubblewrap, jail

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(bubblewrap.ENV, "PATH", str(tmp_path))
    monkeypatch.setattr(jail, "why_not", lambda: ("no Landlock either", ""))
    sandbox_level.cache_clear()
    try:
        done = wisen("run", "--model", "uniform", "--suite", "code-repair")
    finally:
        sandbox_level.cache_clear()
    assert done.code == 2 and "is not installed" in done.line and "apt-get install bubblewrap" in done.line


@pytest.mark.sandbox
def test_bubblewrap_that_goes_away_in_the_middle(wisen: Wisen, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from wisen.environments.code import bubblewrap, sandbox

    whole, runs = sandbox.command, 0

    def command(*args: Any, **options: Any) -> list[str]:
        nonlocal runs
        runs += 1
        if runs == 3:
            monkeypatch.setenv("PATH", str(tmp_path))
            monkeypatch.setitem(bubblewrap.ENV, "PATH", str(tmp_path))
        return whole(*args, **options)

    sandbox_level()
    monkeypatch.setattr(sandbox, "command", command)
    options = 'suite_options.functions=["chunks", "roman", "clamp"]'
    done = wisen("run", "--model", "uniform", "--suite", "code-repair", "--set", "workers=1", "--set", options)
    assert done.code == 0 and done.err == ""
    ends = {one.task.params["function"]: one for one in stored(tmp_path / ".wisen")}
    broken = [one for one in ends.values() if one.end is EpisodeEnd.FAILED]
    assert broken and len(ends) == 3
    assert all("is not installed" in one.error and not one.success for one in broken)


@pytest.mark.parametrize("record", ["", "{", '{"run_id": "evolve-1"}', "[]", '{"run_id": 3}', "\0\0"])
def test_a_report_that_is_old_or_garbled(wisen: Wisen, tmp_path: Path, record: str) -> None:
    folder = tmp_path / ".wisen/runs/evolve-1"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(record)
    done = wisen("report")
    assert done.code == 2 and "report.json is" in done.line


# What models do


def play(wisen: Wisen, server: FakeOpenAI, *more: str, key: str = KEY, tasks: int = 3) -> Done:
    os.environ["OPENAI_API_KEY"] = key
    try:
        return wisen(
            *("run", "--suite", "corridor", "--model", "openai/gpt-4o-mini", "--api-base", server.url),
            *("--per-template", str(tasks), "--set", "workers=1", "--set", "remote.retries=0", *more),
        )
    finally:
        del os.environ["OPENAI_API_KEY"]


def moved(*moves: str) -> Answer:
    calls = [(f"c{number}", "move", f'{{"to": "{move}"}}') for number, move in enumerate(moves)]
    return reply(None, tool_calls=calls, finish="tool_calls")


FAULTS = {
    "half a JSON": (Answer(reply("a long answer").body[:60]), "malformed"),
    "an empty body": (Answer(""), "malformed"),
    "no JSON": (Answer("<html>welcome</html>", headers={"Content-Type": "text/html"}), "malformed"),
    "JSON of something else": (Answer('{"hello": 1}'), "malformed"),
    "a list": (Answer("[1, 2]"), "malformed"),
    "a body cut in the middle": (reply("a long answer", keep=40), "cut the connection"),
    "500": (error(500, "boom"), "failed on its server (500)"),
    "429": (error(429, "Rate limit reached", kind="requests"), "rate limit"),
    "429 for an hour": (
        Answer(error(429, "Rate limit reached").body, status=429, headers={"Retry-After": "3600"}),
        "rate limit",
    ),
    "slow": (reply("open", delay=1.2), "in time"),
    "half a character": (reply("\ud800"), "half a character"),
    "a megabyte of arguments": (
        reply(None, tool_calls=[("c", "move", f'{{"to": "{"x" * 1_000_000}"}}')], finish="tool_calls"),
        "characters",
    ),
}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_one_bad_answer_fails_its_episode_and_the_run_goes_on(wisen: Wisen, tmp_path: Path, fault: str) -> None:
    answer, told = FAULTS[fault]
    with FakeOpenAI(moved("open"), answer, moved("open")) as server:
        done = play(wisen, server, "--set", "remote.timeout=0.6" if fault == "slow" else "remote.timeout=20")
    assert done.code == 0, done.err
    assert [one for one in done.err.splitlines() if "no price" not in one] == []
    first, broken, last = sorted(stored(tmp_path / ".wisen"), key=lambda one: one.task.seed)
    assert (first.end, last.end) == (EpisodeEnd.TERMINATED, EpisodeEnd.TERMINATED) and first.success
    assert (broken.end, broken.success) == (EpisodeEnd.FAILED, False)
    assert told in broken.error and len(broken.error) < 1_000 and "\n" not in broken.error


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (reply("I would rather not."), "there is no I would rather not."),
        (reply("I would\n\nrather not."), "there is no rather not."),
        (reply(""), "there is no "),
        (reply(None, tool_calls=[("c", "move", '{"to": ')], finish="tool_calls"), 'there is no move({"to": )'),
        (reply(None, tool_calls=[("c", "move", "[1]")], finish="tool_calls"), "there is no move([1])"),
        (reply(None, tool_calls=[("c", "fly", '{"to": "left"}')], finish="tool_calls"), "there is no tool fly"),
        (reply(None, tool_calls=[("c", "move", "{}")], finish="tool_calls"), "move needs a text: to"),
        (reply(None, tool_calls=[("c", "move", '{"to": 3}')], finish="tool_calls"), "move needs a text: to"),
        (reply(None, tool_calls=[("c", "move", '{"to": ["left"]}')], finish="tool_calls"), "move needs a text: to"),
    ],
    ids=[
        "prose",
        "two lines",
        "nothing",
        "half a JSON",
        "no object",
        "unknown tool",
        "no argument",
        "a number",
        "a list",
    ],
)
def test_nonsense_is_a_step_with_a_note(wisen: Wisen, tmp_path: Path, answer: Answer, told: str) -> None:
    with FakeOpenAI(answer, moved("open")) as server:
        assert play(wisen, server, tasks=1).code == 0
    (one,) = stored(tmp_path / ".wisen")
    assert (one.end, one.success) == (EpisodeEnd.TERMINATED, True)
    assert [step.result.info.get("note", "") for step in one.steps] == [told, ""]


@pytest.mark.parametrize(
    ("answer", "key", "told"),
    [
        (moved("open"), "wrong", "refused the key (401)"),
        (moved("open"), "", "needs a key"),
        (error(500, "boom"), KEY, "failed on its server (500)"),
        (error(404, "The model does not exist", code="model_not_found"), KEY, "was not found (404)"),
    ],
    ids=["wrong key", "no key", "500", "404"],
)
def test_where_nothing_works_the_run_ends_with_a_line_and_the_same_command_tries_again(
    wisen: Wisen, tmp_path: Path, answer: Answer, key: str, told: str
) -> None:
    with FakeOpenAI(moved("open")) as server:
        assert play(wisen, server, tasks=1).code == 0
    before = stored(tmp_path / ".wisen")
    with FakeOpenAI(answer) as server:
        done = play(wisen, server, key=key, tasks=10)
    assert done.code == 2 and told in done.err.splitlines()[-1] and "Traceback" not in done.err
    assert "episode" in done.err.splitlines()[-1]
    assert stored(tmp_path / ".wisen") == before
    with FakeOpenAI(moved("open")) as server:
        assert play(wisen, server, tasks=10).code == 0
    assert {one.id for one in before} < {one.id for one in stored(tmp_path / ".wisen")}


def test_an_endpoint_that_is_not_there(wisen: Wisen, tmp_path: Path) -> None:
    with FakeOpenAI(moved("open")) as server:
        pass
    done = play(wisen, server)
    assert done.code == 2 and "cannot be reached" in done.line and server.url in done.line
    assert stored(tmp_path / ".wisen") == ()


def test_a_megabyte_of_text_ends_nothing(wisen: Wisen, tmp_path: Path) -> None:
    with FakeOpenAI(moved("open"), reply("x" * 1_000_000), moved("open")) as server:
        assert play(wisen, server).code == 0
    assert len(stored(tmp_path / ".wisen")) == 3


# Processes

UNBURDENED = """
import sys
from wisen.app.cli import main
try:
    main()
finally:
    heavy = {"torch", "chromadb", "langgraph", "playwright", "litellm", "transformers"} & set(sys.modules)
    assert not heavy, heavy
"""


def test_a_second_process_is_told_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    for command in (["evolve"], ["run", "--model", "uniform"]):
        with Workspace(tmp_path).lock():
            before = os.times()
            done = subprocess.run(
                [sys.executable, "-c", UNBURDENED, *command, "--workspace", str(tmp_path)],
                capture_output=True,
                text=True,
                check=False,
            )
            seconds = os.times().children_user - before.children_user  # of work: others may keep the machine busy
        (line,) = done.stderr.splitlines()
        assert done.returncode == 2 and f"another wisen process (pid {os.getpid()}) is using" in line
        assert seconds < 2


def test_a_reader_that_leaves_and_a_terminal_of_few_letters(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for command in (["env", "list"], ["evolve", "--dry-run", "--set", 'suite="é"']):
        reader, writer = os.pipe()
        os.close(reader)
        left = subprocess.run(
            [*PROGRAM, *command], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False
        )
        os.close(writer)
        assert left.returncode in (0, 1, 141) and left.stderr == ""
    printed = subprocess.run(
        [*PROGRAM, "evolve", "--dry-run", "--set", 'suite="é"'], capture_output=True, env=environment, check=True
    )
    assert 'suite = "é"' in printed.stdout.decode()
    refused = subprocess.run(
        [*PROGRAM, "evolve", "--suite", "é"], capture_output=True, env=environment, cwd=tmp_path, check=False
    )
    assert refused.returncode == 2 and refused.stderr.startswith(b"wisen: unknown suite")
