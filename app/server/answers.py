"""From a request to its answer: starts the generation, reads its tokens, and tells them whole or in chunks."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from wisen.app.server.replies import (
    DONE,
    Envelope,
    chat_delta,
    chat_logprobs,
    chat_message,
    error_body,
    event,
    text_logprobs,
    usage,
)
from wisen.app.server.wire import ChatRequest, CompletionRequest
from wisen.core.errors import ModelFault
from wisen.core.ids import content_id
from wisen.models.constraint import CallText
from wisen.models.decoding import Generated, Generation
from wisen.models.local import LocalModel
from wisen.models.toolcalls import OPENING, Delta, FreeReply, PlainReply, RequiredReply

Reader = PlainReply | FreeReply | RequiredReply


@dataclass(frozen=True)
class _Step:
    token: Generated
    deltas: list[Delta]
    finish: str  # OpenAI's finish_reason, on the last step


async def begin_chat(model: LocalModel, asked: ChatRequest) -> "Answer":
    """Raises what `LocalModel.start` raises: everything that is wrong with a request is said before the first byte."""
    forced = asked.forced
    prompt = await model.chat_prompt(asked.conversation, asked.offered, OPENING if forced else "")
    # A text that a grammar or a choice makes ends by itself; a format's own stop strings may be a part of it.
    shape = CallText(tools=forced) if forced else asked.choice or asked.shape
    sampling = asked.sampling(
        limit=asked.limit, top_logprobs=asked.top_logprobs or 0, stops=() if shape else model.chat_stops
    )
    generation = await model.start(prompt, sampling, shape)
    reader = _reader(asked, generation, free=shape is None)
    return ChatAnswer(generation, reader, asked, logprobs=bool(asked.logprobs))


async def begin_completion(model: LocalModel, asked: CompletionRequest) -> "Answer":
    given: Any = asked.prompt
    match given:
        case str(text) | [str(text)]:
            prompt = await model.text_prompt(text)
        case ids:
            prompt = tuple(ids)
    sampling = asked.sampling(limit=asked.max_tokens, top_logprobs=asked.logprobs or 0)
    generation = await model.start(prompt, sampling, asked.choice)
    return CompletionAnswer(generation, PlainReply(), asked, logprobs=asked.logprobs is not None)


def _reader(asked: ChatRequest, generation: Generation, *, free: bool) -> Reader:
    def name_call(index: int) -> str:
        # Derived, so that an equal request with an equal seed is an equal answer.
        return "call_" + content_id("", generation.prompt_ids, generation.seed, index).lstrip("-")

    if asked.forced:
        return RequiredReply(name_call)
    if asked.offered and free:
        names = [tool.name for tool in asked.offered]
        return FreeReply(names, name_call, single=asked.parallel_tool_calls is False)
    return PlainReply()


class Answer:
    """One answer on its way. Exactly one of `whole` and `chunks` is used; both stop the computing when left early."""

    prefix, kind, chunk_kind = "", "", ""
    ids_in_choice = False

    def __init__(
        self, generation: Generation, reader: Reader, asked: ChatRequest | CompletionRequest, *, logprobs: bool
    ) -> None:
        self._generation, self._reader, self._asked, self._logprobs = generation, reader, asked, logprobs
        self._completion_tokens = 0

    async def whole(self) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        steps = []
        async with aclosing(self._steps()) as arriving:
            async for step in arriving:
                steps.append(step)
        deltas = [delta for step in steps for delta in step.deltas]
        tokens = [step.token for step in steps]
        choice = self._whole_choice(deltas, tokens) | {
            "index": 0,
            "finish_reason": steps[-1].finish,
            **self._ids(tokens),
        }
        return self._enveloped(Envelope(self.prefix, self.kind, self._asked.model), choice, usage=self._usage())

    async def chunks(self) -> AsyncGenerator[str, None]:
        """Server-sent events. A fault on the way is told as an event, and nothing comes after it."""
        options = self._asked.stream_options
        counted = options is not None and options.include_usage
        envelope = Envelope(self.prefix, self.chunk_kind, self._asked.model)
        blank: dict[str, Any] = {"usage": None} if counted else {}
        try:
            first = True
            async with aclosing(self._choices()) as choices:
                async for choice in choices:
                    yield event(self._enveloped(envelope, choice, first=first, **blank))
                    first = False
        except ModelFault as fault:
            yield event(error_body(str(fault), kind="server_error"))
            return
        if counted:
            yield event(envelope.of([], usage=self._usage()))
        yield DONE

    async def leave(self) -> None:
        """Stop the computing, whether or not the answer was begun."""
        await self._generation.aclose()

    async def _steps(self) -> AsyncGenerator[_Step, None]:
        called = False
        async with aclosing(self._generation) as tokens:
            async for token in tokens:
                self._completion_tokens += 1
                deltas = self._reader.push(token.text)
                finish = token.finish or ("stop" if self._reader.full else "")
                if finish:
                    deltas = deltas + self._reader.flush()
                called = called or any(delta.index is not None for delta in deltas)
                yield _Step(token, deltas, "tool_calls" if called and finish == "stop" else finish)
                if finish:
                    return

    async def _choices(self) -> AsyncGenerator[dict[str, Any], None]:
        for choice in self._opening():
            yield choice
        untold: list[Generated] = []  # tokens whose text is still held back
        async with aclosing(self._steps()) as steps:
            async for step in steps:
                untold.append(step.token)
                for delta in step.deltas:
                    yield self._chunk(delta, untold, None) | self._ids(untold)
                    untold = []
                if step.finish:
                    yield self._chunk(None, untold, step.finish) | self._ids(untold)

    def _usage(self) -> dict[str, int]:
        return usage(len(self._generation.prompt_ids), self._completion_tokens)

    def _ids(self, tokens: Sequence[Generated]) -> dict[str, Any]:
        """The ids of a choice's tokens, where they were asked for."""
        return {"token_ids": [each.token.id for each in tokens]} if self._asked.return_token_ids else {}

    def _enveloped(
        self, envelope: Envelope, choice: dict[str, Any], *, first: bool = True, **more: Any
    ) -> dict[str, Any]:
        """A body, with the prompt's ids where vLLM has them: a chat's beside the choices, a completion's in its own."""
        if not (first and self._asked.return_token_ids):
            return envelope.of([choice], **more)
        ids = {"prompt_token_ids": list(self._generation.prompt_ids)}
        if self.ids_in_choice:
            return envelope.of([choice | ids], **more)
        return envelope.of([choice], **ids, **more)

    def _opening(self) -> list[dict[str, Any]]:
        return []

    def _chunk(self, delta: Delta | None, tokens: list[Generated], finish: str | None) -> dict[str, Any]:
        raise NotImplementedError

    def _whole_choice(self, deltas: list[Delta], tokens: list[Generated]) -> dict[str, Any]:
        raise NotImplementedError


