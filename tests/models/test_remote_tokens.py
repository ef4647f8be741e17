"""A policy behind a server is trained on as it sampled: ids and log-probabilities, over real HTTP and real LiteLLM."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.attempts import attempt
from tests.support.fake_openai import KEY, Answer, FakeOpenAI, reply
from tests.support.serving import TOKEN, served
from tests.support.talker import build_talker
from wisen.core.errors import SettingsError, WisenError
from wisen.core.protocols import Capability
from wisen.core.records import (
    Message,
    ModelCall,
    ModelReply,
    ModelRequest,
    Purpose,
    Role,
    Span,
    SpanKind,
    ToolSpec,
    Trajectory,
)
from wisen.models.local import LocalModel
from wisen.models.remote import LiteLLMModel
from wisen.trainers.dataset import decisions, step_rows

WAIT = ToolSpec(name="wait", description="Waits.")


def asking(**fields: Any) -> ModelRequest:
    spans = (Span(kind=SpanKind.MEMORY, text="A tip.", item_id="m"), Span(kind=SpanKind.TASK, text="Press it."))
    said = Message(role=Role.USER, spans=spans)
    return ModelRequest(
        **{"purpose": Purpose.ACT, "messages": (said,), "temperature": 0.8, "seed": 4, "max_tokens": 16, **fields}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_talker(tmp_path_factory.mktemp("talker") / "weights")


@pytest.fixture(scope="module")
def talker(folder: Path) -> LocalModel:
    return LocalModel.load(folder, name="mine", threads=1)


@pytest.fixture(scope="module")
def base(talker: LocalModel) -> Iterator[str]:
    with served({"mine": talker}) as address:
        yield address


def remote(base: str, provider: str = "hosted_vllm", **settings: Any) -> LiteLLMModel:
    given = {"api_base": base, "api_key": TOKEN, "retries": 0, "leave_out": (), "tokens": True, **settings}
    return LiteLLMModel(f"{provider}/mine", **given)


@pytest.mark.parametrize("provider", ["hosted_vllm", "openai"])
async def test_what_the_server_sampled_is_what_arrives(base: str, folder: Path, provider: str) -> None:
    here = LocalModel.load(folder, name="mine", threads=1)
    try:
        for fields in ({}, {"tools": (WAIT,)}):
            told = await remote(base, provider).call(asking(**fields))
            own = await here.call(asking(**fields))
            assert told.tokens and own.tokens and told.text == own.text
            assert told.tokens.prompt_ids == own.tokens.prompt_ids
            assert told.tokens.sampled_ids == own.tokens.sampled_ids
            assert told.tokens.logprobs == own.tokens.logprobs
            assert told.tokens.span_ranges == ()  # a server knows no spans
            assert told.usage.completion_tokens == len(told.tokens.sampled_ids)
    finally:
        await here.close()


def played(answer: ModelReply) -> Trajectory:
    """A success of one step, which a call with this answer took."""
    trajectory = attempt([("a page", "", "click")], success=True)
    (step,) = trajectory.steps
    call = ModelCall(id="c", model="hosted_vllm/mine", request=asking(), reply=answer)
    return trajectory.model_copy(update={"steps": (step.model_copy(update={"calls": (call,)}),)})


async def test_it_can_be_trained_on_as_it_was_sampled(base: str, folder: Path) -> None:
    """The loss on the served weights is what the server said of its own tokens: nothing was lost on the way."""
    from transformers import AutoModelForCausalLM

    from wisen.trainers.loop import row_losses

    answer = await remote(base).call(asking())
    assert answer.tokens
    (row,) = step_rows([played(answer)])
    assert row.ids == answer.tokens.prompt_ids + answer.tokens.sampled_ids
    assert tuple(row.ids[place] for place in row.trained) == answer.tokens.sampled_ids
    loss, count = row_losses(AutoModelForCausalLM.from_pretrained(folder), [row], 0)
    assert count == len(answer.tokens.sampled_ids)
    assert float(loss.detach()) == pytest.approx(-sum(answer.tokens.logprobs), abs=1e-3)
    with pytest.raises(WisenError, match="where in its tokens is not known"):
        decisions(played(answer), strip=True)


async def test_without_the_setting_nothing_is_asked_and_nothing_kept(base: str) -> None:
    with FakeOpenAI(reply("fine")) as server:
        plain = remote(server.url, api_key=KEY, tokens=False)
        assert (await plain.call(asking())).tokens is None
    assert not {"logprobs", "return_token_ids"} & set(server.requests[0])
    assert step_rows([played(await remote(base, tokens=False).call(asking()))]) == []
    assert Capability.TOKENS not in plain.capabilities
    assert Capability.TOKENS in remote(base).capabilities


def _answering(ids: Any = (5, 6), prompt: Any = (1, 2, 3), logprobs: Any = (-0.5, -0.25)) -> Answer:
    body = json.loads(reply("fine").body)
    content = [{"token": "x", "bytes": [120], "logprob": value, "top_logprobs": []} for value in logprobs]
    body["choices"][0] |= {"token_ids": ids, "logprobs": {"content": content}}
    return Answer(json.dumps(body | {"prompt_token_ids": prompt}))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply("fine"), "sent no token ids"),
        (_answering(ids=None), "sent no token ids"),
        (_answering(prompt=None), "sent no token ids"),
        (_answering(prompt=[]), "sent no token ids"),
        (_answering(logprobs=[-0.5]), "1 log-probabilities for 2 tokens"),
        (_answering(logprobs=[-0.5, -9999.0]), "log-probabilities"),  # vLLM's mark of the impossible
    ],
)
async def test_a_server_that_ignores_the_setting_is_an_error(answer: Answer, says: str) -> None:
    with FakeOpenAI(_answering(), answer) as server:
        client = remote(server.url, api_key=KEY)
        good = (await client.call(asking())).tokens
        assert good and (good.prompt_ids, good.sampled_ids) == ((1, 2, 3), (5, 6))
        with pytest.raises(SettingsError, match=says):
            await client.call(asking())


def test_a_required_call_hides_what_was_admitted() -> None:
    with pytest.raises(SettingsError, match="grammar"):
        LiteLLMModel("hosted_vllm/mine", tokens=True, tool_choice="required")


async def test_a_reply_under_a_schema(base: str, talker: LocalModel) -> None:
    """The same schema, by the server's own engine and through LiteLLM; such replies are not trained on."""
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    schema["additionalProperties"] = False
    asked = asking(reply_schema=schema, max_tokens=60)
    told = await remote(base, schemas=True).call(asked)
    assert set(json.loads(told.text)) == {"ok"} and told.tokens is None
    with pytest.raises(SettingsError, match=r"remote\.schemas"):
        await remote(base).call(asked)
    for client in (remote(base, schemas=True), talker):
        assert Capability.SCHEMA in client.capabilities


async def test_every_answer_is_counted(base: str) -> None:
    client = remote(base)
    replies = [await client.call(asking(seed=seed)) for seed in range(3)]
    spent = client.spent
    assert (spent.model, spent.calls) == ("hosted_vllm/mine", 3)
    for field in ("prompt_tokens", "completion_tokens", "cost_usd"):
        assert getattr(spent.usage, field) == sum(getattr(each.usage, field) for each in replies)
    assert spent.usage.seconds == pytest.approx(sum(each.usage.seconds for each in replies))
    assert "no known price" in spent.usage.told()
    with FakeOpenAI(reply("", finish="stop"), reply("fine")) as server:
        paid = LiteLLMModel("openai/gpt-4o-mini", api_base=server.url, api_key=KEY, retries=1, backoff=0.01)
        await paid.call(asking())
    assert paid.spent.calls == 2  # the empty one was paid for too
    assert paid.spent.usage.cost_usd == pytest.approx(2 * (1000 * 0.15e-6 + 100 * 0.60e-6))
    assert "$0.0004" in paid.spent.usage.told()
