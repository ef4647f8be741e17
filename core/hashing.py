"""Hashes of files, read a piece at a time."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

PIECE = 1 << 20


def sha256_of(paths: Iterable[Path]) -> str:
    """Of all the files' bytes in this order, as hexadecimal digits."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    return digest.hexdigest()
