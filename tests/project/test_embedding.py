"""wisen inside another LangGraph application: docs/embedding.md from an installed wheel, in a folder that has its own
`agent/` and `memory/` packages."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import test_examples as pages
from tests.project import test_wheel as wheels
from tests.support.tiny import build
from wisen.core.records import Author, ItemKind, Phase, Release, ReleaseEventKind, Scope
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.memory.bank import Bank, make_item
from wisen.trainers.checkpoints import describe

PAGE = pages.ROOT / "docs" / "embedding.md"
OWN = "OWNER = 'the application'\n"
BEFORE = "import agent, memory\n\n"
AFTER = """
import sys, wisen.agent, wisen.core
assert agent.OWNER == memory.OWNER == 'the application' and agent is not wisen.agent
print(*(sys.modules[name].__file__ for name in ("wisen.agent", "wisen.core")))
"""
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wisen installed from a wheel, to be put before the editable installation."""
    at = tmp_path_factory.mktemp("wheel")
    wheels._build(wheels._git_files(), at)
    (wheel,) = (at / "out").glob("wisen-*.whl")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", str(at / "site"), str(wheel)], check=True, capture_output=True, timeout=200)
    return at / "site"


@pytest.fixture
def application(tmp_path: Path) -> Path:
    for folder in ("agent", "memory"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text(OWN)
    return tmp_path


def run(script: str, at: Path, site: Path) -> list[str]:
    """What the page's script prints. It stands as written, between imports of the application's own packages."""
    (at / script).write_text(BEFORE + pages.files(PAGE)[script] + AFTER)
    told = pages.ran([sys.executable, script], at, PYTHONPATH=str(site), PYTHONSAFEPATH="").splitlines()
    assert told[-1].split() == [str(site / "wisen" / name / "__init__.py") for name in ("agent", "core")]
    return told[:-1]


def a_release(root: Path) -> Release:
    """A workspace with a present release: weights, and a bank with one item."""
    workspace = Workspace(root).create()
    item = make_item(
        kind=ItemKind.WORKFLOW,
        title="Buttons",
        when_to_use="Click button ONE.",
        content='click button "ONE"',
        scope=Scope(suite="miniwob"),
        author=Author(distiller="test"),
        evidence=["traj-1"],
        source_tasks=["task-1"],
    )
    with Store.open(workspace.store_url) as store:
        store.add_checkpoint(describe(build(workspace.weights / "c7")))
        version = Bank(store).propose([item], actor="test")
        release = Release(id="release-7", name="r7", model="c7", bank_version=version, harness="h")
        store.add_release(release)
        store.append_release_event(ReleaseEventKind.PROMOTED, release.id)
    return release


def test_the_first_script_has_fifteen_lines() -> None:
    first = pages.fences(PAGE, "python")[0]
    assert len([line for line in first.splitlines() if line.strip()]) <= 15


@pytest.mark.browser
def test_the_agent_as_a_step_of_another_graph(application: Path, site: Path) -> None:
    release = a_release(application / ".wisen")
    (told,) = run("embedded.py", application, site)
    name, end, success = told.split()
    assert name == "r7" and end in ("terminated", "step_limit", "repeated") and success in ("True", "False")
    with Store.open(Workspace(application / ".wisen").store_url) as store:
        (trajectory,) = store.trajectories()
        (recall,) = store.recalls()
    assert trajectory.phase is Phase.REPORT and trajectory.release_id == recall.release_id == release.id
    assert {call.model for step in trajectory.steps for call in step.calls} == {"c7"}
    assert recall.bank_version == release.bank_version > 0 and len(recall.shown) == 1


def test_memory_in_a_foreign_graph(application: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("desk.py", application, site) == pages.fences(PAGE, "")[0].splitlines()
    monkeypatch.chdir(application)
    listed = pages.CliRunner().invoke(pages.app, pages.the_command(PAGE.name, "wisen", "memory", "list")[1:]).output
    assert "2 items at bank version" in listed
    assert "Refund order <1>. -> unlock(order='<1>'); refund(order='<1>')" in listed
