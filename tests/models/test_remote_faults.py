"""The fault matrix: whatever a provider, a server or a network does ends as one error of ours, in one table.

A real server on loopback is the other end, and real LiteLLM is between. Each row says what the server does, which kind
of fault that is, and whether it is tried again; the columns are the APIs that a fault may come through.
"""

import asyncio
import json
import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.fake_openai import KEY, Answer, FakeOpenAI, error, reply
from wisen.core.errors import FaultKind, ModelFault, UnreadableReply
from wisen.core.records import Message, ModelRequest, Purpose, Role, Span, SpanKind
from wisen.models.remote import LiteLLMModel
from wisen.models.remote_faults import retry_after

GO = ModelRequest(
    purpose=Purpose.ACT, messages=(Message(role=Role.USER, spans=(Span(kind=SpanKind.TASK, text="go"),)),)
)
SLOW = 0.4  # seconds: the timeout of the rows that wait for it


class Api(NamedTuple):
    """A way to a provider: the model's name, where its API is, and a reply in its form."""

    model: str
    path: str
    good: str


def _anthropic(**fields: Any) -> str:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-3-haiku-20240307",
        "content": [{"type": "text", "text": "a long answer"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 100},
    }
    return json.dumps(body | fields)


def _ollama(**fields: Any) -> str:
    body = {
        "model": "llama3",
        "created_at": "2026-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": "a long answer"},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 10,
        "eval_count": 3,
    }
    return json.dumps(body | fields)


APIS = {
    "openai": Api("openai/gpt-4o-mini", "/v1/chat/completions", reply("a long answer").body),
    "vllm": Api("hosted_vllm/mine", "/v1/chat/completions", reply("a long answer", model="mine").body),
    "anthropic": Api("anthropic/claude-3-haiku-20240307", "/v1/messages", _anthropic()),
    "ollama": Api("ollama_chat/llama3", "/api/chat", _ollama()),
}
CALL = [("c1", "click", '{"ref": "e4"')]
OVERLOADED = Answer('{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}', status=529)
NO_BALANCE = error(400, "Your credit balance is too low to access the API.")

