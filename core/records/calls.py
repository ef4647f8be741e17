"""Calls of models. A prompt is a list of typed spans, so that any part of it can be left out by type."""

from enum import StrEnum

from wisen.core.records.base import Record
from wisen.core.records.task import ToolCall, ToolSpec


class SpanKind(StrEnum):
    SYSTEM = "system"
    TASK = "task"
    MEMORY = "memory"
    OBSERVATION = "observation"
    HISTORY = "history"
    TOOL_RESULT = "tool_result"


class Span(Record):
    """A typed piece of a prompt. `item_id` names the memory item that a memory span shows."""

    kind: SpanKind
    text: str
    item_id: str | None = None


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Message(Record):
    role: Role
    spans: tuple[Span, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        return "\n\n".join(span.text for span in self.spans)


class Purpose(StrEnum):
    ACT = "act"
    JUDGE = "judge"
    DISTIL = "distil"
    CRITIQUE = "critique"


class ModelRequest(Record):
    """What to ask. With `options` the reply is one of them (constrained choice), sampled at `temperature` (0 takes the
    most probable); with probability `explore` it is drawn uniformly instead. A model that cannot honour a field that is
    set raises `SettingsError`; it never ignores it."""

    purpose: Purpose
    messages: tuple[Message, ...]
    options: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    temperature: float = 0.0
    explore: float = 0.0
    max_tokens: int = 512
    seed: int | None = None


class SampledTokens(Record):
    """What a local backbone read and sampled, token by token; training uses these ids and never re-tokenises.

    prompt_ids: the prompt. span_ranges: [start, end) in prompt_ids, one per span in order.
    sampled_ids, logprobs: the sampled tokens and their log-probabilities under the distribution sampled from, before
    temperature. allowed: for each sampled token the ids that the constraint admitted there (empty: all).
    entropies: of those distributions, in nats.
    """

    prompt_ids: tuple[int, ...]
    span_ranges: tuple[tuple[int, int], ...]
    sampled_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    allowed: tuple[tuple[int, ...], ...] = ()
    entropies: tuple[float, ...] = ()


class Choice(Record):
    """A constrained choice: log-probability of every option (they sum to one) and the index taken."""

    logprobs: tuple[float, ...]
    index: int
    explored: bool = False


class Usage(Record):
    """What a call took. seconds: of the try that was answered, where that varies from run to run: by remote models."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0


class ModelReply(Record):
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    choice: Choice | None = None
    tokens: SampledTokens | None = None
    usage: Usage = Usage()
    finish_reason: str = "stop"


class ModelCall(Record):
    """One call of a model: calls form a tree (`parent_id`), so that branches and edited contexts need no special
    case."""

    id: str
    model: str
    request: ModelRequest
    reply: ModelReply
    parent_id: str | None = None
