"""Identifiers and seeds that derive from content, so that a repeated step cannot double a record."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces; records become their JSON form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain, ensure_ascii=False)


def content_id(prefix: str, *parts: Any) -> str:
    """`prefix-` and 16 hex digits of BLAKE2b over the parts: equal parts, equal id."""
    digest = hashlib.blake2b(canonical(parts).encode(), digest_size=8).hexdigest()
    return f"{prefix}-{digest}"


def derived_seed(*parts: Any) -> int:
    """A seed in [0, 2**32) that depends on every part and on nothing else (no shared generator, no call order)."""
    return int.from_bytes(hashlib.blake2b(canonical(parts).encode(), digest_size=4).digest(), "big")


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no canonical form")
