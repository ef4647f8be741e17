"""A small real HTTP server that speaks OpenAI chat completions and misbehaves on demand. It listens on loopback."""

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

KEY = "test-key"


@dataclass(frozen=True)
class Answer:
    """One answer: a status with a body, after `delay` seconds. `keep` is how many bytes of the body are sent before the
    connection is cut, while the header still promises all of them (None: the whole body; -1: not even a header).
    `chunked`: the body comes in chunks of 16 bytes, `pause` seconds before each, its length unsaid; with `keep` the
    last one never comes."""

    body: str
    status: int = 200
    delay: float = 0.0
    keep: int | None = None
    chunked: bool = False
    pause: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


def reply(
    text: str | None,
    *,
    tool_calls: list[tuple[str, str, str]] | None = None,
    finish: str = "stop",
    model: str = "gpt-4o-mini",
    **how: Any,
) -> Answer:
    """A completion. `tool_calls` are (id, name, arguments as the raw text that the model wrote)."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": raw}}
            for id_, name, raw in tool_calls
        ]
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }
    return Answer(json.dumps(completion), **how)


def error(status: int, message: str, *, code: str | None = None, kind: str = "invalid_request_error") -> Answer:
    return Answer(json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}), status=status)


class FakeOpenAI:
    """Serves the given answers in order; the last one is repeated. `requests` holds the bodies received. path: where it
    is asked, for providers with APIs of their own."""

    def __init__(self, *answers: Answer, path: str = "/v1/chat/completions") -> None:
        self.requests: list[dict[str, Any]] = []
        self._path = path
        self._answers = list(answers)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, body: dict[str, Any], key: str) -> Answer:
        with self._lock:
            self.requests.append(body)
            if key.removeprefix("Bearer ") != KEY:
                return error(401, f"Incorrect API key provided: {key[-4:]}.", code="invalid_api_key")
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.path != outer._path:
                    answer = error(404, f"no such path: {self.path}")
                else:
                    key = self.headers.get("Authorization") or self.headers.get("x-api-key", "")
                    answer = outer._next(body, key)
                time.sleep(answer.delay)
                if answer.keep == -1:
                    self.close_connection = True
                else:
                    self._send(answer)

            def _send(self, answer: Answer) -> None:
                data = answer.body.encode()
                try:
                    self.send_response(answer.status)
                    self.send_header("Content-Type", "application/json")
                    if answer.chunked:
                        self.send_header("Transfer-Encoding", "chunked")
                    else:
                        self.send_header("Content-Length", str(len(data)))
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    for piece in self._pieces(data[: answer.keep], answer):
                        time.sleep(answer.pause)
                        self.wfile.write(piece)
                        self.wfile.flush()
                except OSError:
                    self.close_connection = True  # the client gave up waiting
                if answer.keep is not None:
                    self.close_connection = True

            def _pieces(self, data: bytes, answer: Answer) -> list[bytes]:
                if not answer.chunked:
                    return [data]
                parts = [data[at : at + 16] for at in range(0, len(data), 16)]
                if answer.keep is None:
                    parts.append(b"")
                return [b"%x\r\n%b\r\n" % (len(part), part) for part in parts]

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler
