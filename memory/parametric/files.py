"""A head on disk: one safetensors file, written whole or not at all, that tells what it was made from and carries the
hash of its weights."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from wisen.core.disk import disk_faults
from wisen.core.errors import WisenError
from wisen.core.records import Record
from wisen.memory.parametric.head import Head, Kind
from wisen.memory.parametric.proof import Proof

SUFFIX = ".safetensors"
PARTS = ("state_in", "case_in", "bias_in", "out", "bias_out")
AGAIN = "delete it: it is made anew from the store, and cosine ranks meanwhile"


class HeadFault(WisenError):
    """A head's file is damaged, or was made for another embedder."""


class HeadCard(Record):
    """What a head was made from: the bank version that it ranks, the outcomes it has seen (of which `labels` were
    randomised), the embedder whose space it reads. `proof`: what it did on what it had not seen, None where there was
    too little."""

    bank_version: int = Field(ge=0)
    outcomes: int = Field(ge=0)
    labels: int = Field(ge=0)
    seed: int
    embedder: str
    kind: Kind = "probability"
    proof: Proof | None = None
    sha256: str = ""

    @property
    def proven(self) -> bool:
        return self.proof is not None and self.proof.proven

    @property
    def name(self) -> str:
        return f"v{self.bank_version:08}-n{self.outcomes:08}{SUFFIX}"


def save_head(folder: Path, head: Head, card: HeadCard) -> Path:
    """Write it under the name that the card has; returns the path. Equal heads and cards give equal bytes. Raises
    `StoreError` where the disk refuses."""
    from safetensors.numpy import save

    parts = {name: np.ascontiguousarray(getattr(head, name)) for name in PARTS}
    card = card.model_copy(update={"sha256": _digest(parts), "kind": head.kind})
    path = folder / card.name
    with disk_faults(f"could not write {path}"):
        folder.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".part")
        scratch.write_bytes(save(parts, metadata={"card": card.model_dump_json()}))
        os.replace(scratch, path)
    return path


def load_head(path: Path) -> tuple[Head, HeadCard]:
    """Raises `HeadFault` for a file that is not there, cannot be read, or whose weights are not those of its card."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            parts = {name: file.get_tensor(name) for name in PARTS}
            card = HeadCard.model_validate_json((file.metadata() or {})["card"])
    except (OSError, SafetensorError, KeyError, ValidationError) as error:
        raise HeadFault(f"the retrieval head {path} cannot be read: {str(error).splitlines()[0]}", AGAIN) from error
    if card.sha256 != _digest(parts):
        raise HeadFault(f"the retrieval head {path} is damaged: its weights are not those of its card", AGAIN)
    return Head(**parts, kind=card.kind), card


def newest(folder: Path, bank_version: int | None = None) -> Path | None:
    """The head made for the latest bank version up to this one, and of those from the most outcomes; None without any.
    Reads names only."""
    names = sorted(path.name for path in folder.glob(f"v*-n*{SUFFIX}"))
    able = [name for name in names if bank_version is None or int(name[1:].partition("-")[0]) <= bank_version]
    return folder / able[-1] if able else None


def _digest(parts: Mapping[str, NDArray[np.float32]]) -> str:
    digest = hashlib.sha256()
    for name in PARTS:
        digest.update(f"{name}{parts[name].dtype}{parts[name].shape}".encode())
        digest.update(parts[name].tobytes())
    return digest.hexdigest()
