"""What a client may ask for: OpenAI's request bodies, as far as they are honoured here.

A field that would change the answer and cannot be honoured is an error; one that only labels a request is accepted.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from wisen.app.server.messages import AnyMessage, Body, to_record
from wisen.core.records import JSON, Message, ToolSpec
from wisen.models.constraint import JsonText, OneOf, Shape
from wisen.models.sampling import MAX_TOP_LOGPROBS, Sampling


class FunctionSpec(Body):
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    description: str | None = None
    parameters: JSON | None = None
    strict: bool | None = None


class OfferedTool(Body):
    type: Literal["function"]
    function: FunctionSpec


class FunctionName(Body):
    name: str


class NamedTool(Body):
    type: Literal["function"]
    function: FunctionName


class SchemaFormat(Body):
    name: str
    schema_: JSON = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextFormat(Body):
    type: Literal["text", "json_object"]


class JsonSchemaFormat(Body):
    type: Literal["json_schema"]
    json_schema: SchemaFormat


class Structured(Body):
    choice: Annotated[list[str], Field(min_length=1)]


class StreamOptions(Body):
    include_usage: bool = False
    include_obfuscation: Literal[False] | None = None


def _neutral(allowed: Any) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value is None or value == allowed or value in ({}, []):
            return allowed
        raise ValueError(f"is not supported here: leave it out, or at {allowed!r}")

    return BeforeValidator(check)


Zero = Annotated[Any, _neutral(0)]
One = Annotated[Any, _neutral(1)]
Nothing = Annotated[Any, _neutral(None)]
Off = Annotated[Any, _neutral(False)]


class _Asked(Body):
    """What both endpoints share."""

    model: str
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    max_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    structured_outputs: Structured | None = None
    guided_choice: Annotated[list[str], Field(min_length=1)] | None = None
    return_token_ids: bool | None = None  # vLLM's name, and its places in the reply
    n: One = 1
    presence_penalty: Zero = 0
    frequency_penalty: Zero = 0
    logit_bias: Nothing = None
    user: str | None = None
    metadata: JSON | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def choice(self) -> OneOf | None:
        options = self.structured_outputs.choice if self.structured_outputs else self.guided_choice
        return OneOf(options=tuple(options)) if options else None

    def sampling(self, *, limit: int | None, top_logprobs: int, stops: tuple[str, ...] = ()) -> Sampling:
        return Sampling(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=self.seed,
            max_tokens=limit,
            stop=(*self.stops, *stops),
            top_logprobs=top_logprobs,
        )

    @model_validator(mode="after")
    def _agrees(self) -> "_Asked":
        if any(not stop for stop in self.stops) or len(self.stops) > 16:
            raise ValueError("stop takes up to 16 texts, none of them empty")
        if self.structured_outputs and self.guided_choice:
            raise ValueError("structured_outputs and guided_choice are two names for one thing: send one")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options needs stream")
        return self


class ChatRequest(_Asked):
    messages: Annotated[list[AnyMessage], Field(min_length=1)]
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    tools: list[OfferedTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonSchemaFormat | None = None
    modalities: list[Literal["text"]] | None = None

    @model_validator(mode="after")
    def _possible(self) -> "ChatRequest":
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens are two names for one thing: send one")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs")
        names = [tool.function.name for tool in self.tools or ()]
        if len(set(names)) < len(names):
            raise ValueError("two tools have the same name")
        if isinstance(self.tool_choice, NamedTool) and self.tool_choice.function.name not in names:
            raise ValueError(f"tool_choice names {self.tool_choice.function.name!r}, which is not among the tools")
        if self.tool_choice == "required" and not names:
            raise ValueError("tool_choice is required, and there are no tools")
        if self.shape and self.choice:
            raise ValueError("response_format and a choice exclude one another")
        if self.offered and (self.shape or self.choice):
            raise ValueError(
                "a text that is constrained calls no tools: leave the tools out, or set tool_choice to none"
            )
        self.conversation  # noqa: B018  (arguments that are no JSON are refused here)
        return self

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def offered(self) -> tuple[ToolSpec, ...]:
        """The tools that the model is shown."""
        if self.tool_choice == "none":
            return ()
        found = tuple(tool.function for tool in self.tools or ())
        return tuple(
            ToolSpec(name=tool.name, description=tool.description or "", parameters=tool.parameters or {})
            for tool in found
        )

    @property
    def forced(self) -> tuple[ToolSpec, ...]:
        """The tools of which one must be called; none where that is not asked for."""
        if self.tool_choice == "required":
            return self.offered
        if isinstance(self.tool_choice, NamedTool):
            return tuple(tool for tool in self.offered if tool.name == self.tool_choice.function.name)
        return ()

    @property
    def shape(self) -> Shape | None:
        match self.response_format:
            case JsonSchemaFormat(json_schema=given):
                return JsonText(schema_=given.schema_)
            case TextFormat(type="json_object"):
                return JsonText(schema_={"type": "object"})
        return None

    @property
    def conversation(self) -> tuple[Message, ...]:
        return tuple(to_record(message) for message in self.messages)


class CompletionRequest(_Asked):
    prompt: str | list[int] | list[str]
    logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS)
    best_of: One = 1
    echo: Off = False
    suffix: Nothing = None

    @model_validator(mode="after")
    def _one_prompt(self) -> "CompletionRequest":
        if isinstance(self.prompt, list) and len(self.prompt) != 1 and not all(isinstance(p, int) for p in self.prompt):
            raise ValueError("one prompt at a time: send a request for each")
        return self


class AdapterRequest(Body):
    """vLLM's way to load an adapter: from a folder of the server's machine."""

    lora_name: str = Field(min_length=1, max_length=200)
    lora_path: str = Field(min_length=1)
    load_inplace: Off = False  # a name never means another adapter


class RemovalRequest(Body):
    lora_name: str
    lora_int_id: int | None = None  # vLLM's own number: the name says it all
