"""Turns whatever LiteLLM raises into one error that says what was wrong and what to do.

LiteLLM's exception classes cannot be trusted alone: an OpenAI-compatible server's 401 or 503 comes as
`BadRequestError`, and a refused connection as `InternalServerError`. The HTTP status and the chain of causes can.
Classes are compared by name, so that this module imports no provider's library.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from wisen.core.errors import FaultKind, ModelFault, SettingsError

_PREFIX = re.compile(r"^(?:litellm\.)?\w*(?:Error|Exception|Timeout)\s*[:-]\s*")
_SHOWN = 300  # characters of a provider's message that an error quotes

_REFUSED = {"ConnectionRefusedError", "ConnectError", "ClientConnectorError", "ClientConnectorDNSError", "gaierror"}
_CUT = {"ReadError", "RemoteProtocolError", "ClientPayloadError", "ServerDisconnectedError", "ConnectionResetError"}
_TIMEOUT = {"Timeout", "APITimeoutError", "TimeoutError", "TimeoutException", "ReadTimeout", "ConnectTimeout"}
# The last ones are what LiteLLM's own code raises over an answer that lacks what it looks for.
_MALFORMED = {"JSONDecodeError", "APIResponseValidationError", "KeyError", "IndexError", "TypeError", "AttributeError"}
_MALFORMED_SIGNS = (
    "provider returned 'choices'",
    "no 'choices'",
    "invalid response from LLM endpoint",
    "Unable to get json response",
)
# Words of several providers, which LiteLLM knows of some.
_NO_CREDIT = re.compile(r"quota|billing|credit", re.IGNORECASE)
_TOO_LONG = re.compile(r"maximum (?:context|model) length|context (?:length|window)|prompt is too long", re.IGNORECASE)
_FILTERED = re.compile(
    r"content[ _](?:filter|policy|management policy)|safety system|ResponsibleAIPolicy", re.IGNORECASE
)

# What is said of each kind, what to do, and whether another try may help.
_WORDS: Mapping[FaultKind, tuple[str, str, bool]] = {
    FaultKind.PROVIDER: (
        "has no known provider",
        "name it provider/model, such as openai/...",
        False,
    ),
    FaultKind.KEY: ("refused the key", "check api_key and what it may use", False),
    FaultKind.TIMEOUT: ("did not answer in time", "raise timeout, or ask for fewer tokens", True),
    FaultKind.UNREACHABLE: ("cannot be reached", "check api_base, the network, and that the server runs", True),
    FaultKind.CUT: ("cut the connection", "try again; see the server's log if it stays", True),
    FaultKind.MALFORMED: ("sent a malformed answer", "check that api_base is its chat API", True),
    FaultKind.CONTEXT: ("was asked more than fits its context", "shorten the prompt or lower max_tokens", False),
    FaultKind.FILTER: ("refused by its content filter", "the same request will be refused again", False),
    FaultKind.CREDIT: ("has no credit left", "check the account's plan and billing", False),
    FaultKind.NOT_FOUND: ("was not found", "check the model's name and api_base", False),
    FaultKind.RATE_LIMIT: ("has its rate limit reached", "run fewer episodes at once, or wait", True),
    FaultKind.NOT_READY: ("was not ready", "try again", True),
    FaultKind.SERVER: ("failed on its server", "try again later", True),
    FaultKind.REFUSED: ("refused the request", "the message says which part", False),
}


def to_fault(
    model: str, problem: BaseException, *, secret: str = "", where: str = "", outer: BaseException | None = None
) -> ModelFault | SettingsError:
    """The error for `problem`, raised while `model` was called at `where` (its address, if one was given). `secret` is
    struck from the text. `outer` is what the caller was already handling: Python chains it to `problem`, but it says
    nothing about it. `SettingsError` where the provider does not take a field of the request."""
    chain = tuple(_chain(problem, outer))
    status = _status(chain)
    said = _said(problem, secret)
    at = f" at {where}" if where else ""
    if any(type(link).__name__ == "UnsupportedParamsError" for link in chain):
        return SettingsError(
            f"{model} does not take a field of the request: {said}",
            "leave the field unset, or name it in leave_out if the model may run without it",
        )
    kind = _kind(chain, status, str(problem), said, outer)
    if kind is FaultKind.OTHER:
        return ModelFault(f"{model}{at} failed with {type(problem).__name__}: {said}", "see the message", kind=kind)
    what, hint, retryable = _WORDS[kind]
    if kind is FaultKind.KEY and status is None:
        what, hint = "needs a key", "give api_key or set the provider's environment variable"
    code = f" ({status})" if status is not None and kind is not FaultKind.CONTEXT else ""
    return ModelFault(f"{model}{at} {what}{code}: {said}", hint, retryable=retryable, kind=kind)


def _kind(
    chain: tuple[BaseException, ...], status: int | None, raw: str, said: str, outer: BaseException | None
) -> FaultKind:
    names = {type(link).__name__ for link in chain}
    if status is None:
        if "LLM Provider NOT provided" in raw:
            return FaultKind.PROVIDER
        if "Missing credentials" in raw or "AuthenticationError" in names:
            return FaultKind.KEY
        # Before the refused ones: a connection that timed out carries both names.
        if names & _TIMEOUT:
            return FaultKind.TIMEOUT
        if names & _REFUSED:
            return FaultKind.UNREACHABLE
        if names & _CUT:
            return FaultKind.CUT
        if names & _MALFORMED or any(sign in said for sign in _MALFORMED_SIGNS):
            return FaultKind.MALFORMED
    if "ContextWindowExceededError" in names or (status in (400, 413, 422) and _TOO_LONG.search(said)):
        return FaultKind.CONTEXT
    if "ContentPolicyViolationError" in names or (status == 400 and _FILTERED.search(raw)):
        return FaultKind.FILTER
    if status in (401, 403):
        return FaultKind.KEY
    # Several providers speak of a quota that is there again within the minute: those say when.
    spent = status == 429 and _NO_CREDIT.search(said) and retry_after(chain[0], outer=outer) is None
    if status == 402 or spent or (status == 400 and "credit balance" in said):
        return FaultKind.CREDIT
    if status == 404:
        return FaultKind.NOT_FOUND
    if status == 429:
        return FaultKind.RATE_LIMIT
    if status in (408, 409, 425):
        return FaultKind.NOT_READY
    if status is not None:
        return FaultKind.SERVER if status >= 500 else FaultKind.REFUSED
    return FaultKind.OTHER


def retry_after(problem: BaseException, *, outer: BaseException | None = None) -> float | None:
    """Seconds that the provider asks to wait, if it does: in seconds, milliseconds, or as a date (RFC 9110, section
    10.2.3). `outer` as in `to_fault`."""
    for link in _chain(problem, outer):
        headers = getattr(getattr(link, "response", None), "headers", None)
        if headers is None:
            continue
        exact, value = headers.get("retry-after-ms") or "", (headers.get("retry-after") or "").strip()
        if re.fullmatch(r"\d+(\.\d+)?", exact):
            return float(exact) / 1000
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
        if value and (at := _date(value)) is not None:
            return max(0.0, (at - datetime.now(UTC)).total_seconds())
    return None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _chain(problem: BaseException, outer: BaseException | None) -> Iterator[BaseException]:
    link: BaseException | None = problem
    seen: set[int] = set()
    while link is not None and link is not outer and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _status(chain: tuple[BaseException, ...]) -> int | None:
    """The HTTP status with which a server refused. Without a transport's error in the chain LiteLLM's own claim counts,
    unless it is one of those that it makes up (400 where it refused itself, 408 and 500 where no answer came), or that
    of an answer which it could not read."""
    for link in chain:
        if type(link).__name__ in ("HTTPStatusError", "ClientResponseError"):
            sent = getattr(getattr(link, "response", None), "status_code", None) or getattr(link, "status", None)
            if isinstance(sent, int):
                return sent
    claims = (getattr(link, "status_code", None) for link in chain)
    made_up = (400, 401, 408, 500)
    return next((claim for claim in claims if isinstance(claim, int) and claim > 299 and claim not in made_up), None)


def _said(problem: BaseException, secret: str) -> str:
    text = str(problem).strip() or type(problem).__name__
    while (shorter := _PREFIX.sub("", text)) != text:
        text = shorter
    text = _message(text.partition("Traceback (most recent call last)")[0])
    if secret:
        text = text.replace(secret, "***")
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _message(text: str) -> str:
    """Of an error's body in JSON only the message."""
    try:
        body, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
        message = body["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
    return message if isinstance(message, str) and message.strip() else text
