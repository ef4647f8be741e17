"""Any suite of ours as an OpenEnv server (openenv 0.10.0): sessions on `/ws`, tasks and schemas over HTTP.

Every session has an environment of its own. `reset` takes `split` and `index`, or a `task_id`, as the task listing
names them, or only a `seed`; with nothing given the learning tasks follow one another.
"""

import logging
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from wisen.core.errors import WisenError
from wisen.core.listening import listen
from wisen.core.protocols import Described, Environment, Suite
from wisen.core.records import JSON, Observation, Split, StepResult, Task
from wisen.environments.plugs import openenv_wire as wire
from wisen.environments.plugs.openenv_wire import Wrong
from wisen.environments.plugs.spoken import task_of_seed

KIND_OF_SPLIT = {Split.LEARN: "train", Split.GATE: "validation", Split.REPORT: "test"}
MAX_MESSAGE = 16 * 2**20  # bytes
log = logging.getLogger(__name__)


def create_app(suite: Suite, *, sessions: int = 64, per_template: int = 100, token: str = "") -> ASGIApp:
    """An ASGI application over a suite that is started.

    sessions: how many at a time; the next is told that the server is full. per_template: how many tasks of each
    template the listing names. token: what clients must send as `Authorization: Bearer`; empty asks for none.
    """
    return _Gate(_Served(suite, sessions, per_template).app, token)


