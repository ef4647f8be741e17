from pathlib import Path

import pytest

from tests.support.tiny import build
from wisen.models.tokens import Codec


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that no test changes."""
    return build(tmp_path_factory.mktemp("tiny") / "weights")


@pytest.fixture(scope="session")
def codec(tiny: Path) -> Codec:
    return Codec.load(tiny)
