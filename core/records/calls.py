"""Calls of models. A prompt is a list of typed spans, so that any part of it can be left out by type."""

from enum import StrEnum

from wisen.core.records.base import JSON, Record
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
    most probable); with probability `explore` it is drawn uniformly instead. With `reply_schema` the reply's text is
    JSON that this schema admits. A model that cannot honour a field that is set raises `SettingsError`; it never
    ignores it.
    """

    purpose: Purpose
    messages: tuple[Message, ...]
    options: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    temperature: float = 0.0
    explore: float = 0.0
    max_tokens: int = 512
    seed: int | None = None
    reply_schema: JSON | None = None


class SampledTokens(Record):
    """What a backbone read and sampled, token by token; training uses these ids and never re-tokenises.

    prompt_ids: the prompt. span_ranges: [start, end) in prompt_ids, one per span in order; none where they are not
    known.
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
    """What a call took. seconds: of the try that was answered, where that varies from run to run: by remote models.
    cost_usd: by the provider's list price; 0 where none is known."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
            seconds=self.seconds + other.seconds,
        )

    def told(self) -> str:
        """For a person."""
        price = f"${self.cost_usd:,.4f}" if self.cost_usd else "no known price"
        read = f"{self.prompt_tokens:,} tokens read and {self.completion_tokens:,} written"
        return f"{read}, {price}, {self.seconds:,.0f} s waited for"


class Spent(Record):
    """What one model's calls took in all: also those whose answer could not be used, as far as it was told.

    calls: answers that came. usage.seconds: of waiting for them, summed over calls that may have run side by side.
    """

    model: str
    calls: int = 0
    usage: Usage = Usage()


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
