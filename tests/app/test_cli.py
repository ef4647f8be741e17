"""The command line: help, settings, and the commands that read and mend a workspace."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.memory.build import item
from wisen.app.cli import app, main
from wisen.core.errors import SettingsError, StoreError, WisenError
from wisen.core.records import Release, ReleaseEventKind
from wisen.core.settings import load
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.evolution.settings import EvolveSettings, RunSettings
from wisen.memory.bank import Bank

COMMANDS = [
    [],
    ["evolve"],
    ["run"],
    ["report"],
    ["doctor"],
    ["env"],
    ["env", "list"],
    ["env", "info"],
    ["env", "play"],
    ["env", "serve"],
    ["suite"],
    ["suite", "list"],
    ["suite", "show"],
    ["suite", "verify"],
    ["memory"],
    ["memory", "list"],
    ["memory", "show"],
    ["memory", "restore"],
    ["memory", "add"],
    ["memory", "edit"],
    ["memory", "why"],
    ["memory", "diff"],
    ["memory", "serve"],
    ["releases"],
    ["releases", "list"],
    ["releases", "rollback"],
    ["releases", "show"],
    ["releases", "promote"],
    ["releases", "export"],
    ["releases", "import"],
    ["schedule"],
    ["schedule", "status"],
]


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("WISEN_"):
            monkeypatch.delenv(name)


def invoke(*args: str) -> Result:
    return CliRunner().invoke(app, args)


def refused(*args: str) -> WisenError:
    """The error that `main` would print on one line before it leaves with 2."""
    error = invoke(*args).exception
    assert isinstance(error, WisenError) and "\n" not in str(error)
    return error


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two items; r1 the present release, r0 before it, r2 rejected."""
    made = Workspace(tmp_path / "ws").create()
    with Store.open(made.store_url) as store:
        bank = Bank(store)
        bank.propose([item("Press [b]red[/b] first.", when="A page with levers.")], actor="test")
        bank.propose([item("Wait for the bell.")], actor="test")
        parent = None
        for number, kind in enumerate(("PROMOTED", "PROMOTED", "REJECTED")):
            release = Release(
                id=f"release-{number}",
                name=f"r{number}",
                model=f"c{number}",
                bank_version=number,
                harness="h",
                parent_id=parent,
            )
            store.add_release(release)
            store.append_release_event(ReleaseEventKind[kind], release.id, reason=f"reason {number}")
            parent = release.id
    return made


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output and "--help" in result.output
    assert len(result.output.splitlines()) > 4


def test_a_dry_run_prints_what_reads_back_as_the_same(tmp_path: Path) -> None:
    flags = ["--seed", "7", "--cycles", "5", "--set", 'suite_options.families=["click-link"]', "-s", "gate.alpha=0.01"]
    result = invoke("evolve", "--dry-run", *flags)
    assert result.exit_code == 0
    file = tmp_path / "printed.toml"
    file.write_text(result.output)
    read = load(EvolveSettings, file=file)
    assert (read.seed, read.cycles, read.gate.alpha) == (7, 5, 0.01)
    assert read.suite_options == {"families": ["click-link"]}
    assert invoke("evolve", "--dry-run", "--config", str(file)).output == result.output
    assert list(tmp_path.iterdir()) == [file]  # nothing was made


def test_run_prints_its_own_settings(tmp_path: Path) -> None:
    result = invoke("run", "--dry-run", "--model", "uniform", "--no-memory")
    file = tmp_path / "printed.toml"
    file.write_text(result.output)
    read = load(RunSettings, file=file)
    assert (read.model, read.memory) == ("uniform", False)


def test_a_flag_wins_over_set_and_the_file_of_the_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wisen.toml").write_text("seed = 1\ncycles = 9\n")
    printed = invoke("evolve", "--dry-run", "--set", "seed=2", "--seed", "3").output
    assert "seed = 3" in printed.splitlines() and "cycles = 9" in printed.splitlines()
    monkeypatch.setenv("WISEN_CYCLES", "8")
    assert "cycles = 8" in invoke("evolve", "--dry-run").output.splitlines()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["evolve", "--set", "gate.alfa=1"], "did you mean gate.alpha"),
        (["evolve", "--set", "nonsense"], "sets nothing"),
        (["evolve", "--set", "cycles=-1"], "cycles"),
        (["evolve", "--suite", "minivob"], "did you mean miniwob"),
        (["evolve", "--config", "none.toml"], "no settings file"),
        (["evolve", "--set", 'suite_options.families=["no-such-page"]'], "no page no-such-page"),
        (["run", "--model", "nobody"], "there is no model 'nobody'"),
        (["run"], "no release yet"),
        (["report"], "no report of any run"),
        (["report", "evolve-1"], "no report of evolve-1"),
        (["memory", "list"], "no workspace"),
        (["releases", "list"], "no workspace"),
        (["releases", "rollback"], "no workspace"),
    ],
)
def test_what_the_user_can_mend_is_one_line(args: list[str], told: str) -> None:
    assert told in str(refused(*args))


