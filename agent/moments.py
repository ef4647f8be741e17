"""When an episode asks its memory: pure decisions from what was seen so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from wisen.core.errors import SettingsError
from wisen.core.prompts import history_line
from wisen.core.records import Choice, ModelCall, Moment, Occasion, Recall, Step, ToolCall, ToolSpec
from wisen.memory.recall import RecallSettings, verb

RECALL_TOOL = ToolSpec(
    name="recall",
    description="Look up advice from earlier attempts at similar tasks. It changes nothing in the environment.",
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What you want to know, in a few words."}},
        "required": ["query"],
    },
)


@dataclass(frozen=True)
class Moments:
    """The part of `RecallSettings` that says when memory is asked."""

    when: Moment = Moment.START
    most: int = 3
    patience: int = 2
    margin: float = 0.2

    @classmethod
    def of(cls, settings: RecallSettings) -> Self:
        return cls(settings.when, settings.most, settings.patience, settings.margin)

    def left(self, moment: Moment, recalls: Sequence[Recall]) -> bool:
        """Whether this is the moment to watch for, and memory may still be asked."""
        return self.when is moment and len(recalls) < self.most


AT_THE_START = Moments()


def occasion(moment: Moment, step: int, recalls: Sequence[Recall], query: str = "") -> Occasion:
    """The next recall of an episode. What had a place in an earlier one, shown or held out, has had its draw."""
    past = (one.item_id for recall in recalls for one in recall.ranked if one.propensity > 0)
    return Occasion(moment=moment, step=step, number=len(recalls), query=query, past=tuple(dict.fromkeys(past)))


def asked(call: ToolCall | None) -> str | None:
    """What a call for memory asks; None for any other. Without words it asks for the task."""
    if call is None or call.name != RECALL_TOOL.name:
        return None
    query = call.arguments.get("query", "")
    return query.strip() if isinstance(query, str) else ""


def stuck(steps: Sequence[Step], patience: int) -> str | None:
    """What to ask for where the last `patience` steps were actions of one kind that all failed (the same tool, or the
    same verb); else None. It is the task with the action that failed last and what was said to it."""
    last = steps[-patience:]
    if len(last) < patience or not all(failed(step) for step in last):
        return None
    if len({_kind(step) for step in last}) > 1:
        return None
    step = last[-1]
    line = history_line(str(step.action), step.result.info.get("note", ""))
    return f"{step.result.observation.instruction} {line}".strip()


def failed(step: Step) -> bool:
    """Whether an action was refused, or left what is seen as it was."""
    return bool(step.result.info.get("refused")) or step.result.observation.text == step.observation.text


def weak(call: ModelCall, margin: float) -> bool:
    """Whether a draft looks weak (AdaptMI's gate, by the model's own probabilities). Raises `SettingsError` for a
    model that does not tell them."""
    if call.reply.choice is None:
        raise SettingsError(
            f"recall.when is weak, and {call.model} does not say how sure it is of an action",
            "take start, tool or stuck",
        )
    return lead(call.reply.choice) < margin


def lead(choice: Choice) -> float:
    """By how much the most probable option is more probable than the next; 1 where there is only one."""
    best = sorted((math.exp(one) for one in choice.logprobs), reverse=True)
    return best[0] - best[1] if len(best) > 1 else 1.0


def _kind(step: Step) -> str:
    call = step.action.tool_call
    return call.name if call else verb(step.action.text)
