"""The endpoint over real HTTP: with the official client, with LiteLLM, with a socket, and from the command line."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from typer.testing import CliRunner

from tests.support.lora import build_adapter
from tests.support.serving import TOKEN, served
from tests.support.talker import build_talker
from tests.support.tiny import build
from wisen.app.cli import app
from wisen.app.server.catalogue import Listed, Source, listed, resolve
from wisen.core.errors import ModelFault, WisenError
from wisen.core.records import (
    Checkpoint,
    Message,
    ModelRequest,
    Purpose,
    Release,
    ReleaseEventKind,
    Role,
    Span,
    SpanKind,
    ToolSpec,
)
from wisen.core.workspace import Workspace
from wisen.models.local import LocalModel
from wisen.models.remote import LiteLLMModel

pytestmark = pytest.mark.timeout(300)  # fresh processes that import torch, on a machine that may be busy
WISEN = str(Path(sys.executable).with_name("wisen"))
ASK: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Press the blue button."}]
PARAMETERS = {
    "type": "object",
    "properties": {
        "ref": {"enum": ["button b1", 'link "ö"']},
        "times": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["ref", "times"],
    "additionalProperties": False,
}
TOOLS: Any = [
    {"type": "function", "function": {"name": "click", "description": "Clicks.", "parameters": PARAMETERS}},
    {"type": "function", "function": {"name": "wait", "description": "Waits."}},
]


WRONG_SCHEMA = {"name": "x", "schema": {"type": "wat"}}


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder = build_talker(tmp_path_factory.mktemp("talker") / "weights", context=512)
    return LocalModel.load(str(folder), name="talker", threads=1)


@pytest.fixture(scope="module")
def base(talker: LocalModel) -> Iterator[str]:
    with served({"talker": talker, "r3": talker}) as address:
        yield address


@pytest.fixture(scope="module")
def client(base: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=base, api_key=TOKEN, max_retries=0, timeout=60)


def chat(client: openai.OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": "talker", "messages": ASK, "max_tokens": 24, "seed": 1, **fields})


def test_models_are_listed_and_health_needs_no_token(client: openai.OpenAI, base: str) -> None:
    assert [model.id for model in client.models.list()] == ["talker", "r3"]
    assert client.models.retrieve("r3").owned_by == "wisen"
    assert raw(base, "GET", "/health", token=None) == (200, {"status": "ok"})


def test_chat_answers_with_usage(client: openai.OpenAI) -> None:
    reply = chat(client, model="r3", user="u", metadata={"a": "b"}, store=False)
    assert (reply.model, reply.object) == ("r3", "chat.completion")
    (choice,) = reply.choices
    assert choice.finish_reason in ("stop", "length") and choice.message.role == "assistant"
    assert choice.message.content
    assert reply.usage.completion_tokens <= 24
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert chat(client, model="talker").choices[0].message.content == choice.message.content  # one model, two names


def test_a_stream_tells_what_a_whole_answer_does(client: openai.OpenAI) -> None:
    whole = chat(client, logprobs=True, top_logprobs=2, temperature=1.5)
    stream = chat(
        client, logprobs=True, top_logprobs=2, temperature=1.5, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    choices = [chunk.choices[0] for chunk in chunks[:-1]]
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == [whole.choices[0].finish_reason]
    told = [token for choice in choices if choice.logprobs for token in choice.logprobs.content]
    assert told == whole.choices[0].logprobs.content
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(told) == whole.usage.completion_tokens and all(len(token.top_logprobs) == 2 for token in told)


def test_a_stream_is_in_the_exact_form(base: str) -> None:
    status, body = raw(
        base, "POST", "/v1/chat/completions", {"model": "talker", "messages": ASK, "stream": True, "max_tokens": 3}
    )
    assert status == 200
    lines = body.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert events[-1]["choices"][0]["delta"] == {} and events[-1]["choices"][0]["finish_reason"] == "length"
    assert all(set(event) == {"id", "object", "created", "model", "choices"} for event in events)


def test_a_seed_gives_the_same_answer_beside_others(client: openai.OpenAI) -> None:
    def ask(seed: int) -> Any:
        return chat(client, seed=seed, logprobs=True, max_tokens=20).choices[0].to_dict()

    alone = ask(7)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, [1, 7, 2, 7, 3, 7, 4, 5]))
    assert [together[place] for place in (1, 3, 5)] == [alone] * 3
    assert len({json.dumps(answer) for answer in together}) == 6


def test_a_required_tool_is_called_by_its_schema(client: openai.OpenAI) -> None:
    names = set()
    for seed in range(4):
        reply = chat(client, tools=TOOLS, tool_choice="required", seed=seed, max_tokens=100).choices[0]
        (call,) = reply.message.tool_calls
        names.add(call.function.name)
        assert reply.finish_reason == "tool_calls" and reply.message.content is None
        assert call.type == "function" and call.id.startswith("call_")
    assert names == {"click", "wait"}
    named = {"type": "function", "function": {"name": "click"}}
    whole = chat(client, tools=TOOLS, tool_choice=named, max_tokens=100)
    (call,) = whole.choices[0].message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert arguments["ref"] in PARAMETERS["properties"]["ref"]["enum"] and 1 <= arguments["times"] <= 9
    pieces = [
        chunk.choices[0].delta for chunk in chat(client, tools=TOOLS, tool_choice=named, max_tokens=100, stream=True)
    ]
    calls = [piece.tool_calls[0] for piece in pieces if piece.tool_calls]
    assert (calls[0].id, calls[0].function.name) == (call.id, "click")
    assert "".join(piece.function.arguments for piece in calls) == call.function.arguments and len(calls) > 2
    history = [
        *ASK,
        whole.choices[0].message.to_dict(),
        {"role": "tool", "tool_call_id": call.id, "content": "pressed"},
    ]
    assert chat(client, messages=history, tools=TOOLS).usage.prompt_tokens > whole.usage.prompt_tokens


def test_tools_that_may_be_called_leave_the_text_free_and_none_hides_them(client: openai.OpenAI) -> None:
    free = chat(client, tools=TOOLS)
    hidden = chat(client, tools=TOOLS, tool_choice="none")
    assert free.choices[0].message.tool_calls is None and free.choices[0].message.content
    assert free.usage.prompt_tokens > hidden.usage.prompt_tokens == chat(client).usage.prompt_tokens


def test_json_and_choices_are_kept_to(client: openai.OpenAI) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "act", "schema": PARAMETERS, "strict": True}}
    found = json.loads(chat(client, response_format=schema, max_tokens=100).choices[0].message.content)
    assert set(found) == {"ref", "times"}
    for extra in ({"structured_outputs": {"choice": ["press  it", "wäit"]}}, {"guided_choice": ["press  it", "wäit"]}):
        reply = chat(client, extra_body=extra, logprobs=True).choices[0]
        assert reply.message.content in ("press  it", "wäit") and reply.finish_reason == "stop"
    objects = [chat(client, response_format={"type": "json_object"}, seed=seed, max_tokens=200) for seed in range(4)]
    done = [reply.choices[0] for reply in objects if reply.choices[0].finish_reason == "stop"]
    assert all(isinstance(json.loads(choice.message.content), dict) for choice in done)
    assert all(reply.choices[0].message.content.startswith("{") for reply in objects)


def test_token_ids_come_where_they_are_asked_for(client: openai.OpenAI, talker: LocalModel) -> None:
    asked: Any = {"logprobs": True, "temperature": 1.5, "extra_body": {"return_token_ids": True}}
    whole = chat(client, **asked)
    ids, prompt = whole.choices[0].token_ids, whole.prompt_token_ids
    assert len(prompt) == whole.usage.prompt_tokens and len(ids) == whole.usage.completion_tokens
    shown = [list(talker.vocabulary.piece(token)) for token in ids]
    assert shown == [token.bytes for token in whole.choices[0].logprobs.content]
    chunks = list(chat(client, **asked, stream=True))
    assert [getattr(chunk, "prompt_token_ids", None) for chunk in chunks] == [prompt] + [None] * (len(chunks) - 1)
    assert [token for chunk in chunks for token in getattr(chunk.choices[0], "token_ids", [])] == ids
    again = client.completions.create(
        model="talker", prompt=prompt, max_tokens=24, seed=1, temperature=1.5, extra_body={"return_token_ids": True}
    )
    assert again.choices[0].token_ids == ids and again.choices[0].prompt_token_ids == prompt
    assert "token_ids" not in chat(client).choices[0].to_dict()


def test_adapters_are_models_of_their_own_names(tmp_path: Path) -> None:
    base = build_talker(tmp_path / "base")
    folders = {f"shop-{seed}": build_adapter(base, tmp_path / f"a{seed}", seed=seed) for seed in (1, 2)}
    model = LocalModel.load(base, name="base", threads=1)
    faces = {name: asyncio.run(model.with_adapter(name, folder)) for name, folder in folders.items()}
    with served({"base": model, **faces}) as address:
        client = openai.OpenAI(base_url=address, api_key=TOKEN, max_retries=0, timeout=60)
        names = ["base", *faces]
        told = {each.id: each.to_dict()["parent"] for each in client.models.list()}
        assert told == {"base": None, "shop-1": "base", "shop-2": "base"}

        def ask(name: str) -> str:
            return chat(client, model=name, temperature=0).choices[0].message.content

        alone = {name: ask(name) for name in names}
        assert len(set(alone.values())) == 3
        with ThreadPoolExecutor(9) as pool:
            assert list(pool.map(ask, names * 6)) == [alone[name] for name in names * 6]


def test_completions_go_on_with_a_text(client: openai.OpenAI) -> None:
    fields: Any = {"model": "talker", "prompt": "The quick brown", "max_tokens": 12, "seed": 2}
    whole = client.completions.create(**fields, logprobs=2)
    (choice,) = whole.choices
    assert len(choice.logprobs.tokens) == len(choice.logprobs.top_logprobs) == whole.usage.completion_tokens
    assert choice.logprobs.text_offset[0] == 0
    assert "".join(chunk.choices[0].text for chunk in client.completions.create(**fields, stream=True)) == choice.text
    stopped = client.completions.create(**fields, stop=choice.text[2:4]).choices[0]
    assert stopped.finish_reason == "stop" and stopped.text == choice.text[: choice.text.index(choice.text[2:4])]


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"model": "nobody"}, 404, "model_not_found"),
        ({"max_tokens": 100_000}, 400, "context_length_exceeded"),
        ({"messages": [{"role": "user", "content": "long " * 600}]}, 400, "maximum context length is 512"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, 400, "wizard"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, 400, "text"),
        ({"n": 2}, 400, "n: is not supported"),
        ({"frequency_penalty": 0.5}, 400, "frequency_penalty"),
        ({"logit_bias": {"5": 1}}, 400, "logit_bias"),
        ({"temperature": 3}, 400, "temperature"),
        ({"top_logprobs": 2}, 400, "needs logprobs"),
        ({"tool_choice": "required"}, 400, "there are no tools"),
        ({"stop": ""}, 400, "stop"),
        ({"extra_body": {"top_k": 3}}, 400, "top_k: this field is not known"),
        ({"extra_body": {"guided_choice": ["a"]}, "response_format": {"type": "json_object"}}, 400, "exclude"),
        ({"extra_body": {"guided_choice": ["a", "a"]}}, 400, "apart"),
        ({"tools": TOOLS, "response_format": {"type": "json_object"}}, 400, "calls no tools"),
        ({"response_format": {"type": "json_schema", "json_schema": WRONG_SCHEMA}}, 400, "wat"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused(
    client: openai.OpenAI, talker: LocalModel, fields: dict[str, Any], status: int, said: str
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        chat(client, **fields)
    assert refused.value.status_code == status
    body = refused.value.response.json()
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["type"] == "invalid_request_error" and said in json.dumps(body)
    assert talker.running == 0


def test_neutral_fields_are_accepted(client: openai.OpenAI) -> None:
    assert chat(client, n=1, frequency_penalty=0, presence_penalty=0.0, logit_bias={}, stop=None).choices


def test_the_token_is_asked_for(base: str) -> None:
    for token in (None, "wrong", TOKEN + "x"):
        status, body = raw(base, "POST", "/v1/chat/completions", {"model": "talker"}, token=token)
        assert (status, body["error"]["code"]) == (401, "invalid_api_key")
        assert TOKEN not in json.dumps(body)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=base, api_key="wrong", max_retries=0).models.list()


def test_bad_bodies_and_paths_have_their_errors(base: str) -> None:
    assert raw(base, "POST", "/v1/chat/completions", b'{"model": ')[0] == 400
    assert raw(base, "POST", "/v1/chat/completions", b'{"model": "\\ud800"}')[0] == 400
    assert raw(base, "POST", "/v1/chat/completions", b"[" * 100_000)[0] == 400
    assert raw(base, "GET", "/v1/nothing")[0] == 404
    assert raw(base, "GET", "/v1/chat/completions")[0] == 405
    status, body = raw(base, "POST", "/v1/completions", b" " * (17 * 2**20))
    assert (status, body["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_stops_the_computing(base: str, talker: LocalModel, stream: bool) -> None:
    body = json.dumps({"model": "talker", "messages": ASK, "stream": stream, "logit_bias": None, "seed": 5}).encode()
    at = urlsplit(base)
    assert at.hostname and at.port
    with socket.create_connection((at.hostname, at.port), timeout=30) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: talker.running == 1)
        (decoding,) = talker.engine._jobs
        if stream:
            assert b"200 OK" in connection.recv(4096)
    until(lambda: talker.running == 0)
    assert decoding.count < 400  # of more than 450 that it had room for


async def test_litellm_talks_to_it(base: str, talker: LocalModel) -> None:
    def asking(**fields: Any) -> ModelRequest:
        said = Message(role=Role.USER, spans=(Span(kind=SpanKind.TASK, text="Press the blue button."),))
        return ModelRequest(**{"purpose": Purpose.ACT, "messages": (said,), "max_tokens": 20, "seed": 3, **fields})

    model = LiteLLMModel("openai/talker", api_base=base, api_key=TOKEN, retries=0, leave_out=())
    reply, again = await model.call(asking(temperature=0.8)), await model.call(asking(temperature=0.8))
    timeless = {"usage": {"seconds"}}
    assert reply.text and reply.model_dump(exclude=timeless) == again.model_dump(exclude=timeless)
    assert reply.usage.seconds > 0
    assert reply.usage.completion_tokens <= 20 and reply.usage.prompt_tokens > 5
    tool = ToolSpec(name="click", description="Clicks.", parameters=PARAMETERS)
    assert (await model.call(asking(tools=(tool,)))).text
    must = LiteLLMModel("openai/talker", api_base=base, api_key=TOKEN, retries=0, tool_choice="required")
    (call,) = (await must.call(asking(tools=(tool,), max_tokens=100))).tool_calls
    assert call.name == "click" and call.arguments["ref"] in PARAMETERS["properties"]["ref"]["enum"]
    with pytest.raises(ModelFault, match="more than fits its context"):
        await model.call(asking(max_tokens=100_000))
    with pytest.raises(ModelFault, match="refused the key"):
        await LiteLLMModel("openai/talker", api_base=base, api_key="no", retries=0).call(asking())
    with pytest.raises(ModelFault, match="not found"):
        await LiteLLMModel("openai/other", api_base=base, api_key=TOKEN, retries=0).call(asking())


def raw(base: str, method: str, path: str, body: Any = None, *, token: str | None = TOKEN) -> tuple[int, Any]:
    """One request without any client library: (status, the body as JSON, or as text where it is none)."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    try:
        connection.request(method, path, data, {"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    return response.status, json.loads(text) if text.startswith("{") else text


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of two checkpoints, the second of which is the present release's."""
    root = tmp_path_factory.mktemp("ws")
    workspace = Workspace(root).create()
    with workspace.open_store() as store:
        for name, parent in (("base", None), ("c1", "base")):
            build(workspace.weights / name)
            store.add_checkpoint(Checkpoint(name=name, path=name, sha256="0" * 64, parent=parent))
        for name, model in (("r0", "base"), ("r1", "c1"), ("r2", "uniform")):
            store.add_release(Release(id=f"release-{name}", name=name, model=model, bank_version=0, harness="h"))
        store.append_release_event(ReleaseEventKind.PROMOTED, "release-r1", reason="it was better")
    return root


@pytest.mark.parametrize("command", [["models"], ["models", "list"], ["models", "serve"]], ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0 and "Usage:" in result.output


def test_names_are_found_in_the_workspace_and_outside(workspace: Path, tmp_path: Path) -> None:
    weights = Workspace(workspace).weights
    assert resolve(workspace, []) == [Source(str(weights / "c1"), ("r1", "c1"))]
    assert resolve(workspace, ["base", "r1"]) == [
        Source(str(weights / "base"), ("base",)),
        Source(str(weights / "c1"), ("r1", "c1")),
    ]
    assert resolve(tmp_path, [str(tmp_path), "org/name"]) == [
        Source(str(tmp_path), (tmp_path.name,)),
        Source("org/name", ("org/name",)),
    ]
    for wanted, said in (
        (["c1", "r1"], "two models would be served as c1"),
        (["r2"], "acts with uniform"),
        (["./nowhere"], "no folder"),
    ):
        with pytest.raises(WisenError, match=said):
            resolve(workspace, wanted)
    with pytest.raises(WisenError, match="is no workspace"):
        resolve(tmp_path, [])


def test_checkpoints_are_listed_while_another_process_works_with_them(workspace: Path) -> None:
    with Workspace(workspace).lock():
        found = listed(workspace)
        told = CliRunner().invoke(app, ["models", "list", "-w", str(workspace)]).output
    assert found == [
        Listed("base", "", found[0].parameters, ("r0",), False),
        Listed("c1", "base", found[0].parameters, ("r1",), True),
    ]
    assert found[0].parameters and f"{found[0].parameters:,} parameters" in told
    assert re.search(r"^\* c1 .*from base  in r1$", told, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "a token that you chose"),
        (["--token", "two words"], "HTTP header"),
        (["--port", "BUSY"], "cannot listen on 127.0.0.1"),
        (["--host", "203.0.113.7", "--token", "t"], "cannot listen on 203.0.113.7"),
        (["/nowhere/at/all"], "no folder"),
        (["--adapter", "shop"], "NAME=DIR"),
        (["--adapter", "r1=x"], "two models would be served as r1"),
        (["--adapter", "shop=/nowhere"], "could not read the adapter"),
        (["EMPTY"], "no config.json"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.delenv("WISEN_TOKEN", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        places = {"BUSY": str(busy.getsockname()[1]), "EMPTY": str(tmp_path)}
        words = [places.get(word, word) for word in arguments]
        command = ["models", "serve", "-w", str(workspace), *(["--port", "0"] if "--port" not in words else []), *words]
        error = CliRunner().invoke(app, command).exception
    assert isinstance(error, WisenError) and said in str(error) and "\n" not in str(error)


def test_the_command_serves_until_it_is_told_to_stop(workspace: Path) -> None:
    """As a user does it: the printed lines are all that is needed, and the workspace is free meanwhile."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WISEN_")}
    command = [WISEN, "models", "serve", "--port", "0", "-w", str(workspace), "--threads", "1"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            told = "".join(process.stdout.readline() for _ in range(3))
            found = re.fullmatch(
                r"serving r1, c1 at (\S+)\nexport OPENAI_API_KEY=(\S+)\nwisen run --model openai/r1 --api-base (\S+)\n",
                told,
            )
            assert found, told + process.stderr.read()
            base, token, again = found.groups()
            assert base == again
            with Workspace(workspace).lock():
                client = openai.OpenAI(base_url=base, api_key=token, max_retries=0, timeout=60)
                reply = client.chat.completions.create(
                    model="r1", messages=ASK, extra_body={"guided_choice": ["click a", "click b"]}
                )
            assert reply.choices[0].message.content in ("click a", "click b")
            # A stream in progress does not keep it from ending.
            stream = client.chat.completions.create(model="c1", messages=ASK, stream=True)
            next(iter(stream))
            process.send_signal(signal.SIGTERM)
            rest, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, rest, errors) == (143, "stopped\n", "")
    assert token not in rest