def test_looking_at_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    refused("memory", "list")
    refused("report")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", [["evolve", "--set", "sead=1"], ["evolve", "--no-such-flag"], ["fly"]])
def test_the_program_leaves_with_2_and_without_a_traceback(args: list[str]) -> None:
    code = "from wisen.app.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *args], check=False, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert "Traceback" not in done.stderr
    if "--set" in args:
        assert done.stderr.startswith("wisen: unknown setting sead") and len(done.stderr.splitlines()) == 1


def test_main_turns_an_error_into_a_line_and_a_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(sys, "argv", ["wisen", "report"])
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr()
    assert left.value.code == 2 and told.out == ""
    assert told.err.startswith("wisen: ") and len(told.err.splitlines()) == 1


def test_memory_is_listed_shown_and_set_back(workspace: Workspace) -> None:
    at = ["--workspace", str(workspace.root)]
    listed = invoke("memory", "list", *at).output
    assert "A page with levers. -> Press [b]red[/b] first." in listed  # as it is: no markup
    with Store.open(workspace.store_url) as store:
        events = Bank(store).version
    assert listed.splitlines()[-1] == f"2 items at bank version {events}"
    before = events // 2  # as many events for each item
    assert f"1 items at bank version {before}" in invoke("memory", "list", "--version", str(before), *at).output
    key = next(line.split()[0] for line in listed.splitlines() if "bell" in line)
    shown = invoke("memory", "show", key, *at).output
    assert "advice:   Wait for the bell." in shown and "traj-1  not in this store" in shown
    assert f"version {before + 1}: proposed" in shown
    restored = invoke("memory", "restore", str(before), *at)
    assert restored.exit_code == 0 and f"this is version {events + 1}" in restored.output
    assert "bell" not in invoke("memory", "list", *at).output
    assert isinstance(refused("memory", "show", key, *at), SettingsError)
    assert invoke("memory", "show", key, "--version", str(events), *at).output == shown
    invoke("memory", "restore", str(events), *at)
    assert f"2 items at bank version {events + 2}" in invoke("memory", "list", *at).output


def test_a_version_that_never_was_is_refused(workspace: Workspace) -> None:
    at = ["--workspace", str(workspace.root)]
    for args in (["memory", "list", "-v", "9"], ["memory", "restore", "9"], ["memory", "show", "x", "-v", "9"]):
        assert "9" in str(refused(*args, *at))


def test_releases_are_listed_and_rolled_back(workspace: Workspace) -> None:
    at = ["--workspace", str(workspace.root)]

    def present() -> str:
        (line,) = [line for line in invoke("releases", "list", *at).output.splitlines() if line.startswith("*")]
        return line.split()[1]

    listed = invoke("releases", "list", *at).output
    assert present() == "r1" and "promoted: reason 1" in listed and "rejected: reason 2" in listed
    rolled = invoke("releases", "rollback", *at).output
    assert rolled.startswith("the present release is r0 (it was r1)") and present() == "r0"
    invoke("releases", "rollback", "r1", *at)
    assert present() == "r1"
    assert "never promoted" in str(refused("releases", "rollback", "r2", *at))
    assert "no release 'r7'" in str(refused("releases", "rollback", "r7", *at))


@pytest.mark.parametrize(
    "command",
    [["memory", "restore", "1"], ["releases", "rollback"], ["run"]],
    ids=" ".join,
)
def test_a_workspace_in_use_is_left_alone(workspace: Workspace, command: list[str]) -> None:
    # The lock is the process's: another one holds it, as in life.
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(workspace.root)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        error = refused(*command, "--workspace", str(workspace.root))
        assert isinstance(error, StoreError) and f"pid {holder.pid}" in str(error)
    finally:
        holder.kill()
        holder.wait()


HOLDER = """
import sys
from pathlib import Path
from wisen.core.workspace import Workspace
with Workspace(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def recorded(calls: list[tuple[Any, ...]]) -> Callable[..., None]:
    return lambda *args, **rest: calls.append((*args, rest))


def test_flags_that_are_not_given_settle_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from wisen.app.commands import evolve

    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(evolve, "run_evolve", recorded(calls))
    assert invoke("evolve").exit_code == 0
    flags = calls[0][3]
    assert calls[0][:3] == (Path(".wisen"), None, [])
    assert {"cycles", "seed", "suite", "model", "trainer"} <= set(flags)
    assert all(value in (None, {}) for value in flags.values())
