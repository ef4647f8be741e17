"""The benchmark of the engine, on a model that is as small as they come: it runs, and its arms agree."""

import json
from pathlib import Path

import pytest

from benchmarks.engine import main


@pytest.mark.timeout(240)
def test_all_arms_give_the_same_replies(tmp_path: Path) -> None:
    sizes = ["--models", "tiny", "--episodes", "3", "--steps", "2", "--first", "60", "--last", "110", "--threads", "1"]
    assert main(["--out", str(tmp_path), "--no-continuous", *sizes]) == 0
    arms = {(arm["task"], arm["arm"]): arm for arm in json.loads((tmp_path / "engine.json").read_text())["arms"]}
    assert set(arms) == {
        ("text", "one by one"),
        ("text", "batched"),
        ("text", "engine"),
        ("choice", "rows"),
        ("choice", "engine"),
    }
    for arm in arms.values():
        assert arm["steps"] == (2 if arm["arm"] == "rows" else 6) and arm["seconds"] > 0
        assert arm["compared"] == (2 if arm["task"] == "choice" else 6)
        assert arm["same"] + len(arm["gaps"]) == arm["compared"] and all(
            gap < 1e-3 for gap in arm["gaps"]
        )  # near ties, if any
    assert "from the cache" in arms["text", "engine"]["note"]
    assert "| tiny | text | engine |" in (tmp_path / "engine.md").read_text()


def test_without_a_gpu_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert main(["--out", str(tmp_path), "--device", "cuda"]) == 2
    assert "no GPU" in capsys.readouterr().out
