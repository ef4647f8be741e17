"""The real embedder, loaded once for all tests of memory, and a real store in memory."""

from collections.abc import Iterator

import pytest

from wisen.core.store import Store
from wisen.memory.bank import Bank
from wisen.models.embedder import MiniLM


@pytest.fixture(scope="session")
def embedder() -> MiniLM:
    return MiniLM()


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        opened.start_run("run-1", {})
        yield opened


@pytest.fixture
def bank(store: Store) -> Bank:
    return Bank(store)
