"""What a browser says when something is wrong, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from wisen.core.errors import EnvironmentFault


@contextmanager
def explained(what: str, patience: float) -> Iterator[None]:
    """Playwright's errors, and a wait of `patience` seconds that was in vain, as an `EnvironmentFault`."""
    from playwright.async_api import Error

    try:
        yield
    except Error as error:
        raise EnvironmentFault(f"{what}: {first_line(error)}") from error
    except TimeoutError as error:
        raise EnvironmentFault(f"{what}: it did not answer within {patience:g} s") from error


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
