"""Suites of these tests as if an installed package offered them."""

import pytest

from wisen.environments import registry


def offer(monkeypatch: pytest.MonkeyPatch, **suites: str) -> None:
    """`offer(monkeypatch, corridor="tests.support.corridor:Corridors")`."""
    for name, target in suites.items():
        monkeypatch.setitem(registry._BUILT_IN, name, (target, "A suite of the tests."))
