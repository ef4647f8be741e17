"""A dataset as a folder: `rows.jsonl`, a card that says what it was made of, and the tokenizer that reads it."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wisen.core.errors import StoreError, WisenError
from wisen.core.records import JSON, ModelRequest
from wisen.trainers.checkpoints import CARD
from wisen.trainers.dataset import Row, Source

ROWS = "rows.jsonl"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class Stored:
    """The rows of a folder, what made them, and their tokenizer."""

    rows: tuple[Row, ...]
    card: JSON
    tokenizer: Any

    def texts(self, row: Row) -> list[str]:
        """Of each token what it stands for."""
        return [self.tokenizer.decode([token]) for token in row.ids]

    def text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))


def store(rows: Sequence[Row], folder: Path, *, tokenizer_from: Path, made: JSON) -> None:
    """Write a folder that is there whole or not at all. Raises `WisenError` where it exists."""
    if folder.exists():
        raise WisenError(f"{folder} is there already", "name another folder")
    scratch = folder.with_name(folder.name + ".part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    lines = "".join(f"{json.dumps(as_json(row))}\n" for row in rows)
    (scratch / ROWS).write_text(lines)
    digest = hashlib.sha256(lines.encode()).hexdigest()
    (scratch / CARD).write_text(json.dumps({**made, "rows": len(rows), "sha256": digest}, indent=2) + "\n")
    for name in TOKENIZER:
        if (tokenizer_from / name).exists():
            shutil.copyfile(tokenizer_from / name, scratch / name)
    scratch.rename(folder)


def stored(folder: Path) -> Stored:
    """Raises `StoreError` for what is no such folder, or was changed since."""
    from transformers import PreTrainedTokenizerFast

    try:
        text, card = (folder / ROWS).read_text(), json.loads((folder / CARD).read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder} holds no dataset", "`wisen data build` makes one") from error
    if hashlib.sha256(text.encode()).hexdigest() != card.get("sha256"):
        raise StoreError(f"the rows in {folder} are not those that were built", "build it again")
    return Stored(tuple(_rows(text)), card, PreTrainedTokenizerFast.from_pretrained(folder))


def as_json(row: Row) -> JSON:
    """A row as JSON; what it does not know is left out."""
    found = {key: value for key, value in vars(row).items() if value not in ((), "", None)}
    if row.request is not None:
        found["request"] = row.request.model_dump(mode="json", exclude_defaults=True)
    return found


def _rows(text: str) -> Iterator[Row]:
    for line in text.splitlines():
        found = {key: _tupled(value) for key, value in json.loads(line).items() if key != "request"}
        request = json.loads(line).get("request")
        found["source"] = Source(found["source"])
        defaults = {"ids": (), "trained": (), "allowed": (), "template_id": ""}
        yield Row(**{**defaults, **found, "request": request and ModelRequest.model_validate(request)})


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
