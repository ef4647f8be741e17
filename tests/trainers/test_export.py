import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.played import clicking, played
from wisen.core.errors import SettingsError, WisenError
from wisen.core.records import Trajectory
from wisen.models.tokens import Codec
from wisen.trainers.algorithms import make_algorithm
from wisen.trainers.data import Dataset, DataSettings
from wisen.trainers.dataset import Row
from wisen.trainers.export import export
from wisen.trainers.stored import ROWS, Stored, store, stored


@pytest.fixture(scope="module")
def attempts(codec: Codec) -> tuple[Trajectory, ...]:
    good = played(codec, [clicking("Submit", ["Help"], memory="go on")])
    bad = played(codec, [clicking("Submit", ["Help"], memory="go on")], success=False)
    (step,) = bad.steps
    (call,) = step.calls
    tokens = call.reply.tokens
    assert tokens and call.reply.choice
    request = call.request
    sampled, allowed = codec.answer(request.options, 0)
    reply = call.reply.model_copy(
        update={
            "choice": call.reply.choice.model_copy(update={"index": 0}),
            "tokens": tokens.model_copy(
                update={"sampled_ids": sampled, "allowed": allowed, "logprobs": (0.0,) * len(sampled)}
            ),
        }
    )
    call = call.model_copy(update={"reply": reply})
    bad = bad.model_copy(update={"id": "bad", "steps": (step.model_copy(update={"calls": (call,)}),)})
    return good, bad


def built(name: str, attempts: tuple[Trajectory, ...], folder: Path, tiny: Path, codec: Codec) -> Stored:
    rows = make_algorithm(name).rows(Dataset(attempts, DataSettings(), codec))
    store(rows, folder, tokenizer_from=tiny, made={"algorithm": name})
    found = stored(folder)
    assert list(found.rows) == rows and found.card["algorithm"] == name
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


PAGE, TASK = 'button "Help"\nbutton "Submit"', 'Click on the "Submit" button.'
ASKED = [{"role": "user", "content": f"go on\n\n{PAGE}\n\n\n\n{TASK}"}]
RIGHT, WRONG = ({"role": "assistant", "content": f'click button "{name}"'} for name in ("Submit", "Help"))


def test_successes_as_conversations_and_as_labels(
    attempts: tuple[Trajectory, ...], tmp_path: Path, tiny: Path, codec: Codec
) -> None:
    found = built("rft", attempts, tmp_path / "data", tiny, codec)
    said = export(found, tmp_path / "chat.jsonl", "chat")
    assert "1 rows were sampled among listed options" in said
    (line,) = lines(tmp_path / "chat.jsonl")
    assert line["messages"] == [*ASKED, RIGHT]
    export(found, tmp_path / "sft.jsonl", "trl-sft")
    (line,) = lines(tmp_path / "sft.jsonl")
    (row,) = found.rows
    assert line["input_ids"] == list(row.ids)
    assert [at for at, label in enumerate(line["labels"]) if label != -100] == list(row.trained)
    assert all(label in (-100, token) for label, token in zip(line["labels"], line["input_ids"], strict=True))


def test_pairs_and_labels(attempts: tuple[Trajectory, ...], tmp_path: Path, tiny: Path, codec: Codec) -> None:
    pairs = built("dpo", attempts, tmp_path / "pairs", tiny, codec)
    export(pairs, tmp_path / "dpo.jsonl", "trl-dpo")
    assert lines(tmp_path / "dpo.jsonl") == [{"prompt": ASKED, "chosen": [RIGHT], "rejected": [WRONG]}]
    sides = built("kto", attempts, tmp_path / "sides", tiny, codec)
    export(sides, tmp_path / "kto.jsonl", "trl-kto")
    assert lines(tmp_path / "kto.jsonl") == [
        {"prompt": ASKED, "completion": [RIGHT], "label": True},
        {"prompt": ASKED, "completion": [WRONG], "label": False},
    ]
    for name, found in (("dpo-factory", pairs), ("kto-factory", sides)):
        export(found, tmp_path / f"{name}.jsonl", "llama-factory")
    info = json.loads((tmp_path / "dataset_info.json").read_text())
    assert info["dpo-factory"]["ranking"] is True and info["kto-factory"]["columns"]["kto_tag"] == "kto_tag"
    for found, kind in ((pairs, "chat"), (sides, "trl-dpo"), (pairs, "trl-kto"), (pairs, "trl-sft")):
        with pytest.raises(SettingsError, match="build them with"):
            export(found, tmp_path / "never", kind)
    assert not (tmp_path / "never").exists()


def test_a_conversation_of_several_answers(tmp_path: Path, tiny: Path, codec: Codec) -> None:
    ids = [*codec.text("who"), *codec.text("me"), *codec.text("why"), *codec.text("so")]
    first, second = len(codec.text("who")), len(ids) - len(codec.text("so"))
    own = (*range(first, first + len(codec.text("me"))), *range(second, len(ids)))
    store([Row(tuple(ids), own, ((),) * len(own), "t")], tmp_path / "data", tokenizer_from=tiny, made={})
    export(stored(tmp_path / "data"), tmp_path / "out", "llama-factory")
    turns = [(turn["role"], turn["content"]) for turn in lines(tmp_path / "out")[0]["messages"]]
    assert turns == [("user", "who"), ("assistant", "me"), ("user", "why"), ("assistant", "so")]


def test_parquet_holds_the_rows_as_they_are(
    attempts: tuple[Trajectory, ...], tmp_path: Path, tiny: Path, codec: Codec
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    found = built("dpo", attempts, tmp_path / "data", tiny, codec)
    export(found, tmp_path / "rows.parquet", "parquet")
    table = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [tuple(line["ids"]) for line in table] == [row.ids for row in found.rows]
    assert [tuple(line["weights"]) for line in table] == [row.weights for row in found.rows]
    assert json.loads(table[0]["messages"])[-1] == RIGHT


def test_what_is_no_dataset_or_was_changed_is_told(
    attempts: tuple[Trajectory, ...], tmp_path: Path, tiny: Path, codec: Codec
) -> None:
    with pytest.raises(WisenError, match="holds no dataset"):
        stored(tmp_path)
    found = built("rft", attempts, tmp_path / "data", tiny, codec)
    with pytest.raises(WisenError, match="is there already"):
        store(found.rows, tmp_path / "data", tokenizer_from=tiny, made={})
    with pytest.raises(SettingsError, match="there is no format 'xml'"):
        export(found, tmp_path / "x", "xml")
    (tmp_path / "data" / ROWS).write_text((tmp_path / "data" / ROWS).read_text().replace("[", "[1, ", 1))
    with pytest.raises(WisenError, match="not those that were built"):
        stored(tmp_path / "data")
