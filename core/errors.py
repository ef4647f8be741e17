"""Errors that a person can act on. The command line prints them as one line and exits with code 2."""


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


class ModelFault(WisenError):
    """A model could not be reached, refused, or answered nonsense. `retryable` says whether trying again may help."""

    def __init__(self, problem: str, hint: str = "", *, retryable: bool = False) -> None:
        super().__init__(problem, hint)
        self.retryable = retryable


class UnreadableReply(ModelFault):
    """A model answered, and nothing of it can be carried out. `wrote` is the answer as it was written."""

    def __init__(self, problem: str, hint: str = "", *, wrote: str, retryable: bool = True) -> None:
        super().__init__(problem, hint, retryable=retryable)
        self.wrote = wrote


class StoreError(WisenError):
    """The store is locked, unreadable, of another schema, or an invariant of it would be broken."""
