"""Checkpoints: folders in the transformers format that appear whole or not at all, and never change."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from wisen.core.records import JSON, Checkpoint


def save_checkpoint(model: Any, tokenizer_from: Path, out: Path, *, parent: str | None, recipe: JSON) -> Checkpoint:
    """Write `out` (which must not exist) by way of a folder beside it and a rename, so that a kill leaves no half."""
    scratch = out.with_name(out.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    model.save_pretrained(scratch)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (tokenizer_from / name).exists():
            shutil.copyfile(tokenizer_from / name, scratch / name)
    card = {"name": out.name, "parent": parent, "recipe": recipe}
    (scratch / "card.json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
    checkpoint = describe(scratch, name=out.name, parent=parent, recipe=recipe)
    os.replace(scratch, out)
    return checkpoint.model_copy(update={"path": str(out)})


def describe(folder: Path, *, name: str, parent: str | None = None, recipe: JSON | None = None) -> Checkpoint:
    """The record of a checkpoint folder, with the hash of its weights."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return Checkpoint(name=name, path=str(folder), sha256=digest.hexdigest(), parent=parent, recipe=recipe or {})
