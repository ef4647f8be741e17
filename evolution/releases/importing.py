"""An exported release comes into a workspace: whole or not at all, under names that mean nothing else, and not served.

What comes is a candidate like any other. Its bank becomes a version of the ledger that the newest bank does not follow:
whoever goes on learning here goes on from what is here.
"""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from wisen.core.disk import disk_faults
from wisen.core.errors import SettingsError, StoreError
from wisen.core.hashing import sha256_of
from wisen.core.ids import content_id
from wisen.core.records import Checkpoint, EventKind, LedgerEvent, Release
from wisen.core.store import Store
from wisen.evolution.releases.checking import NAME, ImportFault, check_files, read_bank, read_manifest
from wisen.evolution.releases.exporting import BACKBONE, BANK, WEIGHTS
from wisen.evolution.releases.lineage import Link
from wisen.evolution.releases.manifest import Manifest, WeightsPart, safetensors
from wisen.memory.bank import Bank

OWN_NAMES = re.compile(r"r\d+[a-z]*")  # what `wisen evolve` gives to what it makes


def import_release(
    store: Store, weights: Path, folder: Path, *, name: str = "", sha256: str = ""
) -> tuple[Release, Manifest, bool]:
    """(the release as it is here, its manifest, whether it is new here).

    `name`: what it is to be called here, by default its own and the beginning of the manifest's hash. `sha256`: the
    manifest's, as whoever exported it was told; another one is refused. Hashes are checked before anything is written;
    then weights appear by a rename, and all else in one transaction. The same folder again changes nothing.

    Raises `ImportFault` for a folder that is not as it was exported, `SettingsError` for a name that is taken or a
    backbone that is not here, `StoreError` where the store or the disk refuses.
    """
    manifest = read_manifest(folder)
    if sha256 and manifest.sha256 != sha256.lower():
        raise ImportFault(f"{folder} is another release: its manifest has sha256 {manifest.sha256}")
    check_files(folder, manifest)
    short = manifest.sha256[:6]
    name = _checked(name or f"{manifest.name}-{short}", given=bool(name))
    reason = f"imported: {manifest.name} of elsewhere, manifest {manifest.sha256[:16]}{_came(manifest.lineage)}"
    known = store.release(name)
    if known is not None:
        if _made_of(store, known) == reason:
            return known, manifest, False
        raise SettingsError(f"there is a release {name} already", "give this one another --name")
    events = read_bank(folder / BANK, manifest.bank.sha256, actor=f"import of {name}")
    checkpoints = _weights(store, weights, folder, manifest, short)
    bank = Bank(store)
    base, empty = bank.version, not bank.snapshot().items
    first = [] if empty else [_back_to(0, f"the bank of {name} begins")]
    last = [_back_to(base, f"the bank goes on as before {name} came")] if first or events else []
    own = checkpoints[-1].name if checkpoints else manifest.weights.name
    version = base + len(first) + len(events)
    release = Release(
        id=content_id("release", own, version, manifest.harness.version),
        name=name,
        model=own,
        bank_version=version,
        harness=manifest.harness.version,
    )
    if (same := store.release(release.id)) is not None:
        return same, manifest, False
    store.add_release(release, reason, checkpoints=checkpoints, ledger=[*first, *events, *last])
    return release, manifest, True


def _checked(name: str, *, given: bool) -> str:
    if not NAME.fullmatch(name):
        raise SettingsError(f"{name!r} cannot be a release's name", "letters, digits, dot, dash and underscore")
    if given and OWN_NAMES.fullmatch(name):
        raise SettingsError(f"names such as {name} are given by `wisen evolve`", "choose another --name")
    return name


def _made_of(store: Store, release: Release) -> str:
    return next((event.reason for event in store.release_events() if event.release_id == release.id), "")


def _came(lineage: Sequence[Link]) -> str:
    return f"; there: {lineage[-1].decided}" if lineage and lineage[-1].decided else ""


def _back_to(version: int, reason: str) -> LedgerEvent:
    return LedgerEvent(seq=0, kind=EventKind.RESTORED, to_version=version, actor="releases", reason=reason)


def _weights(store: Store, weights: Path, folder: Path, manifest: Manifest, short: str) -> list[Checkpoint]:
    """The checkpoints of the release as they are here, its own last; files that are not here yet are copied first."""
    part = manifest.weights
    if not part.here:
        return []
    if part.kind == "checkpoint":
        return [_placed(store, weights, folder / WEIGHTS, part, part.parent, f"{part.name}-{short}", manifest)]
    backbone = WeightsPart(name=part.backbone or "", kind="checkpoint", sha256=part.backbone_sha256)
    if (here := _same(store, weights, backbone.sha256)) is None:
        if not (folder / BACKBONE).is_dir():
            raise SettingsError(
                f"the weights of {manifest.name} are an adapter over {part.backbone}, and that is not here",
                f"import a release of it first, or export with the backbone; its sha256 is {part.backbone_sha256}",
            )
        called = f"{backbone.name}-{short}"
        here = _placed(store, weights, folder / BACKBONE, backbone, None, called, manifest)
    return [here, _placed(store, weights, folder / WEIGHTS, part, here.name, f"{part.name}-{short}", manifest)]


def _same(store: Store, weights: Path, sha256: str) -> Checkpoint | None:
    """A checkpoint of the store with these weights, whatever its name."""
    return next((one for one in store.checkpoints() if one.sha256 == sha256 and safetensors(weights / one.name)), None)


def _placed(
    store: Store, weights: Path, source: Path, part: WeightsPart, parent: str | None, name: str, manifest: Manifest
) -> Checkpoint:
    if (same := _same(store, weights, part.sha256)) is not None:
        return same
    checkpoint = Checkpoint(
        name=name,
        path=name,
        sha256=part.sha256,
        parent=parent if part.kind == "adapter" else None,
        recipe={**part.recipe, "imported": {"name": part.name, "parent": part.parent, "manifest": manifest.sha256}},
    )
    target, scratch = weights / name, weights / f"{name}.part"
    wanted = {file.path: file.sha256 for file in manifest.files if file.path.startswith(f"{source.name}/")}
    with disk_faults(f"could not copy weights to {target}"):
        if target.exists():  # copied whole, and the store was not told: a kill came between
            if sha256_of(safetensors(target)) != part.sha256:
                raise StoreError(f"{target} is in the way, and holds other weights", "move it away")
            return checkpoint
        shutil.rmtree(scratch, ignore_errors=True)
        for path, sha256 in wanted.items():
            copy = scratch / path.removeprefix(f"{source.name}/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.parent / path, copy)
            if sha256_of([copy]) != sha256:
                shutil.rmtree(scratch, ignore_errors=True)
                raise ImportFault(f"{source.parent / path} changed while it was copied", "try again")
        os.replace(scratch, target)
    return checkpoint