class _Gate:
    """Lets in who has the token, and no web page of elsewhere: a browser sends where a page came from."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._welcome(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "not admitted"})
        else:
            told = "send `Authorization: Bearer TOKEN`, from no web page of elsewhere"
            await JSONResponse({"detail": told}, 401)(scope, receive, send)

    def _welcome(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"")
        if origin and origin.partition(b"://")[2] != headers.get(b"host"):
            return False
        given = headers.get(b"authorization", b"")
        return not self._expected or scope["path"] == "/health" or secrets.compare_digest(given, self._expected)


class _Served:
    def __init__(self, suite: Suite, sessions: int, per_template: int) -> None:
        self._suite, self._most, self._per_template = suite, sessions, per_template
        self._open = 0
        self._next = 0
        self._listed: dict[Split, tuple[Task, ...]] = {}
        name = "/{name}"
        self.app = Starlette(
            routes=[
                Route("/health", _health),
                Route("/schema", _schema),
                Route("/metadata", self._metadata),
                Route("/list_environments", self._names),
                Route(f"{name}/splits", self._splits),
                Route(f"{name}/tasks", self._tasks, methods=["POST"]),
                Route(f"{name}/num_tasks", self._count, methods=["POST"]),
                Route(f"{name}/task", self._task, methods=["POST"]),
                Route(f"{name}/task_range", self._range, methods=["POST"]),
                Route("/reset", _only_by_socket, methods=["POST"]),
                Route("/step", _only_by_socket, methods=["POST"]),
                WebSocketRoute("/ws", self._session),
            ],
            exception_handlers={HTTPException: _refused, WisenError: _faulty},
        )

    def listed(self, split: Split) -> tuple[Task, ...]:
        if split not in self._listed:
            self._listed[split] = self._suite.tasks(split, self._per_template)
        return self._listed[split]

    def chosen(self, data: JSON) -> Task:
        """The task that a reset asks for. Raises `Wrong`."""
        split, index, seed = data.get("split", Split.LEARN), data.get("index"), data.get("seed")
        if split not in Split.__members__.values():
            raise Wrong(wire.VALIDATION_ERROR, f"there is no split {str(split)[:40]!r}; there are {', '.join(Split)}")
        split = Split(split)
        if (wanted := data.get("task_id")) is not None:
            found = next((task for one in Split for task in self.listed(one) if task.id == wanted), None)
        elif index is not None:
            tasks = self.listed(split)
            found = tasks[index] if _whole(index) and index < len(tasks) else None
            wanted = f"{split} {index}"
        else:
            if seed is not None and not _whole(seed):
                raise Wrong(wire.VALIDATION_ERROR, "seed must be a whole number, 0 or more")
            if seed is None:
                seed, self._next = self._next, self._next + 1
            found = task_of_seed(self._suite, split, seed)
            wanted = f"{split} with the seed {seed}"
        if found is None:
            raise Wrong(
                wire.VALIDATION_ERROR, f"there is no task {str(wanted)[:100]}; POST {self.path}/tasks lists them"
            )
        return found

    @property
    def path(self) -> str:
        return f"/{self._suite.name}"

    async def _session(self, socket: WebSocket) -> None:
        await socket.accept()
        if self._open >= self._most:
            told = f"the server is full: {self._most} sessions are open"
            full = wire.error_message(wire.CAPACITY_REACHED, told, active_sessions=self._open, max_sessions=self._most)
            with suppress(WebSocketDisconnect, RuntimeError):
                await socket.send_text(wire.dumped(full))
                await socket.close(1013)
            return
        self._open += 1
        session = _Session(self)
        try:
            while (reply := await session.answer(await socket.receive_text())) is not None:
                await socket.send_text(reply)
            await socket.close()
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass  # the client has gone, or sent bytes where texts belong
        finally:
            await session.close()
            self._open -= 1

    async def make(self) -> Environment:
        return await self._suite.create()

    async def _metadata(self, request: Request) -> JSONResponse:
        about = self._suite.card().summary if isinstance(self._suite, Described) else f"the suite {self._suite.name}"
        first = self.listed(Split.LEARN)[:1]
        version = first[0].version if first else ""
        return JSONResponse({"name": self._suite.name, "description": about, "version": version})

    async def _names(self, request: Request) -> JSONResponse:
        return JSONResponse([self._suite.name])

    async def _splits(self, request: Request) -> JSONResponse:
        self._named(request)
        return JSONResponse([{"name": split.value, "type": KIND_OF_SPLIT[split]} for split in Split])

    async def _tasks(self, request: Request) -> JSONResponse:
        tasks = await self._of_split(request)
        return JSONResponse({"tasks": [_spec(task) for task in tasks], "env_name": self._suite.name})

    async def _count(self, request: Request) -> JSONResponse:
        return JSONResponse({"num_tasks": len(await self._of_split(request))})

    async def _task(self, request: Request) -> JSONResponse:
        tasks = await self._of_split(request)
        index: Any = (await _body(request)).get("index")
        if not _whole(index) or index >= len(tasks):
            raise HTTPException(400, "Invalid task index")
        return JSONResponse({"task": _spec(tasks[index])})

    async def _range(self, request: Request) -> JSONResponse:
        tasks, body = await self._of_split(request), await _body(request)
        ends = [body.get("start"), body.get("stop")]
        if any(end is not None and type(end) is not int for end in ends):
            raise HTTPException(422, "start and stop are whole numbers")
        return JSONResponse({"tasks": [_spec(task) for task in tasks[slice(*ends)]]})

    def _named(self, request: Request) -> None:
        name = request.path_params["name"]
        if name.lower() != self._suite.name.lower():
            raise HTTPException(404, f"unknown environment {name[:100]!r}")

    async def _of_split(self, request: Request) -> tuple[Task, ...]:
        self._named(request)
        split: Any = (await _body(request)).get("split")
        if split not in Split.__members__.values():
            raise HTTPException(422, f"split must be one of {', '.join(Split)}")
        return self.listed(Split(split))


class _Session:
    """One client, one environment. A message that cannot be taken gets an error and changes nothing."""

    def __init__(self, served: _Served) -> None:
        self._served = served
        self._environment: Environment | None = None
        self._task: Task | None = None
        self._seen: Observation | None = None  # None: no episode is open
        self._episode: str | None = None
        self._steps = 0

    async def answer(self, text: str) -> str | None:
        """The reply to one message; None after `close`."""
        try:
            message = wire.loaded(text)
            data = message.get("data") or {}
            match message.get("type"):
                case "step":
                    reply = await self._step(data)
                case "reset":
                    reply = await self._reset(data)
                case "state":
                    reply = {"type": "state", "data": self._state()}
                case "close":
                    return None
                case other:
                    told = f"there is no message of type {str(other)[:40]!r}; there are reset, step, state and close"
                    raise Wrong(wire.UNKNOWN_TYPE, told)
            return wire.dumped(reply)
        except Wrong as wrong:
            return wire.dumped(wire.error_message(wrong.code, str(wrong)))
        except WisenError as fault:
            broken = await self._broke()
            return wire.dumped(wire.error_message(wire.EXECUTION_ERROR, str(fault), **broken))
        except Exception as error:  # a mistake in an environment ends its episode, not the server
            log.exception("the environment broke")
            told = f"the environment broke: {type(error).__name__}: {str(error)[:200]}"
            broken = await self._broke()
            return wire.dumped(wire.error_message(wire.EXECUTION_ERROR, told, **broken))

    async def _reset(self, data: Any) -> JSON:
        if not isinstance(data, dict):
            raise Wrong(wire.VALIDATION_ERROR, "what a reset takes is an object")
        task = self._served.chosen(data)
        self._seen = None
        if self._environment is None:
            self._environment = await self._served.make()
        seen = await self._environment.reset(task)
        self._task, self._seen, self._steps = task, seen, 0
        self._episode = str(data.get("episode_id") or task.id)[:255]
        return wire.observation_message(seen, task)

    async def _step(self, data: Any) -> JSON:
        if self._seen is None or self._environment is None or self._task is None:
            raise Wrong(wire.EXECUTION_ERROR, "no episode is open: send a reset first")
        action = wire.read_action(data, self._seen)
        result: StepResult = await self._environment.step(action)
        self._steps += 1
        self._seen = None if result.terminated or result.truncated else result.observation
        return wire.observation_message(result, self._task)

    def _state(self) -> JSON:
        task_id = self._task.id if self._task else ""
        return {"episode_id": self._episode, "step_count": self._steps, "task_id": task_id}

    async def _broke(self) -> JSON:
        """Put the broken environment away; the next reset has another."""
        self._seen = None
        await self.close()
        return {wire.BROKEN: True}

    async def close(self) -> None:
        environment, self._environment = self._environment, None
        if environment is not None:
            try:
                await environment.close()
            except Exception:
                log.exception("an environment could not be closed")


def _spec(task: Task) -> JSON:
    return task.model_dump(mode="json", exclude={"suite"})


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


async def _body(request: Request) -> JSON:
    try:
        return wire.loaded(await request.body())
    except Wrong as wrong:
        raise HTTPException(422, str(wrong)) from wrong


async def _health(request: Request) -> JSONResponse:
    return JSONResponse({"status": "healthy"})


async def _schema(request: Request) -> JSONResponse:
    return JSONResponse(
        {"action": wire.ACTION_SCHEMA, "observation": wire.OBSERVATION_SCHEMA, "state": wire.STATE_SCHEMA}
    )


async def _only_by_socket(request: Request) -> JSONResponse:
    return JSONResponse({"detail": "an episode lives on a WebSocket: connect to /ws"}, 501)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code)


async def _faulty(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 500)


async def serve(
    suite: Suite, listener: socket.socket, *, on_ready: Callable[[], None] = lambda: None, **options: Any
) -> None:
    """Start the suite and serve it until cancelled, then stop it. `options` are those of `create_app`."""
    try:
        await suite.start()
        await listen(
            create_app(suite, **options),
            listener,
            on_ready=on_ready,
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE,
            ws_per_message_deflate=False,
        )
    finally:
        await suite.stop()
