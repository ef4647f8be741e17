"""`wisen data` and `wisen train`, over a workspace with a few attempts and a real tiny backbone."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.played import clicking, played
from tests.support.tiny import build
from wisen.app.cli import main
from wisen.core.records import Episode, Release, ReleaseEventKind, Verdict, VerdictSource
from wisen.core.workspace import Workspace
from wisen.models.tokens import Codec
from wisen.trainers.checkpoints import describe, write_card

Wisen = Callable[..., tuple[int, str, str]]
NAMES = ("Submit", "Cancel", "Help")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("train") / "ws"
    place = Workspace(root, {})
    with place.lock(), place.open_store() as store:
        folder = build(place.weights / "base")
        write_card(folder, parent=None, recipe={})
        store.add_checkpoint(describe(folder))
        release = Release(id="rel-1", name="r0", model="base", bank_version=0, harness="h")
        store.add_release(release, reason="the first")
        store.append_release_event(ReleaseEventKind.PROMOTED, "rel-1", reason="the first")
        store.start_run("run-1", {})
        codec = Codec.load(folder)
        for number, name in enumerate(NAMES):
            for success in (True, False):
                others = [other for other in NAMES if other != name]
                asked, _ = clicking(name, others, memory="zebra")
                one = played(codec, [(asked, 2 if success else 0)], success=success, number=number)
                one = one.model_copy(update={"id": f"{one.id}-{success}", "attempt": int(success)})
                verdict = Verdict(
                    trajectory_id=one.id, source=VerdictSource.ENVIRONMENT, success=success, score=float(success)
                )
                store.add_episode(Episode(trajectory=one, verdicts=(verdict,), seconds=0.1))
    return root


@pytest.fixture
def wisen(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Wisen:
    """The program, over a copy of the workspace as `ws` in an empty folder: (exit code, what it said, errors)."""
    shutil.copytree(workspace, tmp_path / "ws")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wisen", *args])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


FEW = ("--set", "train.rename=0", "--set", "train.replay=0", "--set", "train.tokens=1")


def test_a_dataset_is_built_counted_shown_and_exported(wisen: Wisen) -> None:
    assert wisen("data", "build", "d", "-w", "ws", "--filter", "success and 'memory' in tags") == (
        0,
        "3 rows of 3 attempts in d\n",
        "",
    )
    code, said, _ = wisen("data", "stats", "d")
    assert code == 0 and re.search(r"^rows +3$", said, re.M) and re.search(r"^source sampled +3 rows$", said, re.M)
    code, said, _ = wisen("data", "show", "d", "1")
    assert code == 0 and "zebra" in said.replace(" ", "") and "<act>" in said and "of " in said.splitlines()[0]
    code, said, _ = wisen("data", "export", "d", "out.jsonl", "--format", "trl-sft")
    assert code == 0 and len([json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]) == 3
    assert wisen("data", "build", "bare", "-w", "ws", "--memory", "strip")[0] == 0
    assert "zebra" not in wisen("data", "show", "bare")[1].replace(" ", "")
    assert "pairs" not in wisen("data", "build", "p", "-w", "ws", "-a", "dpo")[2]
    assert re.search(r"^rows +6 in 3 units$", wisen("data", "stats", "p")[1], re.M)


def test_colours_tell_what_a_token_is(wisen: Wisen) -> None:
    from wisen.app.rows import AGAINST, CONTEXT, MEMORY, TRAINED, rendered
    from wisen.trainers.stored import stored

    assert wisen("data", "build", "p", "-w", "ws", "-a", "dpo")[0] == 0
    found = stored(Path("p"))
    for row, style in zip(found.rows[:2], (TRAINED, AGAINST), strict=True):
        text = rendered(found, row)
        styled = {kind: "".join(text.plain[s.start : s.end] for s in text.spans if s.style == kind)
                  for kind in (style, MEMORY, CONTEXT)}  # fmt: skip
        assert styled[style].startswith("click") or styled[style]  # what both said alike carries no loss
        assert "zebra" in styled[MEMORY].replace(" ", "") and "zebra" not in styled[CONTEXT]


@pytest.mark.parametrize("name", ["rft", "dpo", "kto", "grpo", "gigpo", "agent-r", "webrl"])
def test_every_algorithm_trains_from_the_command_line(wisen: Wisen, name: str) -> None:
    code, said, errors = wisen("train", "-w", "ws", "-a", name, *FEW, "--set", "train.options.epochs=1")
    assert (code, errors) == (0, "")
    assert f"{name}-1: " in said and "from base" in said
    place = Workspace(Path("ws"), {})
    with place.lock(), place.open_store() as store:
        made = store.checkpoint(f"{name}-1")
        assert made and made.recipe["algorithm"] == name and made.sha256 != store.checkpoint("base").sha256  # type: ignore[union-attr]
        current = store.current_release()
        assert current and current.model == "base"


def test_an_estimate_leaves_everything_as_it_was(wisen: Wisen) -> None:
    before = sorted(path.name for path in Path("ws/weights").iterdir())
    code, said, _ = wisen("train", "-w", "ws", "-a", "dpo", "--dry-run", *FEW)
    assert code == 0
    assert re.search(r"rows     6 of 6 attempts, 3 to count as one each", said)
    assert re.search(r"time     about \d+ s on cpu", said) and re.search(r"memory   about 0\.\d+ GiB; free", said)
    assert sorted(path.name for path in Path("ws/weights").iterdir()) == before


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("train", "-w", "none"), "is no workspace"),
        (("train", "-w", "ws", "-a", "ppo"), "there is no algorithm 'ppo'"),
        (("train", "-w", "ws", "-a", "dpo", "--set", "train.options.beta=0"), "beta"),
        (("train", "-w", "ws", "--parent", "c9"), "there are no weights 'c9' here (there is base)"),
        (("train", "-w", "ws", "--name", "base"), "there are weights base already"),
        (("train", "-w", "ws", "-a", "grpo", "--set", 'train.data.memory="strip"'), "another prompt"),
        (("train", "-w", "ws", "-a", "dpo", "--set", "train.rename=0.9"), "takes no renamed rows"),
        (("train", "-w", "ws", "--set", 'train.data.filter="1/"'), "cannot be read"),
        (("train", "-w", "ws", "--set", "train.data.filter=\"arm == 'x'\""), "nothing to train on"),
        (("data", "build", "x", "-w", "ws", "--view", "half"), "setting train.data.view"),
        (("data", "show", "nothing"), "holds no dataset"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_a_person_gets_wrong(wisen: Wisen, args: tuple[str, ...], told: str) -> None:
    code, _, errors = wisen(*args)
    assert code == 2 and told in errors and errors.count("\n") == 1


def test_what_does_not_fit_is_refused(wisen: Wisen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wisen.trainers.estimate.free_bytes", lambda device: 2**20)
    code, _, errors = wisen("train", "-w", "ws", "--dry-run", *FEW)
    assert code == 2 and "GiB are free" in errors
