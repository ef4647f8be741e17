"""Turns whatever LiteLLM raises into one error that says what was wrong and what to do.

LiteLLM's exception classes cannot be trusted alone: an OpenAI-compatible server's 401 or 503 comes as
`BadRequestError`, and a refused connection as `InternalServerError`. The HTTP status and the chain of causes can.
Classes are compared by name, so that this module imports no provider's library.
"""

import re
from collections.abc import Iterator

from wisen.core.errors import ModelFault, SettingsError

_PREFIX = re.compile(r"^(?:litellm\.)?\w*(?:Error|Exception|Timeout)\s*[:-]\s*")
_SHOWN = 300  # characters of a provider's message that an error quotes

_REFUSED = {"ConnectionRefusedError", "ConnectError", "ClientConnectorError", "ClientConnectorDNSError", "gaierror"}
_CUT = {"ReadError", "RemoteProtocolError", "ClientPayloadError", "ServerDisconnectedError", "ConnectionResetError"}
_TIMEOUT = {"Timeout", "APITimeoutError", "TimeoutError", "TimeoutException", "ReadTimeout", "ConnectTimeout"}
_MALFORMED = {"JSONDecodeError", "APIResponseValidationError"}
_MALFORMED_SIGNS = ("provider returned 'choices'", "invalid response from LLM endpoint")


def to_fault(
    model: str, problem: BaseException, *, secret: str = "", where: str = "", outer: BaseException | None = None
) -> ModelFault | SettingsError:
    """The error for `problem`, raised while `model` was called at `where` (its address, if one was given). `secret` is
    struck from the text. `outer` is what the caller was already handling: Python chains it to `problem`, but it says
    nothing about it. `SettingsError` where the provider does not take a field of the request."""
    chain = tuple(_chain(problem, outer))
    names = {type(link).__name__ for link in chain}
    status = _status(chain)
    said = _said(problem, secret)
    at = f" at {where}" if where else ""

    def fault(what: str, hint: str, *, retryable: bool = False) -> ModelFault:
        return ModelFault(f"{model}{at} {what}: {said}", hint, retryable=retryable)

    if "UnsupportedParamsError" in names:
        return SettingsError(
            f"{model} does not take a field of the request: {said}",
            "leave the field unset, or name it in leave_out if the model may run without it",
        )
    if status is None:
        if "LLM Provider NOT provided" in str(problem):
            return fault("has no known provider", "name it provider/model, such as openai/... or ollama/...")
        if "Missing credentials" in str(problem) or "AuthenticationError" in names:
            return fault("needs a key", "give api_key or set the provider's environment variable")
        # Before the refused ones: a connection that timed out carries both names.
        if names & _TIMEOUT:
            return fault("did not answer in time", "raise timeout, or ask for fewer tokens", retryable=True)
        if names & _REFUSED:
            return fault("cannot be reached", "check api_base, the network, and that the server runs", retryable=True)
        if names & _CUT:
            return fault("cut the connection", "try again; see the server's log if it stays", retryable=True)
        if names & _MALFORMED or any(sign in said for sign in _MALFORMED_SIGNS):
            return fault("sent a malformed answer", "check that api_base is its chat API", retryable=True)
    if "ContextWindowExceededError" in names:
        return fault("was asked more than fits its context", "shorten the prompt or lower max_tokens")
    if "ContentPolicyViolationError" in names:
        return fault("refused by its content filter", "the same request will be refused again")
    if status in (401, 403):
        return fault(f"refused the key ({status})", "check api_key and what it may use")
    if status == 402 or (status == 429 and re.search(r"quota|billing|credit", said, re.IGNORECASE)):
        return fault(f"has no credit left ({status})", "check the account's plan and billing")
    if status == 404:
        return fault("was not found (404)", "check the model's name and api_base")
    if status == 429:
        return fault("has its rate limit reached (429)", "run fewer episodes at once, or wait", retryable=True)
    if status in (408, 409, 425):
        return fault(f"was not ready ({status})", "try again", retryable=True)
    if status is not None and status >= 500:
        return fault(f"failed on its server ({status})", "try again later", retryable=True)
    if status is not None:
        return fault(f"refused the request ({status})", "the message says which part")
    return fault(f"failed with {type(problem).__name__}", "see the message")


def retry_after(problem: BaseException, *, outer: BaseException | None = None) -> float | None:
    """Seconds that the provider asks to wait, if it says so in whole or decimal seconds. `outer` as in `to_fault`."""
    for link in _chain(problem, outer):
        headers = getattr(getattr(link, "response", None), "headers", None)
        value = headers.get("retry-after") if headers is not None else None
        if value and re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value)
    return None


def _chain(problem: BaseException, outer: BaseException | None) -> Iterator[BaseException]:
    link: BaseException | None = problem
    seen: set[int] = set()
    while link is not None and link is not outer and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _status(chain: tuple[BaseException, ...]) -> int | None:
    """The HTTP status that a server sent. Without a transport's error in the chain LiteLLM's own claim counts, unless
    it is one of those that it makes up (400 where it refused itself, 408 and 500 where no answer came)."""
    for link in chain:
        if type(link).__name__ in ("HTTPStatusError", "ClientResponseError"):
            sent = getattr(getattr(link, "response", None), "status_code", None) or getattr(link, "status", None)
            if isinstance(sent, int):
                return sent
    claims = (getattr(link, "status_code", None) for link in chain)
    return next((claim for claim in claims if isinstance(claim, int) and claim not in (400, 401, 408, 500)), None)


def _said(problem: BaseException, secret: str) -> str:
    text = str(problem).strip() or type(problem).__name__
    while (shorter := _PREFIX.sub("", text)) != text:
        text = shorter
    if secret:
        text = text.replace(secret, "***")
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
