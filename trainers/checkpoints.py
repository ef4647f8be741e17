"""Checkpoints: folders in the transformers format that appear whole or not at all, and never change."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from wisen.core.records import JSON, Checkpoint

CARD = "card.json"


def save_checkpoint(model: Any, tokenizer_from: Path, out: Path, *, parent: str | None, recipe: JSON) -> Checkpoint:
    """Write `out` by way of a folder beside it and a rename, so that a kill leaves no half. Raises `FileExistsError`
    where `out` exists: a checkpoint's name is never used twice."""
    if out.exists():
        raise FileExistsError(f"checkpoint {out.name} is there already")
    scratch = out.with_name(out.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    model.save_pretrained(scratch)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (tokenizer_from / name).exists():
            shutil.copyfile(tokenizer_from / name, scratch / name)
    write_card(scratch, parent=parent, recipe=recipe)
    os.replace(scratch, out)
    return describe(out)


def write_card(folder: Path, *, parent: str | None, recipe: JSON) -> None:
    (folder / CARD).write_text(json.dumps({"parent": parent, "recipe": recipe}, indent=2, sort_keys=True) + "\n")


def describe(folder: Path) -> Checkpoint:
    """The record of a checkpoint folder: its name, the hash of its weights, and what its card says."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    card = json.loads((folder / CARD).read_text())
    return Checkpoint(
        name=folder.name, path=folder.name, sha256=digest.hexdigest(), parent=card["parent"], recipe=card["recipe"]
    )
