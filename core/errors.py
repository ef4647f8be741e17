"""Errors that a person can act on. The command line prints them as one line and exits with code 2."""

from enum import StrEnum


class WisenError(Exception):
    """Something the user can mend: says what was wrong, where, and what to do."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem if not hint else f"{problem} ({hint})")
        self.problem = problem
        self.hint = hint


class SettingsError(WisenError):
    """A setting is unknown, of the wrong type, or would be ignored by the back end in use."""


class EnvironmentFault(WisenError):
    """An environment could not start, or broke in the middle of an episode."""


class FaultKind(StrEnum):
    """What went wrong with a model's call. Whatever a provider or a network does ends as one of these."""

    UNREACHABLE = "unreachable"  # no connection: address, name, network, a server that is down
    TIMEOUT = "timeout"  # too slow, also where the answer trickles
    CUT = "cut"  # the connection ended within the answer
    MALFORMED = "malformed"  # an answer that is not in the form of the API: truncated JSON, a web page, nothing
    EMPTY = "empty"  # an answer in form, without text and without calls
    UNREADABLE = "unreadable"  # text or a tool call that cannot be carried out
    TRUNCATED = "truncated"  # the reply ended at its token limit, before it could be carried out
    CONTEXT = "context"  # prompt and reply do not fit
    FILTER = "filter"  # refused by a content filter
    KEY = "key"  # no key, or one that is not accepted
    CREDIT = "credit"  # the account is empty
    NOT_FOUND = "not_found"  # no such model, or no such path
    RATE_LIMIT = "rate_limit"
    NOT_READY = "not_ready"
    SERVER = "server"
    REFUSED = "refused"  # the request was understood and not taken
    PROVIDER = "provider"  # no such provider
    OTHER = "other"


class ModelFault(WisenError):
    """A model could not be reached, refused, or answered nonsense. `retryable` says whether trying again may help."""

    def __init__(
        self, problem: str, hint: str = "", *, retryable: bool = False, kind: FaultKind = FaultKind.OTHER
    ) -> None:
        super().__init__(problem, hint)
        self.retryable = retryable
        self.kind = kind


class UnreadableReply(ModelFault):
    """A model answered, and nothing of it can be carried out. `wrote` is the answer as it was written."""

    def __init__(
        self,
        problem: str,
        hint: str = "",
        *,
        wrote: str,
        retryable: bool = True,
        kind: FaultKind = FaultKind.UNREADABLE,
    ) -> None:
        super().__init__(problem, hint, retryable=retryable, kind=kind)
        self.wrote = wrote


class StoreError(WisenError):
    """The store is locked, unreadable, of another schema, or an invariant of it would be broken."""
