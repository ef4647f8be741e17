"""Any provider's chat model by its LiteLLM name."""

import asyncio
import logging
import os
import random
import sys
import time
from collections.abc import Collection
from typing import Any, Literal

from wisen.core.errors import FaultKind, ModelFault, SettingsError, UnreadableReply
from wisen.core.protocols import Capability
from wisen.core.records import ModelReply, ModelRequest, Spent, Usage
from wisen.models.remote_faults import retry_after, to_fault
from wisen.models.remote_tokens import asked_tokens, sampled_tokens
from wisen.models.remote_wire import checked_text, from_tool_calls, to_messages, to_response_format, to_tools

log = logging.getLogger(__name__)

_LEAVE_OUT = frozenset({"temperature", "seed"})
_LONGEST_WAIT = 60.0  # seconds; a provider that asks for more is not waited for


class LiteLLMModel:
    """A remote chat model, such as "openai/gpt-4o-mini", "anthropic/claude-...", "ollama_chat/llama3".

    api_base: the provider's address, where it is not the usual one. api_key: else the provider's environment variable.
    timeout: seconds for one try. retries: further tries after a fault that may pass; they wait `backoff` seconds,
    doubled each time, with jitter, or as long as the provider asks. tools: False where the model has no tool calls.
    tool_choice: "required" makes it call one, where the provider can; "auto", the providers' own default, is not sent.
    max_tokens: of a reply, instead of what each request asks for (a model that thinks first needs more).
    leave_out: of "temperature" and "seed", those that the model does not take and may run without; the seed is left out
    unless you say otherwise, since most providers take none. tokens: ask for sampled token ids and log-probabilities,
    which vLLM and `wisen models serve` send: replies then carry `tokens`, and can be trained on. schemas: the provider
    takes JSON schemas for replies. Raises `SettingsError` for values outside their range.
    """

    def __init__(
        self,
        name: str,
        *,
        api_base: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        retries: int = 2,
        backoff: float = 0.5,
        tools: bool = True,
        tool_choice: Literal["auto", "required"] = "auto",
        max_tokens: int | None = None,
        leave_out: Collection[str] = ("seed",),
        tokens: bool = False,
        schemas: bool = False,
    ) -> None:
        if not name.strip():
            raise SettingsError("the remote model has no name", "give its LiteLLM name, such as openai/gpt-4o-mini")
        if timeout <= 0 or retries < 0 or backoff < 0:
            raise SettingsError("timeout must be above 0, retries and backoff at least 0")
        if unknown := set(leave_out) - _LEAVE_OUT:
            raise SettingsError(f"cannot leave out {sorted(unknown)}", f"it may be of {sorted(_LEAVE_OUT)}")
        if tokens and tool_choice == "required":
            raise SettingsError(
                "a required tool call is written under a grammar, which no server tells beside its log-probabilities",
                'set remote.tool_choice to "auto", or remote.tokens to false',
            )
        self._name = name
        self._api_base = api_base
        self._api_key = api_key
        self._timeout = timeout
        self._retries = retries
        self._backoff = backoff
        self._tools = tools
        self._tool_choice = tool_choice
        self._max_tokens = max_tokens
        self._leave_out = frozenset(leave_out)
        self._tokens, self._schemas = tokens, schemas
        self._price_known = True
        self._spent = Spent(model=name)

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> frozenset[Capability]:
        optional = {
            Capability.TOOLS: self._tools,
            Capability.TOKENS: self._tokens,
            Capability.SCHEMA: self._schemas,
        }
        return frozenset({Capability.CHAT, *(each for each, has in optional.items() if has)})

    @property
    def spent(self) -> Spent:
        """All answers so far, also those that were of no use: they are paid for."""
        return self._spent

    async def call(self, request: ModelRequest) -> ModelReply:
        """Answer one request. Raises `SettingsError` for constrained choice, exploration, tools where they are off, and
        any field that the provider does not take; `ModelFault` for all else, after the retries."""
        fields = self._fields(request)
        outer = sys.exception()
        litellm = await asyncio.to_thread(load_litellm)  # seconds of import: not on the event loop
        for attempt in range(self._retries + 1):
            wait, begun = None, time.monotonic()
            try:
                response = await self._complete(litellm, fields, outer)
                usage = self._usage(response, time.monotonic() - begun)
                self._spent = Spent(model=self._name, calls=self._spent.calls + 1, usage=self._spent.usage + usage)
                return self._reply(response, usage, tokens="logprobs" in fields)
            except ModelFault as fault:
                if not fault.retryable or attempt == self._retries:
                    raise
                wait = retry_after(fault, outer=outer)
                if wait is not None and wait > _LONGEST_WAIT:
                    raise
                log.info("try %d of %d: %s", attempt + 1, self._retries + 1, fault)
            if wait is None:
                wait = min(_LONGEST_WAIT, self._backoff * 2**attempt) * random.uniform(0.5, 1.0)
            await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def close(self) -> None:
        """Nothing to close: LiteLLM keeps one pool of connections for the whole process, which other models (and the
        application around us) may be using; it closes the pool at exit."""

    def _fields(self, request: ModelRequest) -> dict[str, Any]:
        if request.options:
            raise SettingsError(
                f"{self._name} cannot choose among options", "offer them as tools or in the text, or use a local model"
            )
        if request.explore:
            raise SettingsError(f"{self._name} cannot explore", "set explore to 0, or use a local model")
        if request.tools and not self._tools:
            raise SettingsError(f"{self._name} has its tool calls turned off", "ask in text")
        if request.reply_schema is not None and not self._schemas:
            raise SettingsError(f"{self._name} is not known to take JSON schemas", "set remote.schemas to true")
        fields: dict[str, Any] = {
            "model": self._name,
            "messages": to_messages(request.messages),
            "temperature": request.temperature,
            "max_tokens": self._max_tokens or request.max_tokens,
            "timeout": self._timeout,
            "num_retries": 0,  # ours are the only retries, here and in the provider's own client
            "max_retries": 0,
        }
        if request.tools:
            fields["tools"] = to_tools(request.tools)
            if self._tool_choice != "auto":
                fields["tool_choice"] = self._tool_choice
        if request.reply_schema is not None:
            fields["response_format"] = to_response_format(request.reply_schema)
        elif self._tokens:  # under a schema they would be relative to what it admits
            fields |= asked_tokens()
        if request.seed is not None:
            fields["seed"] = request.seed
        if self._api_base is not None:
            fields["api_base"] = self._api_base
        if self._api_key is not None:
            fields["api_key"] = self._api_key
        return {key: value for key, value in fields.items() if key not in self._leave_out}

    async def _complete(self, litellm: Any, fields: dict[str, Any], outer: BaseException | None) -> Any:
        try:
            # LiteLLM's timeout bounds single reads with some providers; this one bounds the whole.
            async with asyncio.timeout(self._timeout):
                return await litellm.acompletion(**fields)
        except Exception as problem:  # a foreign library with dozens of providers: it may raise anything
            raise to_fault(
                self._name, problem, secret=self._api_key or "", where=self._api_base or "", outer=outer
            ) from problem

    def _reply(self, response: Any, usage: Usage, *, tokens: bool) -> ModelReply:
        if not response.choices:
            raise ModelFault(
                f"{self._name} sent no choice",
                "check that api_base is its chat API",
                retryable=True,
                kind=FaultKind.MALFORMED,
            )
        choice = response.choices[0]
        finish = choice.finish_reason or "stop"
        cut = finish == "length"
        refusal = (getattr(choice.message, "provider_specific_fields", None) or {}).get("refusal")
        if finish == "content_filter" or refusal:
            said = f": {refusal}" if refusal else ""
            raise ModelFault(
                f"{self._name} refused by its content filter{said}",
                "it may refuse the same again",
                kind=FaultKind.FILTER,
            )
        text = checked_text(self._name, choice.message.content or "")
        calls = from_tool_calls(self._name, choice.message.tool_calls or (), cut=cut)
        if not text.strip() and not calls:
            said = f"{self._name} sent an empty reply"
            if cut:
                hint = "it used all its tokens before the answer: raise max_tokens"
                raise ModelFault(said, hint, kind=FaultKind.TRUNCATED)
            raise UnreadableReply(said, "try another model", wrote="", kind=FaultKind.EMPTY)
        return ModelReply(
            text=text,
            tool_calls=calls,
            tokens=sampled_tokens(self._name, response) if tokens else None,
            usage=usage,
            finish_reason=finish,
        )

    def _usage(self, response: Any, seconds: float) -> Usage:
        usage = getattr(response, "usage", None)
        cost = (getattr(response, "_hidden_params", None) or {}).get("response_cost")
        if cost is None and self._price_known:
            self._price_known = False
            log.warning("LiteLLM knows no price for %s: its calls count as free", self._name)
        return Usage(
            prompt_tokens=getattr(usage, "prompt_tokens", None) or 0,
            completion_tokens=getattr(usage, "completion_tokens", None) or 0,
            cost_usd=cost or 0.0,
            seconds=round(seconds, 3),
        )


def load_litellm() -> Any:
    """LiteLLM, imported on the first call (it takes seconds), without its downloads, `.env` files and banners. Raises
    `SettingsError` where it is set to drop or rewrite what a provider does not take."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else the import fetches a price list
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else the import loads a .env file into this process
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False  # this version has none; earlier ones had it on
    for logger in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)  # its errors reach us as exceptions
    if litellm.drop_params or litellm.modify_params:
        raise SettingsError(
            "LiteLLM is set to drop or rewrite what a provider does not take",
            "turn off litellm.drop_params and litellm.modify_params (or LITELLM_DROP_PARAMS, LITELLM_MODIFY_PARAMS)",
        )
    return litellm
