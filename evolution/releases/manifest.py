"""What a release is made of, with the hash of every part: two releases with equal hashes act alike."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from wisen.agent.prompts import harness_parts, harness_version
from wisen.core.errors import SettingsError, StoreError
from wisen.core.hashing import sha256_of
from wisen.core.ids import canonical
from wisen.core.records import JSON, Checkpoint, Record, Release
from wisen.core.store import Store
from wisen.evolution.releases.lineage import Link, line_of
from wisen.evolution.settings import EpisodeSettings, is_remote
from wisen.memory.bank import Bank, Snapshot

FORMAT = "wisen-release-1"
ADAPTER = "adapter_config.json"


class FileHash(Record):
    """A file by its path within its folder."""

    path: str
    sha256: str
    size: int  # bytes


class WeightsPart(Record):
    """`remote` weights are elsewhere, under a provider's name, and `other` ones in a program of somebody's own: neither
    can be hashed. sha256: of the safetensors files, in order of their names. backbone: what an adapter is trained over,
    by its checkpoint's name and hash."""

    name: str
    kind: Literal["checkpoint", "adapter", "remote", "other"]
    sha256: str = ""
    files: tuple[FileHash, ...] = ()
    parent: str | None = None
    recipe: JSON = {}
    backbone: str | None = None
    backbone_sha256: str = ""

    @property
    def here(self) -> bool:
        """Whether they are files."""
        return self.kind in ("checkpoint", "adapter")


class BankPart(Record):
    """sha256: of `bank_lines`, which hold every item and its status."""

    version: int
    items: int
    sha256: str


class HarnessPart(Record):
    """limits: an episode's, None where no run of the store says them. sha256: of the prompts and these limits; empty
    where they are not known, or the installed wisen has other prompts."""

    version: str
    limits: JSON | None
    sha256: str


class Manifest(Record):
    """lineage: from the first release to this one. files: of an exported folder, all but the manifest itself."""

    format: str = FORMAT
    name: str
    release_id: str
    weights: WeightsPart
    bank: BankPart
    harness: HarnessPart
    lineage: tuple[Link, ...] = ()
    wisen: str = ""
    files: tuple[FileHash, ...] = ()

    @property
    def hashes(self) -> dict[str, str]:
        """Of the three parts."""
        parts = {"weights": self.weights.sha256, "bank": self.bank.sha256, "harness": self.harness.sha256}
        return {name: digest or "not known" for name, digest in parts.items()}

    @property
    def sha256(self) -> str:
        """Of the whole manifest, and so of all that it names."""
        return hashlib.sha256(canonical(self).encode()).hexdigest()


def manifest_of(store: Store, weights: Path, release: Release) -> Manifest:
    """Read anew from the files, the ledger and the settings. `weights`: the workspace's folder of checkpoints. Raises
    `StoreError` where weights are gone or are not those that were recorded."""
    from importlib.metadata import version

    return Manifest(
        name=release.name,
        release_id=release.id,
        weights=weights_part(store, weights, release.model),
        bank=bank_part(Bank(store).snapshot(release.bank_version)),
        harness=_harness(store, release.harness),
        lineage=line_of(store, release),
        wisen=version("wisen"),
    )


def weights_part(store: Store, weights: Path, name: str) -> WeightsPart:
    """Raises `StoreError` as `manifest_of` does."""
    recorded = store.checkpoint(name)
    if recorded is None:
        return WeightsPart(name=name, kind="remote" if is_remote(name) else "other")
    require_recorded(recorded, weights)
    folder = weights / name
    part = WeightsPart(
        name=name,
        kind="checkpoint",
        sha256=recorded.sha256,
        files=hashed(folder, sorted(path for path in folder.rglob("*") if path.is_file())),
        parent=recorded.parent,
        recipe=recorded.recipe,
    )
    if not (folder / ADAPTER).exists():
        return part
    backbone = store.checkpoint(recorded.parent or "")
    if backbone is None:
        raise StoreError(f"the adapter {name} is over {recorded.parent!r}, which is not here")
    return part.model_copy(update={"kind": "adapter", "backbone": backbone.name, "backbone_sha256": backbone.sha256})


def require_recorded(checkpoint: Checkpoint, weights: Path) -> None:
    """Raises `StoreError` where the files are not those that were recorded when the weights were made."""
    hint = f"restore {weights / checkpoint.name} from a copy, or take another release"
    files = safetensors(weights / checkpoint.name)
    if not files:
        raise StoreError(f"the weights {checkpoint.name} are not in {weights}", hint)
    if sha256_of(files) != checkpoint.sha256:
        raise StoreError(f"the weights {checkpoint.name} are not those that were recorded", hint)


def safetensors(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def hashed(folder: Path, paths: Sequence[Path]) -> tuple[FileHash, ...]:
    return tuple(
        FileHash(path=path.relative_to(folder).as_posix(), sha256=sha256_of([path]), size=path.stat().st_size)
        for path in paths
    )


def bank_lines(snapshot: Snapshot) -> str:
    """Every item with its status as a line of canonical JSON, in order of id: what `wisen memory` reads, too."""
    lines = (
        canonical({"item": snapshot.items[key], "status": snapshot.statuses[key]}) for key in sorted(snapshot.items)
    )
    return "".join(f"{line}\n" for line in lines)


def bank_part(snapshot: Snapshot) -> BankPart:
    digest = hashlib.sha256(bank_lines(snapshot).encode()).hexdigest()
    return BankPart(version=snapshot.version, items=len(snapshot), sha256=digest)


def _harness(store: Store, version: str) -> HarnessPart:
    """The release keeps a hash; what it is of, the runs' settings say."""
    for run in reversed(store.runs()):
        try:
            limits = EpisodeSettings.model_validate(run.settings["episode"]).limits
        except (KeyError, ValidationError):  # an application's run, or one of another version
            continue
        if harness_version(**limits) == version:
            digest = hashlib.sha256(canonical(harness_parts(**limits)).encode()).hexdigest()
            return HarnessPart(version=version, limits=dict(limits), sha256=digest)
    return HarnessPart(version=version, limits=None, sha256="")


def release_named(store: Store, name: str) -> Release:
    """By name or id; empty: the present one. Raises `SettingsError`."""
    release = store.release(name) if name else store.current_release()
    if release is not None:
        return release
    if not name:
        raise SettingsError("this workspace has no release yet", "run `wisen evolve` first")
    known = ", ".join(one.name for one in store.releases()) or "none"
    raise SettingsError(f"there is no release {name!r}", f"known: {known}")


def as_json(manifest: Manifest) -> str:
    return json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
