"""Adapters that come, go and change their names under load: every answer is by the adapter that the request named."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from tests.support.lora import build_adapter
from tests.support.serving import TOKEN, served
from tests.support.talker import build_talker
from wisen.core.errors import SettingsError
from wisen.models.local import LocalModel

pytestmark = pytest.mark.timeout(300)
KINDS = 4
PAGE = "The quick brown fox jumps over the lazy dog; click button Submit and wait. " * 3  # long enough to be cached
PROMPTS = (f"{PAGE}Press the blue button.", f"{PAGE}Press the blue button, then wait.", f"{PAGE}Type a name.")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The base, and adapters to it that say different things."""
    root = tmp_path_factory.mktemp("swap")
    base = build_talker(root / "base")
    return [base, *(build_adapter(base, root / f"a{seed}", seed=seed) for seed in range(KINDS))]


@pytest.fixture(scope="module")
def model(folders: list[Path]) -> LocalModel:
    return LocalModel.load(folders[0], name="base", threads=1)


@pytest.fixture(scope="module")
def base(model: LocalModel) -> Iterator[str]:
    with served({"base": model}, runtime_adapters=True) as address:
        yield address


def posted(base: str, path: str, **body: Any) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=120)
    try:
        connection.request("POST", f"/v1/{path}", json.dumps(body), {"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def load(base: str, name: str, folder: Path) -> None:
    status, said = posted(base, "load_lora_adapter", lora_name=name, lora_path=str(folder))
    assert (status, said) == (200, f"Success: LoRA adapter '{name}' added successfully.")


def unload(base: str, name: str) -> None:
    status, said = posted(base, "unload_lora_adapter", lora_name=name)
    assert (status, said) == (200, f"Success: LoRA adapter '{name}' removed successfully.")


def ask(base: str, name: str, prompt: str) -> str | None:
    """The answer with the log-probability of every token; None where the server says that there is no such model."""
    messages = [{"role": "user", "content": prompt}]
    more = {"max_tokens": 8, "seed": 7, "temperature": 0.7, "logprobs": True}
    status, text = posted(base, "chat/completions", model=name, messages=messages, **more)
    body = json.loads(text)
    if status == 404:
        assert body["error"]["code"] == "model_not_found" and name in body["error"]["message"]
        return None
    assert status == 200, text
    return json.dumps(body["choices"])


class Names:
    """Which names are served: `sure` of them all the time between two looks; `gone` for good."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.kind: dict[str, int] = {}  # of every name that was ever used
        self.sure: set[str] = set()
        self.gone: set[str] = set()


def swap(base: str, folders: list[Path], names: Names, stop: threading.Event) -> int:
    """Renames one adapter after another: loads its content under a fresh name, and removes the old one."""
    current = {kind: f"first-{kind}" for kind in range(KINDS)}
    turn = 0
    while not stop.is_set():
        kind, turn = turn % KINDS, turn + 1
        fresh, old = f"v{turn}-{kind}", current[kind]
        with names.lock:
            names.kind[fresh] = kind
        load(base, fresh, folders[1 + kind])
        with names.lock:
            names.sure = (names.sure | {fresh}) - {old}
        unload(base, old)
        with names.lock:
            names.gone.add(old)
        # A name that was used once is refused for anything else, also now that nothing has it.
        other = folders[1 + (kind + 1) % KINDS]
        status, said = posted(base, "load_lora_adapter", lora_name=old, lora_path=str(other))
        assert status == 400 and "another adapter has the name" in said
        current[kind] = fresh
    return turn


def test_no_request_is_answered_by_another_adapter_than_it_named(
    base: str, model: LocalModel, folders: list[Path]
) -> None:
    names = Names()
    alone: dict[tuple[int, str], str | None] = {}
    for kind in range(KINDS):
        load(base, f"first-{kind}", folders[1 + kind])
        names.kind[f"first-{kind}"] = kind
        names.sure.add(f"first-{kind}")
    for prompt in PROMPTS:
        for kind in range(-1, KINDS):
            model.engine.forget()  # alone also in the cache
            alone[kind, prompt] = ask(base, "base" if kind < 0 else f"first-{kind}", prompt)
        assert len({alone[kind, prompt] for kind in range(-1, KINDS)}) == KINDS + 1  # each is recognised
    names.kind["base"] = -1
    names.sure.add("base")
    counts = {"sure": 0, "gone": 0, "between": 0}

    def one(number: int) -> None:
        with names.lock:
            every = sorted(names.kind)
            name = every[-1 - number % len(every)] if number % 3 == 0 else sorted(names.sure)[number % len(names.sure)]
            sure, gone = name in names.sure, name in names.gone
        prompt = PROMPTS[number % len(PROMPTS)]
        answer = ask(base, name, prompt)
        with names.lock:
            sure = sure and name in names.sure
        if sure:
            assert answer is not None, f"{name} was served all the time"
        if gone:
            assert answer is None, f"{name} was removed before"
        assert answer in (None, alone[names.kind[name], prompt]), f"{name} was answered by another"
        counts["sure" if sure else "gone" if gone else "between"] += 1

    stop = threading.Event()
    with ThreadPoolExecutor(1) as swapper, ThreadPoolExecutor(8) as pool:
        swapping = swapper.submit(swap, base, folders, names, stop)
        try:
            list(pool.map(one, range(160)))
        finally:
            stop.set()
        assert swapping.result() >= KINDS  # every adapter was renamed meanwhile
    assert counts["sure"] > 60 and counts["gone"] > 5, counts


def test_what_is_removed_lets_those_in_progress_end_and_is_a_clear_404(base: str, folders: list[Path]) -> None:
    client = openai.OpenAI(base_url=base, api_key=TOKEN, max_retries=0, timeout=120)
    load(base, "short-lived", folders[1])
    fields: Any = {
        "model": "short-lived",
        "messages": [{"role": "user", "content": "go"}],
        "seed": 1,
        "max_tokens": 100,
    }
    whole = client.chat.completions.create(**fields).choices[0].message.content
    stream = client.chat.completions.create(**fields, stream=True)
    told = [next(stream).choices[0].delta.content or "" for _ in range(3)]
    removing = threading.Thread(target=unload, args=(base, "short-lived"))
    removing.start()
    until = time.monotonic() + 60
    while "short-lived" in {each.id for each in client.models.list()} and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(openai.NotFoundError, match="`short-lived` does not exist"):
        client.chat.completions.create(**fields)
    told += [chunk.choices[0].delta.content or "" for chunk in stream]
    removing.join(60)
    assert "".join(told) == whole
    assert posted(base, "unload_lora_adapter", lora_name="short-lived")[0] == 404
    assert posted(base, "unload_lora_adapter", lora_name="base")[0] == 404  # it is no adapter
    load(base, "short-lived", folders[1])  # the same content may come again
    assert client.chat.completions.create(**fields).choices[0].message.content == whole
    unload(base, "short-lived")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lora_name": "base"}, "the name of a model"),
        ({"lora_name": "x", "lora_path": "/nowhere"}, "could not read"),
        ({"lora_name": ""}, "lora_name"),
        ({"lora_name": "x", "load_inplace": True}, "load_inplace"),
    ],
)
def test_what_cannot_be_loaded_is_refused(base: str, folders: list[Path], fields: dict[str, Any], said: str) -> None:
    status, body = posted(base, "load_lora_adapter", **{"lora_path": str(folders[1]), **fields})
    assert status == 400 and said in body


def test_without_the_option_there_is_no_such_path(folders: list[Path]) -> None:
    with served({"base": LocalModel.load(folders[0], name="base", threads=1)}) as plain:
        assert posted(plain, "load_lora_adapter", lora_name="x", lora_path=str(folders[1]))[0] == 404


async def test_an_adapter_that_does_not_fit_is_refused_before_it_is_read(folders: list[Path], tmp_path: Path) -> None:
    """A terabyte of weights, as far as its header and the file's size say: nothing of it is on the disk."""
    config = (folders[1] / "adapter_config.json").read_bytes()
    (tmp_path / "adapter_config.json").write_bytes(config)
    size = 2**40
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    header = json.dumps({key: {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    with (tmp_path / "adapter_model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)
    model = LocalModel.load(folders[0], name="base", threads=1)
    try:
        with pytest.raises(SettingsError, match=r"adapter huge needs 1024\.0 GiB for its weights, and cpu has"):
            await model.with_adapter("huge", tmp_path)
    finally:
        await model.close()
