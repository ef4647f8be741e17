"""What another application did, as steps of ours: from LangChain messages, or from pairs of action and observation.

Pure functions. System messages are left out, for they hold the application's own rules and the advice that memory gave:
what is judged and distilled is what was seen and done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from wisen.core.errors import SettingsError
from wisen.core.records import (
    Action,
    ModelCall,
    ModelReply,
    ModelRequest,
    Observation,
    Purpose,
    Step,
    StepResult,
    ToolCall,
    Usage,
)

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage

# Parts of a message that are no text for anybody: calls are read from the message, thinking is not kept.
_SILENT = frozenset("tool_use tool_call tool_call_chunk function_call input_json_delta thinking reasoning".split())


@dataclass(frozen=True)
class Conduct:
    """The steps in order, and what stood at the end, where that was more than the last step's result."""

    steps: tuple[Step, ...] = ()
    final: Observation | None = None


def conduct(done: Sequence[Any], instruction: str, trajectory_id: str) -> Conduct:
    """`done` as steps: pairs of (action, observation), or LangChain messages (objects, or dicts with a role).

    Raises `SettingsError` for anything else, and names the first that does not fit.
    """
    if isinstance(done, str) or not isinstance(done, Sequence):
        raise SettingsError(f"what was done is a {type(done).__name__}", "give a list of messages or of pairs")
    if done and all(isinstance(one, tuple | list) and len(one) == 2 for one in done):
        return from_pairs(done, instruction)
    for position, one in enumerate(done):
        known = hasattr(one, "type") and hasattr(one, "content")
        if not known and not (isinstance(one, Mapping) and ("role" in one or "type" in one)):
            raise SettingsError(
                f"part {position} of what was done is a {type(one).__name__}",
                "give messages only, or only pairs of action and observation",
            )
    return from_messages(done, instruction, trajectory_id)


def from_pairs(pairs: Iterable[Sequence[Any]], instruction: str) -> Conduct:
    """An action is a text, an `Action`, a `ToolCall`, or a dict with `name` and `args`; an observation is a text or an
    `Observation`. The agent saw nothing but the instruction before its first action."""
    seen = Observation(instruction=instruction, text="")
    steps: list[Step] = []
    for act, came in pairs:
        result = came if isinstance(came, Observation) else _observed(instruction, _text_only(came, len(steps)))
        taken = Step(
            index=len(steps),
            observation=seen,
            calls=(),
            action=_action(act, len(steps)),
            result=StepResult(observation=result),
        )
        steps.append(taken)
        seen = result
    return Conduct(tuple(steps))


def from_messages(messages: Sequence[Any], instruction: str, trajectory_id: str) -> Conduct:
    """Each tool call is a step, and its tool message the result. A text without a call is a step too, as in a talk, and
    the person's answer its result; but closing words after tool calls are no action: they are what stood at the end.

    What the model wrote beside its calls is kept as its reply. The prompt is not.
    """
    from langchain_core.messages import convert_to_messages

    try:
        talk = convert_to_messages(messages)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise SettingsError(f"what was done holds no chat message: {error}", "give LangChain messages") from error
    steps: list[Step] = []
    final: Observation | None = None
    before = _heard(talk[: next((at for at, one in enumerate(talk) if _spoken(one)), len(talk))])
    for message, after in _turns(talk):
        seen, last = _observed(instruction, before), not after
        text, before = _text(message), _heard(after)
        acts = _acts(message, after)
        if not acts and text:
            if last and any(step.action.tool_call for step in steps):
                final = _observed(instruction, text)
                break
            acts = [(Action(text=text), before, {})]
        for act, result, info in acts:
            call = ModelCall(
                id=f"{trajectory_id}/{len(steps)}",
                model=str(message.response_metadata.get("model_name", "")),
                request=ModelRequest(purpose=Purpose.ACT, messages=()),
                reply=ModelReply(text=text, usage=_usage(message)),
            )
            calls = (call,) if act is acts[0][0] else ()  # one reply may have asked for several calls at once
            came = StepResult(observation=_observed(instruction, result), info=info)
            steps.append(Step(index=len(steps), observation=seen, calls=calls, action=act, result=came))
    return Conduct(tuple(steps), final)


def _turns(talk: Sequence["BaseMessage"]) -> "list[tuple[AIMessage, list[BaseMessage]]]":
    """Each of the model's messages with what came between it and the model's next one."""
    turns: list[tuple[AIMessage, list[BaseMessage]]] = []
    for message in talk:
        if _spoken(message):
            turns.append((message, []))
        elif turns:
            turns[-1][1].append(message)
    return turns


def _spoken(message: "BaseMessage") -> "TypeGuard[AIMessage]":
    from langchain_core.messages import AIMessage

    return isinstance(message, AIMessage)


def _acts(message: "AIMessage", after: Sequence["BaseMessage"]) -> list[tuple[Action, str, dict[str, Any]]]:
    """(action, its result, notes) of each call. Results are matched by id among the messages before the next turn:
    some models give the same ids in every turn."""
    results = {getattr(one, "tool_call_id", ""): one for one in after if one.type == "tool"}
    acts = []
    for call in message.tool_calls:
        tool = ToolCall(name=call["name"], arguments=call["args"], id=call["id"] or "")
        result = results.get(call["id"] or "")
        failed = {"note": "the tool failed"} if getattr(result, "status", "") == "error" else {}
        acts.append((Action(tool_call=tool), _text(result) if result else "", failed))
    for bad in message.invalid_tool_calls:
        result = results.get(bad["id"] or "")
        said = _text(result) if result else bad["error"] or ""
        acts.append((Action(text=f"{bad['name']}({bad['args']})"), said, {"note": "a malformed call"}))
    return acts


def _heard(messages: Iterable["BaseMessage"]) -> str:
    """What people and tools said, without the application's own rules."""
    texts = [_text(one) for one in messages if one.type not in ("system", "remove")]
    return "\n\n".join(text for text in texts if text)


def _text(message: "BaseMessage") -> str:
    parts = [message.content] if isinstance(message.content, str) else message.content
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "text":
            texts.append(str(part.get("text", "")))
        elif part.get("type") not in _SILENT:
            texts.append(f"[{part.get('type', 'part')}]")  # a picture, a file: said to have been there
    return "\n".join(text for text in texts if text.strip()).strip()


def _usage(message: "AIMessage") -> Usage:
    usage = message.usage_metadata
    if not usage:
        return Usage()
    return Usage(prompt_tokens=usage["input_tokens"], completion_tokens=usage["output_tokens"])


def _observed(instruction: str, text: str) -> Observation:
    return Observation(instruction=instruction, text=text)


def _text_only(value: Any, position: int) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"the observation of pair {position} is a {type(value).__name__}", "give a text")
    return value


def _action(value: Any, position: int) -> Action:
    if isinstance(value, Action):
        return value
    if isinstance(value, ToolCall):
        return Action(tool_call=value)
    if isinstance(value, str):
        return Action(text=value)
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        arguments = value.get("args", value.get("arguments", {}))
        if isinstance(arguments, Mapping):
            return Action(tool_call=ToolCall(name=value["name"], arguments=dict(arguments), id=value.get("id") or ""))
    raise SettingsError(
        f"the action of pair {position} is {type(value).__name__}", "give a text, or a dict with name and args"
    )
