"""What another application did becomes steps: pure functions of messages, or of pairs."""

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from wisen.agent.foreign import conduct
from wisen.core.errors import SettingsError
from wisen.core.records import Action, Observation, Step, ToolCall
from wisen.memory.transcript import transcript

TASK = "Refund order 7."


def steps(done: object) -> tuple[Step, ...]:
    return conduct(done, TASK, "traj-1").steps  # type: ignore[arg-type]


def calling(*calls: tuple[str, dict[str, object], str], text: str = "") -> AIMessage:
    return AIMessage(text, tool_calls=[{"name": name, "args": args, "id": id_} for name, args, id_ in calls])


def test_each_tool_call_is_a_step_with_its_own_result() -> None:
    talk: list[AnyMessage] = [
        SystemMessage("You are a help desk. Advice: unlock first."),
        HumanMessage("Refund order 7, please."),
        calling(("look", {"order": 7}, "a"), ("owner", {"order": 7}, "b"), text="First I look."),
        ToolMessage("Ann", tool_call_id="b"),  # in another order than they were asked
        ToolMessage("locked", tool_call_id="a", status="error"),
        calling(("unlock", {"order": 7}, "a")),  # the same id as in the turn before
        ToolMessage("open", tool_call_id="a"),
        AIMessage("Order 7 is refunded."),
    ]
    done = conduct(talk, TASK, "traj-1")
    look, owner, unlock = done.steps
    assert [str(step.action) for step in done.steps] == ["look(order=7)", "owner(order=7)", "unlock(order=7)"]
    assert look.observation.text == owner.observation.text == "Refund order 7, please."
    assert (look.result.observation.text, owner.result.observation.text) == ("locked", "Ann")
    assert look.result.info == {"note": "the tool failed"} and owner.result.info == {}
    assert unlock.observation.text == "Ann\n\nlocked" and unlock.result.observation.text == "open"
    assert [step.index for step in done.steps] == [0, 1, 2]
    assert look.calls[0].reply.text == "First I look." and not owner.calls
    assert done.final is not None and done.final.text == "Order 7 is refunded."
    assert "Advice" not in str(done)  # no prompt of the application, so no memory


def test_a_talk_without_tools_is_text_and_answer() -> None:
    talk = [HumanMessage("Hello"), AIMessage("Which order?"), HumanMessage("Seven"), AIMessage("Done.")]
    done = conduct(talk, TASK, "traj-1")
    asked, told = done.steps
    assert (asked.observation.text, asked.action.text, asked.result.observation.text) == (
        "Hello",
        "Which order?",
        "Seven",
    )
    assert (told.observation.text, told.action.text, told.result.observation.text) == ("Seven", "Done.", "")
    assert done.final is None


def test_a_question_after_tools_is_a_step_and_closing_words_are_not() -> None:
    talk = [calling(("look", {}, "a")), ToolMessage("two", tool_call_id="a"), AIMessage("Which?"), HumanMessage("Both")]
    assert [str(step.action) for step in steps(talk)] == ["look()", "Which?"]
    assert [str(step.action) for step in steps(talk[:-1])] == ["look()"]


def test_messages_as_dicts_chunks_and_parts() -> None:
    done = steps(
        [
            {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": "x"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}],
            },
            {"role": "tool", "tool_call_id": "a", "content": "ok"},
            AIMessageChunk(content=[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Go on?"}]),
            HumanMessage("Yes"),
        ]
    )
    assert done[0].observation.text == "Look\n[image_url]"
    assert [str(step.action) for step in done] == ["f(x=1)", "Go on?"]


def test_a_malformed_call_and_a_missing_result_are_kept_as_such() -> None:
    bad: Any = {"name": "f", "args": "{half", "id": "a", "error": "no JSON", "type": "invalid_tool_call"}
    (step,) = steps([AIMessage("", invalid_tool_calls=[bad])])
    assert step.action.text == "f({half)" and step.result.observation.text == "no JSON"
    (lonely,) = steps([calling(("f", {}, "a"))])
    assert lonely.result.observation.text == ""


def test_usage_and_model_are_read() -> None:
    message = AIMessage(
        "Hello",
        usage_metadata={"input_tokens": 10, "output_tokens": 3, "total_tokens": 13},
        response_metadata={"model_name": "m-1"},
    )
    (call,) = steps([message])[0].calls
    assert (call.model, call.reply.usage.prompt_tokens, call.reply.usage.completion_tokens) == ("m-1", 10, 3)


def test_pairs() -> None:
    done = steps(
        [
            ("look", "locked"),
            [{"name": "unlock", "args": {"order": 7}}, "open"],
            (ToolCall(name="refund"), Observation(instruction=TASK, text="refunded")),
            (Action(text="stop"), ""),
        ]
    )
    assert [str(step.action) for step in done] == ["look", "unlock(order=7)", "refund()", "stop"]
    assert [step.observation.text for step in done] == ["", "locked", "open", "refunded"]
    assert done[-1].result.observation.text == ""


def test_nothing_done_is_no_step() -> None:
    assert steps([]) == () and steps([HumanMessage("Hello")]) == ()


@pytest.mark.parametrize(
    ("done", "says"),
    [
        ("all of it", "what was done is a str"),
        (None, "what was done is a NoneType"),
        ([("look", "locked"), AIMessage("x")], "part 0 of what was done is a tuple"),
        ([HumanMessage("x"), 3], "part 1 of what was done is a int"),
        ([("look", 3)], "the observation of pair 0 is a int"),
        ([("look", "x"), (3, "x")], "the action of pair 1 is int"),
        ([{"role": "nobody", "content": "x"}], "holds no chat message"),
    ],
)
def test_anything_else_is_named(done: object, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        steps(done)


def test_a_judge_reads_it_all() -> None:
    from tests.support.attempts import attempt

    done = conduct(
        [
            HumanMessage("Refund"),
            calling(("f", {}, "a"), text="I think"),
            ToolMessage("ok", tool_call_id="a"),
            AIMessage("Bye"),
        ],
        TASK,
        "traj-1",
    )
    text = transcript(attempt([]).model_copy(update={"steps": done.steps, "final": done.final}))
    assert "Observation: Refund\nThought: I think\nAction: f()" in text and "FINAL STATE\nBye" in text