# What the server does: the kind of fault, and whether another try may help.
EVERYWHERE: dict[str, tuple[Answer | str, FaultKind, bool]] = {
    "hangs up before a word": (Answer("", keep=-1), FaultKind.CUT, True),
    "cuts the answer": ("cut", FaultKind.CUT, True),
    "cuts a chunked answer": ("cut chunks", FaultKind.CUT, True),
    "is too slow": ("late", FaultKind.TIMEOUT, True),
    "trickles": ("trickle", FaultKind.TIMEOUT, True),
    "sends truncated JSON": ("truncated", FaultKind.MALFORMED, True),
    "sends nothing": (Answer(""), FaultKind.MALFORMED, True),
    "sends an object without a reply": (Answer("{}"), FaultKind.MALFORMED, True),
    "sends a web page": (Answer("<html>hi</html>", headers={"Content-Type": "text/html"}), FaultKind.MALFORMED, True),
    "has a proxy that fails": (Answer("<html>bad gateway</html>", status=502), FaultKind.SERVER, True),
    "fails": (error(500, "boom"), FaultKind.SERVER, True),
    "is overloaded": (OVERLOADED, FaultKind.SERVER, True),
    "limits the rate": (error(429, "Rate limit reached", kind="requests"), FaultKind.RATE_LIMIT, True),
    "is not ready": (error(408, "timed out"), FaultKind.NOT_READY, True),
    "wants money": (error(402, "pay first"), FaultKind.CREDIT, False),
    "refuses the key": (error(401, "invalid x-api-key"), FaultKind.KEY, False),
    "forbids": (error(403, "no"), FaultKind.KEY, False),
    "does not know the model": (error(404, "no such model", code="model_not_found"), FaultKind.NOT_FOUND, False),
    "gets too long a prompt": (error(400, "prompt is too long: 9 tokens > 8 maximum"), FaultKind.CONTEXT, False),
    "filters": (error(400, "against our content policy", code="content_policy_violation"), FaultKind.FILTER, False),
    "refuses a field": (error(400, "Unsupported value: 'stop'"), FaultKind.REFUSED, False),
}
TOO_LONG = "This model's maximum context length is 8 tokens"
TOO_LONG_VLLM = "The decoder prompt (length 9) is longer than the maximum model length of 8."
FILTERED_AZURE = error(400, "due to Azure OpenAI's content management policy", code="content_filter")
USED_UP = error(429, "You exceeded your current quota", code="insufficient_quota")
COMES_AGAIN = Answer(error(429, "Quota exceeded per minute").body, status=429, headers={"Retry-After": "30"})
NO_OBJECT = [("c1", "click", "[1]")]
SILENT = Answer(_ollama(message={"role": "assistant", "content": ""}))
OF_ONE: dict[str, tuple[str, Answer, FaultKind, bool]] = {
    "too long, in OpenAI's words": ("openai", error(400, TOO_LONG), FaultKind.CONTEXT, False),
    "too long, in vLLM's words": ("vllm", error(400, TOO_LONG_VLLM), FaultKind.CONTEXT, False),
    "filtered, in Azure's words": ("openai", FILTERED_AZURE, FaultKind.FILTER, False),
    "filtered in the reply": ("openai", reply("", finish="content_filter"), FaultKind.FILTER, False),
    "refused by Claude": ("anthropic", Answer(_anthropic(stop_reason="refusal", content=[])), FaultKind.FILTER, False),
    "a quota that is used up": ("openai", USED_UP, FaultKind.CREDIT, False),
    "a quota that comes again": ("openai", COMES_AGAIN, FaultKind.RATE_LIMIT, True),
    "Anthropic's empty account": ("anthropic", NO_BALANCE, FaultKind.CREDIT, False),
    "no choice": ("openai", Answer('{"id": "x", "choices": []}'), FaultKind.MALFORMED, True),
    "a list": ("openai", Answer("[1, 2]"), FaultKind.MALFORMED, True),
    "an empty reply": ("openai", reply(""), FaultKind.EMPTY, True),
    "a null reply": ("openai", reply(None), FaultKind.EMPTY, True),
    "blanks": ("openai", reply(" \n"), FaultKind.EMPTY, True),
    "Ollama's empty reply": ("ollama", SILENT, FaultKind.EMPTY, True),
    "all tokens used before a word": ("openai", reply("", finish="length"), FaultKind.TRUNCATED, False),
    "a call cut at the limit": ("openai", reply(None, tool_calls=CALL, finish="length"), FaultKind.TRUNCATED, False),
    "a malformed call": ("openai", reply(None, tool_calls=CALL), FaultKind.UNREADABLE, True),
    "a call without an object": ("vllm", reply(None, tool_calls=NO_OBJECT), FaultKind.UNREADABLE, True),
    "half a character": ("openai", reply("\ud800"), FaultKind.UNREADABLE, True),
    "a reply without end": ("openai", reply("x" * 200_000), FaultKind.UNREADABLE, False),
}


def _doing(what: Answer | str, api: Api) -> Answer:
    match what:
        case Answer():
            return what
        case "cut":
            return Answer(api.good, keep=40)
        case "cut chunks":
            return Answer(api.good, keep=48, chunked=True)
        case "late":
            return Answer(api.good, delay=3 * SLOW)
        case "trickle":
            return Answer(api.good, chunked=True, pause=SLOW / 4)
        case "truncated":
            return Answer(api.good[:60])
    raise AssertionError(what)


def model(name: str, server: FakeOpenAI, **settings: Any) -> LiteLLMModel:
    base = server.url if APIS[name].path.startswith("/v1/chat") else server.url.removesuffix("/v1")
    return LiteLLMModel(
        APIS[name].model, **{"api_base": base, "api_key": KEY, "timeout": 60, "retries": 0, "backoff": 0.01, **settings}
    )


async def faulted(name: str, answer: Answer, **settings: Any) -> tuple[ModelFault, FakeOpenAI]:
    with FakeOpenAI(answer, path=APIS[name].path) as server, pytest.raises(ModelFault) as raised:
        await model(name, server, **settings).call(GO)
    return raised.value, server


@pytest.fixture(scope="module", autouse=True)
def ready() -> None:
    """What LiteLLM imports at the first call of each kind counts against nobody's timeout."""

    async def once() -> None:
        for name, api in APIS.items():
            with FakeOpenAI(Answer(api.good), path=api.path) as server:
                answer = await model(name, server).call(GO)
            assert answer.text == "a long answer" and answer.usage.completion_tokens > 0

    asyncio.run(once())


