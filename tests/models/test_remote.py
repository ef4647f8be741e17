"""The remote model, through real LiteLLM over real HTTP to a server on loopback."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.fake_openai import KEY, Answer, FakeOpenAI, error, reply
from wisen.core.errors import ModelFault, SettingsError
from wisen.core.protocols import Capability, Model
from wisen.core.records import Message, ModelReply, ModelRequest, Purpose, Role, Span, SpanKind, ToolCall, ToolSpec
from wisen.models.remote import LiteLLMModel

CLICK = ToolSpec(
    name="click",
    description="Clicks an element.",
    parameters={"type": "object", "properties": {"ref": {"type": "string"}}, "required": ["ref"]},
)


def user(text: str) -> Message:
    return Message(role=Role.USER, spans=(Span(kind=SpanKind.TASK, text=text),))


def request(**fields: Any) -> ModelRequest:
    return ModelRequest(**{"purpose": Purpose.ACT, "messages": (user("go"),), **fields})


def model(server: FakeOpenAI, **settings: Any) -> LiteLLMModel:
    settings = {"api_base": server.url, "api_key": KEY, "timeout": 20, "retries": 0, "backoff": 0.01, **settings}
    return LiteLLMModel("openai/gpt-4o-mini", **settings)


async def ask(answers: Sequence[Answer], **settings: Any) -> tuple[ModelReply, FakeOpenAI]:
    with FakeOpenAI(*answers) as server:
        return await model(server, **settings).call(request()), server


async def fault(answers: Sequence[Answer], **settings: Any) -> tuple[ModelFault, FakeOpenAI]:
    with FakeOpenAI(*answers) as server:
        with pytest.raises(ModelFault) as raised:
            await model(server, **settings).call(request())
        return raised.value, server


async def test_sends_the_whole_request_and_reads_text_usage_and_price() -> None:
    with FakeOpenAI(reply("done", finish="length")) as server:
        answer = await model(server, leave_out=()).call(request(temperature=0.5, max_tokens=33, seed=7))
        await model(server, max_tokens=4000).call(request(seed=7))  # most providers take no seed: it must be asked for
    assert answer.text == "done"
    last = server.requests.pop()
    assert "seed" not in last and last["max_tokens"] == 4000
    assert answer.finish_reason == "length"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1000, 100)
    assert answer.usage.cost_usd == pytest.approx(1000 * 0.15e-6 + 100 * 0.60e-6)  # the provider's list price
    assert server.requests == [
        {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": "go"}],
            "temperature": 0.5,
            "max_tokens": 33,
            "seed": 7,
        }
    ]


async def test_a_conversation_with_tools_goes_out_in_the_chat_format() -> None:
    messages = (
        Message(
            role=Role.SYSTEM,
            spans=(
                Span(kind=SpanKind.SYSTEM, text="Be brief."),
                Span(kind=SpanKind.MEMORY, text="Tip.", item_id="mem-1"),
            ),
        ),
        user("press ok"),
        Message(role=Role.ASSISTANT, spans=(), tool_calls=(ToolCall(name="click", arguments={"ref": "é"}, id="c1"),)),
        Message(role=Role.TOOL, spans=(Span(kind=SpanKind.TOOL_RESULT, text="pressed"),), tool_call_id="c1"),
    )
    with FakeOpenAI(reply("fine")) as server:
        await model(server).call(request(messages=messages, tools=(CLICK, ToolSpec(name="wait", description="Waits."))))
    sent = server.requests[0]
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief.\n\nTip."},
        {"role": "user", "content": "press ok"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "click", "arguments": '{"ref": "é"}'}}
            ],
        },
        {"role": "tool", "content": "pressed", "tool_call_id": "c1"},
    ]
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["click", "wait"]
    assert sent["tools"][0]["function"]["parameters"] == CLICK.parameters
    assert sent["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}


async def test_reads_tool_calls() -> None:
    calls = [("c1", "click", '{"ref": "e4"}'), ("c2", "wait", "")]
    answer, _ = await ask([reply(None, tool_calls=calls, finish="tool_calls")])
    assert answer.text == ""
    assert answer.tool_calls == (
        ToolCall(name="click", arguments={"ref": "e4"}, id="c1"),
        ToolCall(name="wait", arguments={}, id="c2"),
    )


@pytest.mark.parametrize(
    "raw", ['{"ref": "e4"', "[1]", '{"ref": NaN}', '{"ref": 1, "ref": 2}', "e4", r'{"ref": "\ud800"}']
)
async def test_malformed_arguments_are_a_fault_that_shows_them(raw: str) -> None:
    problem, _ = await fault([reply(None, tool_calls=[("c1", "click", raw)], finish="tool_calls")])
    assert raw in problem.problem
    assert "click" in problem.problem


@pytest.mark.parametrize(("text", "says"), [("x" * 1_000_000, "1,000,000 characters"), ("\ud800", "half a character")])
async def test_text_that_is_no_answer_is_a_fault(text: str, says: str) -> None:
    problem, _ = await fault([reply(text)])
    assert says in problem.problem and len(str(problem)) < 600
    problem, _ = await fault([reply(None, tool_calls=[("c1", text, "{}")], finish="tool_calls")])
    assert says in problem.problem and len(str(problem)) < 600


async def test_arguments_of_a_megabyte_are_a_fault_that_shows_their_beginning() -> None:
    long = '{"ref": "' + "x" * 1_000_000 + '"}'
    problem, _ = await fault([reply(None, tool_calls=[("c1", "click", long)], finish="tool_calls")])
    assert "1,000,011 characters" in problem.problem and len(str(problem)) < 600


async def test_arguments_cut_at_the_token_limit_say_so_and_are_not_tried_again() -> None:
    cut = reply(None, tool_calls=[("c1", "click", '{"ref": "e')], finish="length")
    problem, server = await fault([cut], retries=2)
    assert "max_tokens" in problem.hint
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("fields", "settings", "says"),
    [
        ({"options": ("a", "b")}, {}, "options"),
        ({"explore": 0.1}, {}, "explore"),
        ({"tools": (CLICK,)}, {"tools": False}, "tool calls turned off"),
        ({"messages": (Message(role=Role.TOOL, spans=()),)}, {}, "names no tool call"),
    ],
)
async def test_what_it_cannot_honour_is_an_error_before_anything_is_sent(
    fields: dict[str, Any], settings: dict[str, Any], says: str
) -> None:
    with FakeOpenAI(reply("no")) as server:
        with pytest.raises(SettingsError, match=says):
            await model(server, **settings).call(request(**fields))
        assert server.requests == []


async def test_a_field_that_the_provider_does_not_take_is_an_error_unless_left_out_knowingly() -> None:
    with FakeOpenAI(reply("hello")) as server:
        with pytest.raises(SettingsError, match="leave_out"):
            await LiteLLMModel("openai/gpt-5", api_base=server.url, api_key=KEY).call(request(temperature=0.0))
        assert server.requests == []
        told = LiteLLMModel("openai/gpt-5", api_base=server.url, api_key=KEY, leave_out=("temperature",))
        assert (await told.call(request(temperature=0.0))).text == "hello"
        assert "temperature" not in server.requests[0]


@pytest.mark.parametrize(
    ("answer", "says", "retryable"),
    [
        (error(403, "no"), "refused the key", False),
        (error(404, "The model does not exist", code="model_not_found"), "not found", False),
        (error(402, "pay first"), "no credit", False),
        (error(429, "Rate limit reached", code="rate_limit_exceeded", kind="requests"), "rate limit", True),
        (error(429, "You exceeded your current quota", code="insufficient_quota", kind="x"), "no credit", False),
        (error(400, "This model's maximum context length is 8 tokens"), "context", False),
        (error(400, "rejected by our safety system", code="content_policy_violation"), "content filter", False),
        (error(400, "Unsupported value: 'stop'"), "refused the request", False),
        (error(500, "boom"), "failed on its server", True),
        (error(503, "overloaded", kind="server_error"), "failed on its server", True),
        (Answer("<html>bad gateway</html>", status=502), "failed on its server", True),
        (reply("", finish="content_filter"), "content filter", False),
        (reply(""), "empty reply", True),
        (reply(None), "empty reply", True),
        (reply("", finish="length"), "empty reply", False),
        (reply("a long answer", keep=40), "cut the connection", True),
        (Answer(reply("a long answer").body[:60]), "malformed", True),
        (Answer("{}"), "malformed", True),
        (Answer('{"id": "x", "choices": []}'), "no choice", True),
        (Answer(""), "malformed", True),
        (Answer("[1, 2]"), "malformed", True),
        (Answer("<html>welcome</html>", headers={"Content-Type": "text/html"}), "malformed", True),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_every_failure_has_its_own_words(answer: Answer, says: str, retryable: bool) -> None:
    problem, server = await fault([answer])
    assert says in problem.problem
    assert "openai/gpt-4o-mini" in problem.problem
    assert problem.hint
    assert problem.retryable is retryable
    assert len(server.requests) == 1  # neither LiteLLM nor the provider's client tries again by itself


async def test_a_wrong_key_is_named_and_never_shown() -> None:
    problem, server = await fault([reply("no")], api_key="sk-very-secret-9999", retries=2)
    assert "refused the key (401)" in problem.problem
    assert "secret" not in str(problem)
    assert not problem.retryable
    assert len(server.requests) == 1


async def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    for name in ("openai/gpt-4o-mini", "anthropic/claude-3-haiku-20240307"):
        with pytest.raises(ModelFault, match="needs a key"):
            await LiteLLMModel(name, retries=0).call(request())


async def test_a_server_that_is_not_there_is_tried_again_then_named() -> None:
    with FakeOpenAI(reply("x")) as server:
        gone = server.url
    for name in ("openai/gpt-4o-mini", "ollama/llama3"):
        with pytest.raises(ModelFault, match="cannot be reached") as raised:
            await LiteLLMModel(name, api_base=gone, api_key=KEY, retries=1, backoff=0.01).call(request())
        assert gone in raised.value.problem
        assert raised.value.retryable


async def test_an_unknown_provider_is_named() -> None:
    with pytest.raises(ModelFault, match="no known provider"):
        await LiteLLMModel("nonsense").call(request())


async def test_a_slow_answer_ends_at_the_timeout() -> None:
    start = time.monotonic()
    problem, _ = await fault([reply("late", delay=1.0)], timeout=0.2)
    assert "in time" in problem.problem
    assert problem.retryable
    assert time.monotonic() - start < 3.0  # the server's thread still sleeps when the test leaves


async def test_what_may_pass_is_tried_again_and_only_as_often_as_told() -> None:
    busy = error(429, "Rate limit reached", kind="requests")
    answer, server = await ask([busy, error(500, "boom"), reply("third time")], retries=2)
    assert answer.text == "third time"
    assert len(server.requests) == 3
    problem, server = await fault([busy], retries=2)
    assert "rate limit" in problem.problem
    assert len(server.requests) == 3


async def test_waits_as_long_as_the_provider_asks() -> None:
    busy = Answer(error(429, "Rate limit reached", kind="requests").body, status=429, headers={"retry-after": "0.4"})
    start = time.monotonic()
    await ask([busy, reply("ok")], retries=1)
    assert time.monotonic() - start >= 0.4


async def test_does_not_wait_longer_than_its_bound() -> None:
    busy = Answer(error(429, "Rate limit reached", kind="requests").body, status=429, headers={"retry-after": "3600"})
    problem, server = await fault([busy], retries=1)
    assert "rate limit" in problem.problem
    assert len(server.requests) == 1


async def test_a_fault_being_handled_by_the_caller_does_not_colour_the_next() -> None:
    with FakeOpenAI(reply("x", keep=10), Answer(reply("x").body, delay=1.0)) as server:
        client = model(server, timeout=0.3)
        try:
            await client.call(request())
        except ModelFault:
            with pytest.raises(ModelFault, match="in time"):
                await client.call(request())
    with FakeOpenAI(error(404, "x"), Answer("not json")) as server:
        client = model(server)
        try:
            await client.call(request())
        except ModelFault:
            with pytest.raises(ModelFault, match="malformed"):
                await client.call(request())


async def test_calls_run_side_by_side_and_cancel() -> None:
    with FakeOpenAI(reply("ok", delay=0.3)) as server:
        client = model(server)
        await client.call(request())
        start = time.monotonic()
        replies = await asyncio.gather(*(client.call(request()) for _ in range(6)))
        assert [answer.text for answer in replies] == ["ok"] * 6
        assert time.monotonic() - start < 1.5  # one after the other they take 1.8 s
        task = asyncio.create_task(client.call(request()))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.close()


async def test_an_unknown_price_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with FakeOpenAI(reply("ok", model="my-own-model")) as server:
        client = LiteLLMModel("openai/my-own-model", api_base=server.url, api_key=KEY)
        for _ in range(2):
            assert (await client.call(request())).usage.cost_usd == 0.0
    assert [record.getMessage() for record in caplog.records if "price" in record.getMessage()] == [
        "LiteLLM knows no price for openai/my-own-model: its calls count as free"
    ]


async def test_refuses_a_litellm_that_drops_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeOpenAI(reply("ok")) as server:
        client = model(server)
        await client.call(request())
        import litellm

        monkeypatch.setattr(litellm, "drop_params", True)
        with pytest.raises(SettingsError, match="drop_params"):
            await client.call(request())
        assert len(server.requests) == 1


def test_is_a_model_with_chat_and_tools() -> None:
    client = LiteLLMModel("openai/gpt-4o-mini")
    assert isinstance(client, Model)
    assert client.name == "openai/gpt-4o-mini"
    assert client.capabilities == {Capability.CHAT, Capability.TOOLS}
    assert LiteLLMModel("openai/gpt-4o-mini", tools=False).capabilities == {Capability.CHAT}


@pytest.mark.parametrize(
    ("name", "settings"),
    [(" ", {}), ("x/y", {"timeout": 0}), ("x/y", {"retries": -1}), ("x/y", {"leave_out": ("max_tokens",)})],
)
def test_settings_outside_their_range_are_errors(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        LiteLLMModel(name, **settings)


def test_importing_and_making_one_does_not_import_litellm() -> None:
    code = "import sys; from wisen.models.remote import LiteLLMModel as M; M('a/b'); sys.exit('litellm' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
