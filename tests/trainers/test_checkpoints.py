import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from wisen.models.tokens import Codec
from wisen.trainers.checkpoints import describe, save_checkpoint

RECIPE = {"algorithm": "rft", "seed": 3}


@pytest.fixture(scope="module")
def model(tiny: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)


def test_what_is_saved_can_be_served_and_says_where_it_comes_from(model: Any, tiny: Path, tmp_path: Path) -> None:
    record = save_checkpoint(model, tiny, tmp_path / "ckpt-1", parent="ckpt-0", recipe=RECIPE)
    assert (record.name, record.path, record.parent, record.recipe) == ("ckpt-1", "ckpt-1", "ckpt-0", RECIPE)
    assert describe(tmp_path / "ckpt-1") == record
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "ckpt-1", dtype=torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert Codec.load(tmp_path / "ckpt-1").text('click "Submit"') == Codec.load(tiny).text('click "Submit"')
    assert os.listdir(tmp_path) == ["ckpt-1"]


def test_the_hash_is_that_of_the_weights(model: Any, tiny: Path, tmp_path: Path) -> None:
    first = save_checkpoint(model, tiny, tmp_path / "a", parent=None, recipe={})
    second = save_checkpoint(model, tiny, tmp_path / "b", parent="a", recipe=RECIPE)
    (file,) = (tmp_path / "a").glob("*.safetensors")
    assert first.sha256 == second.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(changed)
    assert describe(tmp_path / "a").sha256 != first.sha256


def test_a_name_is_never_used_twice(model: Any, tiny: Path, tmp_path: Path) -> None:
    record = save_checkpoint(model, tiny, tmp_path / "ckpt", parent=None, recipe=RECIPE)
    with pytest.raises(FileExistsError, match="ckpt"):
        save_checkpoint(model, tiny, tmp_path / "ckpt", parent=None, recipe={})
    assert describe(tmp_path / "ckpt") == record


@pytest.mark.parametrize("broken", ["weights", "card", "rename"])
def test_a_save_that_breaks_leaves_no_checkpoint(
    model: Any, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    out = tmp_path / "ckpt"

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        if broken == "weights":
            patch.setattr(model, "save_pretrained", fail)
        elif broken == "card":
            patch.setattr(json, "dumps", fail)
        else:
            patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="no space"):
            save_checkpoint(model, tiny, out, parent=None, recipe=RECIPE)
    assert not out.exists()
    (tmp_path / "ckpt.part").mkdir(exist_ok=True)
    (tmp_path / "ckpt.part" / "left over").write_text("from a run that was killed")
    save_checkpoint(model, tiny, out, parent=None, recipe=RECIPE)
    assert not (out / "left over").exists()
    assert os.listdir(tmp_path) == ["ckpt"]