def _checked(problem: ModelFault, server: FakeOpenAI, name: str, kind: FaultKind, again: bool) -> None:
    assert (problem.kind, problem.retryable) == (kind, again), problem
    assert problem.problem.startswith(APIS[name].model) and problem.hint
    assert isinstance(problem, UnreadableReply) or kind is not FaultKind.EMPTY
    said = str(problem)
    assert KEY not in said and "Traceback" not in said and "\n" not in said and len(said) < 700
    assert len(server.requests) == 1  # neither LiteLLM nor a provider's client tries again by itself


@pytest.mark.parametrize("name", APIS)
@pytest.mark.parametrize("does", EVERYWHERE)
async def test_what_any_server_may_do(does: str, name: str) -> None:
    what, kind, again = EVERYWHERE[does]
    settings = {"timeout": SLOW} if kind is FaultKind.TIMEOUT else {}
    problem, server = await faulted(name, _doing(what, APIS[name]), **settings)
    _checked(problem, server, name, kind, again)


@pytest.mark.parametrize("does", OF_ONE)
async def test_what_one_of_them_does(does: str) -> None:
    name, answer, kind, again = OF_ONE[does]
    problem, server = await faulted(name, answer)
    _checked(problem, server, name, kind, again)


@pytest.mark.parametrize("name", APIS)
async def test_a_server_that_is_not_there(name: str) -> None:
    with FakeOpenAI(Answer("")) as server:
        pass  # and gone
    with pytest.raises(ModelFault) as raised:
        await model(name, server).call(GO)
    assert (raised.value.kind, raised.value.retryable) == (FaultKind.UNREACHABLE, True)


@pytest.mark.parametrize("name", APIS)
async def test_a_fault_that_passes_is_got_over_everywhere(name: str) -> None:
    api = APIS[name]
    busy = error(429, "Rate limit reached", kind="requests")
    with FakeOpenAI(busy, Answer(api.good, keep=40), Answer(api.good[:60]), Answer(api.good), path=api.path) as server:
        client = model(name, server, retries=3)
        assert (await client.call(GO)).text == "a long answer"
    assert len(server.requests) == 4
    assert client.spent.calls == 1  # what was no answer has no usage


@pytest.mark.parametrize("name", APIS)
async def test_a_server_is_waited_for_as_long_as_it_asks(name: str) -> None:
    api = APIS[name]
    busy = Answer(error(429, "Rate limit reached").body, status=429, headers={"Retry-After": "0.3"})
    with FakeOpenAI(busy, Answer(api.good), path=api.path) as server:
        begun = time.monotonic()
        await model(name, server, retries=1).call(GO)
    assert time.monotonic() - begun >= 0.3


def test_a_wait_may_be_a_date_or_milliseconds() -> None:
    class Response:
        def __init__(self, **headers: str) -> None:
            self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def asked(**headers: str) -> float | None:
        problem = Exception("busy")
        problem.response = Response(**headers)  # type: ignore[attr-defined]
        return retry_after(problem)

    soon = datetime.now(UTC) + timedelta(seconds=20)
    assert 15 < (asked(retry_after=format_datetime(soon, usegmt=True)) or 0) <= 20
    assert asked(retry_after=format_datetime(soon - timedelta(hours=1), usegmt=True)) == 0
    assert asked(retry_after="7") == 7 and asked(retry_after_ms="250", retry_after="1") == 0.25
    assert asked(retry_after="soon") is None and asked() is None


def test_the_table_is_whole_and_documented() -> None:
    """Every kind has a row here and one in docs/models.md, which says truly whether it is tried again."""
    rows = [(kind, again) for _, kind, again in EVERYWHERE.values()]
    rows += [(kind, again) for _, _, kind, again in OF_ONE.values()]
    rows += [(FaultKind.UNREACHABLE, True), (FaultKind.PROVIDER, False)]  # above, and in test_remote.py
    assert {kind for kind, _ in rows} == set(FaultKind) - {FaultKind.OTHER}
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| .* \| (yes|no|mostly) \|$", page, re.MULTILINE))
    found = {kind.value: {again for other, again in rows if other is kind} for kind, _ in rows}
    words = {frozenset({True}): "yes", frozenset({False}): "no", frozenset({True, False}): "mostly"}
    assert told == {kind: words[frozenset(answers)] for kind, answers in found.items()}
