"""Rows in the formats of other trainers. What a format cannot say is refused where it would change what is learned."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wisen.core.errors import SettingsError, WisenError
from wisen.core.records import JSON
from wisen.trainers.dataset import Row
from wisen.trainers.stored import Stored, as_json

FORMATS = ("chat", "trl-sft", "trl-dpo", "trl-kto", "llama-factory", "parquet")
IGNORED = -100  # the label of a token without loss
ROLES = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def export(found: Stored, out: Path, kind: str) -> str:
    """Write the rows to a file; what is to be known of it, in a sentence. chat: conversations as JSONL. trl-sft: token
    ids and labels, which TRL's SFT trainer takes as they are. trl-dpo, trl-kto: conversations, since those trainers
    tokenise themselves. llama-factory: the same in its format, with a `dataset_info.json`. parquet: the rows as they
    are. Raises `SettingsError` for rows that the format cannot say."""
    if kind not in FORMATS:
        raise SettingsError(f"there is no format {kind!r}", f"one of {', '.join(FORMATS)}")
    if out.exists():
        raise WisenError(f"{out} is there already", "name another file")
    if kind == "parquet":
        _parquet(found, out)
        return f"{len(found.rows)} rows, as they are"
    losses = {row.loss for row in found.rows}
    made = list(_MADE[kind](found, losses))
    out.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in made))
    if kind == "llama-factory":
        _describe(out, made[0] if made else {})
    free = sum(1 for row in found.rows if all(not allowed for allowed in row.allowed))
    said = f"{len(made)} lines of {len(found.rows)} rows"
    if free < len(found.rows):
        said += (
            f"; {len(found.rows) - free} rows were sampled among listed options, and {kind} cannot say so: "
            "there the loss is over the whole vocabulary"
        )
    return said


def conversation(found: Stored, row: Row) -> list[JSON]:
    """Messages, the last of them the answer; of a row of several answers, prompt and answer by turns."""
    if row.request is not None:
        messages = [{"role": str(message.role), "content": message.text} for message in row.request.messages]
        answer = row.request.options[row.choice] if row.request.options else _text(found, row, row.trained)
        return [*messages, {"role": "assistant", "content": answer}]
    turns: list[tuple[bool, list[int]]] = []
    trained = set(row.trained)
    for at, token in enumerate(row.ids):
        if not turns or turns[-1][0] != (at in trained):
            turns.append((at in trained, []))
        turns[-1][1].append(token)
    return [{"role": "assistant" if own else "user", "content": found.text(ids)} for own, ids in turns]


def _text(found: Stored, row: Row, places: tuple[int, ...]) -> str:
    return found.text([row.ids[at] for at in places])


def _plain(found: Stored, losses: set[str], kind: str) -> None:
    weighed = any(weight != 1.0 for row in found.rows for weight in row.weights)
    if losses - {"imitate"} or weighed:
        raise SettingsError(
            f"these rows carry weights of the loss {', '.join(sorted(losses))}, and {kind} has no place for them",
            "build them with --algorithm rft, or export parquet",
        )


def _chat(found: Stored, losses: set[str]) -> Iterator[JSON]:
    _plain(found, losses, "chat")
    for row in found.rows:
        yield {"messages": conversation(found, row), "trajectory": row.trajectory_id, "step": row.step}


def _sft(found: Stored, losses: set[str]) -> Iterator[JSON]:
    _plain(found, losses, "trl-sft")
    for row in found.rows:
        trained = set(row.trained)
        labels = [token if at in trained else IGNORED for at, token in enumerate(row.ids)]
        yield {"input_ids": list(row.ids), "labels": labels}


def _pairs(found: Stored, losses: set[str]) -> Iterator[tuple[list[JSON], JSON, JSON]]:
    if losses != {"dpo"}:
        raise SettingsError("these rows are no pairs", "build them with --algorithm dpo")
    units: dict[str, dict[bool, list[Row]]] = defaultdict(lambda: {True: [], False: []})
    for row in found.rows:
        units[row.unit][row.weights[0] > 0].append(row)
    for sides in units.values():
        # A format of one prompt and two answers: the first decision that the two attempts made differently.
        better, worse = (conversation(found, sides[side][0]) for side in (True, False))
        if better[:-1] == worse[:-1]:
            yield better[:-1], better[-1], worse[-1]


def _dpo(found: Stored, losses: set[str]) -> Iterator[JSON]:
    for prompt, chosen, rejected in _pairs(found, losses):
        yield {"prompt": prompt, "chosen": [chosen], "rejected": [rejected]}


def _labelled(found: Stored, losses: set[str]) -> Iterator[tuple[list[JSON], JSON, bool]]:
    if losses != {"kto"}:
        raise SettingsError("these rows are not labelled", "build them with --algorithm kto")
    for row in found.rows:
        if any(row.weights):
            *prompt, answer = conversation(found, row)
            yield prompt, answer, row.weights[0] > 0


def _kto(found: Stored, losses: set[str]) -> Iterator[JSON]:
    for prompt, answer, label in _labelled(found, losses):
        yield {"prompt": prompt, "completion": [answer], "label": label}


def _factory(found: Stored, losses: set[str]) -> Iterator[JSON]:
    if losses == {"dpo"}:
        for prompt, chosen, rejected in _pairs(found, losses):
            yield {"messages": prompt, "chosen": chosen, "rejected": rejected}
    elif losses == {"kto"}:
        for prompt, answer, label in _labelled(found, losses):
            yield {"messages": [*prompt, answer], "kto_tag": label}
    else:
        _plain(found, losses, "llama-factory")
        yield from ({"messages": conversation(found, row)} for row in found.rows)


def _describe(out: Path, first: JSON) -> None:
    """The entry that LLaMA-Factory looks for beside its data sets."""
    path = out.with_name("dataset_info.json")
    known = json.loads(path.read_text()) if path.exists() else {}
    entry: JSON = {
        "file_name": out.name,
        "formatting": "sharegpt",
        "columns": {key: key for key in first},
        "tags": {**ROLES, "system_tag": "system"},
    }
    if "chosen" in first:
        entry["ranking"] = True
    path.write_text(json.dumps({**known, out.stem: entry}, indent=2) + "\n")


def _parquet(found: Stored, out: Path) -> None:
    try:
        from pyarrow import Table, parquet
    except ImportError as error:
        raise SettingsError("Parquet needs pyarrow", "pip install 'wisen[data]', or take another format") from error
    empty = as_json(Row((0,), (), (), ""))
    rows: list[dict[str, Any]] = []
    for row in found.rows:
        made = {key: value for key, value in as_json(row).items() if key != "request"}
        rows.append({**empty, **made, "messages": json.dumps(conversation(found, row), ensure_ascii=False)})
    names = dict.fromkeys(key for row in rows for key in row)
    parquet.write_table(Table.from_pydict({name: [row.get(name) for row in rows] for name in names}), out)


_MADE = {"chat": _chat, "trl-sft": _sft, "trl-dpo": _dpo, "trl-kto": _kto, "llama-factory": _factory}
