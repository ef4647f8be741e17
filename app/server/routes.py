"""The endpoint's paths, who may use them, and OpenAI's error bodies with the right status."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from wisen.app.server.answers import Answer, begin_chat, begin_completion
from wisen.app.server.messages import Body
from wisen.app.server.replies import dump, error_body
from wisen.app.server.wire import AdapterRequest, ChatRequest, CompletionRequest, RemovalRequest
from wisen.core.errors import ModelFault, WisenError
from wisen.models.engine.engine import ContextOverflow, NoAdapter
from wisen.models.local import LocalModel

MAX_BODY = 16 * 2**20  # bytes
_DRAINED = 8  # times that; most clients read no answer before they have sent their body
B = TypeVar("B", bound=Body)


class Refusal(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = error_body(message, kind=kind, code=code, param=param)


def create_app(
    models: Mapping[str, LocalModel], token: str, *, max_body: int = MAX_BODY, runtime_adapters: bool = False
) -> ASGIApp:
    """An ASGI application that serves each model under its name. One model may have several names. runtime_adapters:
    clients may load adapters from this machine's folders, and remove them."""
    return _Gate(_Endpoint(models, max_body, runtime_adapters).app, token)


class _Gate:
    """Asks for the token before anything of a request is read."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if scope["path"] == "/health" or secrets.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
            return
        what = "Incorrect API key provided." if given else "You sent no API key."
        body = error_body(
            f"{what} Send `Authorization: Bearer TOKEN`.", kind="invalid_request_error", code="invalid_api_key"
        )
        await _json(body, 401, {"www-authenticate": "Bearer"})(scope, receive, send)


class _Endpoint:
    def __init__(self, models: Mapping[str, LocalModel], max_body: int, runtime_adapters: bool) -> None:
        self._models, self._max_body = dict(models), max_body
        self._created = int(time.time())
        routes = [
            Route("/health", self._health),
            Route("/v1/models", self._list),
            Route("/v1/models/{name:path}", self._show),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/completions", self._complete, methods=["POST"]),
        ]
        if runtime_adapters:  # vLLM's paths
            routes += [
                Route("/v1/load_lora_adapter", self._load, methods=["POST"]),
                Route("/v1/unload_lora_adapter", self._unload, methods=["POST"]),
            ]
        handlers: Any = {
            Refusal: _refused,
            WisenError: _faulty,
            ValidationError: _invalid,
            HTTPException: _plain,
            Exception: _broken,
        }
        self.app = Starlette(routes=routes, exception_handlers=handlers)

    async def _health(self, request: Request) -> Response:
        return _json({"status": "ok"})

    async def _list(self, request: Request) -> Response:
        return _json({"object": "list", "data": [self._described(name) for name in self._models]})

    async def _show(self, request: Request) -> Response:
        name = request.path_params["name"]
        self._model(name)
        return _json(self._described(name))

    async def _chat(self, request: Request) -> Response:
        asked = await self._asked(request, ChatRequest)
        return await _answered(request, await begin_chat(self._model(asked.model), asked), stream=bool(asked.stream))

    async def _complete(self, request: Request) -> Response:
        asked = await self._asked(request, CompletionRequest)
        answer = await begin_completion(self._model(asked.model), asked)
        return await _answered(request, answer, stream=bool(asked.stream))

    async def _load(self, request: Request) -> Response:
        asked = await self._asked(request, AdapterRequest)
        name = asked.lora_name
        if name in self._models and not self._models[name].adapter:
            raise Refusal(400, f"`{name}` is the name of a model.", param="lora_name")
        base = next(iter(self._models.values()))  # it is never removed
        self._models[name] = await base.with_adapter(name, Path(asked.lora_path).expanduser())
        return Response(f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, request: Request) -> Response:
        asked = await self._asked(request, RemovalRequest)
        name = asked.lora_name
        if name not in self._models or not self._models[name].adapter:
            raise _not_found(f"The adapter `{name}` does not exist.", "lora_name")
        await self._models.pop(name).remove()
        return Response(f"Success: LoRA adapter '{name}' removed successfully.")

    def _model(self, name: str) -> LocalModel:
        if name not in self._models:
            raise _not_found(f"The model `{name}` does not exist; here are: {', '.join(self._models)}", "model")
        return self._models[name]

    def _described(self, name: str) -> dict[str, Any]:
        return {
            "id": name,
            "object": "model",
            "created": self._created,
            "owned_by": "wisen",
            "max_model_len": self._models[name].context,
            "parent": self._base(self._models[name]),
        }

    def _base(self, model: LocalModel) -> str | None:
        """What an adapter is served over."""
        same = (name for name, each in self._models.items() if each.engine is model.engine and not each.adapter)
        return next(same, None) if model.adapter else None

    async def _asked(self, request: Request, shape: type[B]) -> B:
        data, size = bytearray(), 0
        async for part in request.stream():
            size += len(part)
            if size <= self._max_body:
                data += part
            elif size > _DRAINED * self._max_body:
                break
        if size > self._max_body:
            raise Refusal(413, f"The body is larger than {self._max_body} bytes.", code="request_too_large")
        return shape.model_validate_json(bytes(data))


def _not_found(message: str, param: str) -> Refusal:
    return Refusal(404, message, code="model_not_found", param=param)


class _Events(StreamingResponse):
    """Server-sent events; however the response ends, the computing does too."""

    def __init__(self, answer: Answer) -> None:
        self._chunks = answer.chunks()
        super().__init__(self._chunks, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.leave()
            await self._chunks.aclose()


async def _answered(request: Request, answer: Answer, *, stream: bool) -> Response:
    if stream:
        return _Events(answer)
    whole, gone = asyncio.create_task(answer.whole()), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((whole, gone), return_when=asyncio.FIRST_COMPLETED)
        return _json(whole.result()) if whole.done() else Response(status_code=499)
    finally:
        whole.cancel()
        gone.cancel()
        await answer.leave()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(dump(body), status, headers, media_type="application/json")


async def _refused(request: Request, refusal: Refusal) -> Response:
    return _json(refusal.body, refusal.status, {"connection": "close"} if refusal.status == 413 else None)


async def _faulty(request: Request, error: WisenError) -> Response:
    if isinstance(error, ContextOverflow):
        body = error_body(str(error), kind="invalid_request_error", code="context_length_exceeded", param="messages")
        return _json(body, 400)
    if isinstance(error, NoAdapter):  # removed since its name was looked up
        body = error_body(str(error), kind="invalid_request_error", code="model_not_found", param="model")
        return _json(body, 404)
    if isinstance(error, ModelFault):
        return _json(error_body(str(error), kind="server_error"), 503 if error.retryable else 500)
    return _json(error_body(str(error), kind="invalid_request_error"), 400)


async def _invalid(request: Request, error: ValidationError) -> Response:
    problems = [
        (".".join(str(part) for part in each["loc"]), _said(each["type"], each["msg"])) for each in error.errors()
    ]
    message = "; ".join(f"{where}: {what}" if where else what for where, what in problems[:3])
    return _json(error_body(message, kind="invalid_request_error", param=problems[0][0] or None), 400)


def _said(kind: str, message: str) -> str:
    return "this field is not known here" if kind == "extra_forbidden" else message.removeprefix("Value error, ")


async def _plain(request: Request, error: HTTPException) -> Response:
    message = f"{request.method} {request.url.path}: {error.detail}"
    return _json(error_body(message, kind="invalid_request_error"), error.status_code, error.headers)


async def _broken(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=499)
    return _json(error_body("The server failed; its log says where.", kind="server_error"), 500)