class ChatAnswer(Answer):
    prefix, kind, chunk_kind = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def _opening(self) -> list[dict[str, Any]]:
        delta = {"role": "assistant", "content": "", "refusal": None}
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]

    def _chunk(self, delta: Delta | None, tokens: list[Generated], finish: str | None) -> dict[str, Any]:
        logprobs = chat_logprobs(tokens) if self._logprobs and tokens else None
        told = {} if delta is None else chat_delta(delta)
        return {"index": 0, "delta": told, "logprobs": logprobs, "finish_reason": finish}

    def _whole_choice(self, deltas: list[Delta], tokens: list[Generated]) -> dict[str, Any]:
        return {"message": chat_message(deltas), "logprobs": chat_logprobs(tokens) if self._logprobs else None}


class CompletionAnswer(Answer):
    prefix, kind, chunk_kind = "cmpl", "text_completion", "text_completion"
    ids_in_choice = True

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._offset = 0

    def _chunk(self, delta: Delta | None, tokens: list[Generated], finish: str | None) -> dict[str, Any]:
        logprobs = text_logprobs(tokens, self._offset) if self._logprobs and tokens else None
        self._offset += sum(len(token.text) for token in tokens)
        return {"index": 0, "text": delta.text if delta else "", "logprobs": logprobs, "finish_reason": finish}

    def _whole_choice(self, deltas: list[Delta], tokens: list[Generated]) -> dict[str, Any]:
        logprobs = text_logprobs(tokens, 0) if self._logprobs else None
        return {"text": "".join(delta.text for delta in deltas), "logprobs": logprobs}
