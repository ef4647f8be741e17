"""A release as a folder that stands alone: weights, bank, model card, evidence, and a manifest with every hash."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from wisen.core.disk import disk_faults
from wisen.core.errors import SettingsError
from wisen.core.ids import canonical
from wisen.core.records import GateDecision, Release
from wisen.core.store import Store
from wisen.evolution.releases.card import evidence_summary, model_card
from wisen.evolution.releases.manifest import Manifest, WeightsPart, as_json, bank_lines, hashed, manifest_of
from wisen.memory.bank import Bank

MANIFEST, CARD, BANK = "manifest.json", "README.md", "bank.jsonl"
WEIGHTS, BACKBONE = "weights", "backbone"
GATES, SUMMARY = "evidence/gates.json", "evidence/README.md"


def export_release(store: Store, weights: Path, release: Release, out: Path, *, with_backbone: bool = True) -> Manifest:
    """Write the release to `out`, which appears whole or not at all, and return what is in it.

    `with_backbone`: an adapter takes the weights along that it is over. Raises `SettingsError` where `out` is there
    already, and `StoreError` where weights are not as they were recorded, or the disk refuses.
    """
    if out.exists():
        raise SettingsError(f"{out} is there already", "name a folder that is to be made")
    manifest = manifest_of(store, weights, release)
    gates = _gates_of(store, manifest)
    names = {one.id: one.name for one in store.releases()}
    scratch = out.with_name(f"{out.name}.part")
    with disk_faults(f"could not export to {out}"):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            _copy(manifest.weights, weights / manifest.weights.name, scratch / WEIGHTS)
            if with_backbone and manifest.weights.backbone:
                shutil.copytree(weights / manifest.weights.backbone, scratch / BACKBONE)
            _put(scratch / BANK, bank_lines(Bank(store).snapshot(release.bank_version)))
            _put(scratch / GATES, "[\n" + ",\n".join(canonical(gate) for gate in gates) + "\n]\n")
            _put(scratch / SUMMARY, evidence_summary(manifest.lineage, gates, names))
            _put(scratch / CARD, model_card(manifest))
            files = hashed(scratch, sorted(path for path in scratch.rglob("*") if path.is_file()))
            manifest = manifest.model_copy(update={"files": files})
            _put(scratch / MANIFEST, as_json(manifest))
            os.replace(scratch, out)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    return manifest


def _gates_of(store: Store, manifest: Manifest) -> Sequence[GateDecision]:
    """All decisions about the releases of the line, also those that kept one out."""
    names = {link.name for link in manifest.lineage}
    ids = {one.id for one in store.releases() if one.name in names}
    return [gate for gate in store.gates() if gate.candidate_id in ids]


def _copy(part: WeightsPart, source: Path, target: Path) -> None:
    for file in part.files:
        (target / file.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file.path, target / file.path)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
