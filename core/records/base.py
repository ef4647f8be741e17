"""The base of all records that cross module borders."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

JSON = dict[str, Any]


class Record(BaseModel):
    """Immutable, compared by value, and strict: an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def utcnow() -> datetime:
    return datetime.now(UTC)
