"""What stands between an exported folder and a workspace: nothing is written before all of this has been looked at."""

import hashlib
import json
import re
import stat
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from wisen.core.disk import disk_faults
from wisen.core.errors import WisenError
from wisen.core.hashing import sha256_of
from wisen.core.records import ItemStatus, LedgerEvent, MemoryItem
from wisen.core.records.memory import EventKind
from wisen.evolution.releases.exporting import BACKBONE, BANK, MANIFEST, WEIGHTS
from wisen.evolution.releases.manifest import FORMAT, FileHash, Manifest
from wisen.memory.bank import RECALLABLE
from wisen.memory.guard import check_item

HARMLESS = frozenset({".json", ".jinja", ".jsonl", ".md", ".model", ".safetensors", ".txt"})  # nothing that runs
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")  # of what becomes a folder
LARGEST_MANIFEST = 64_000_000  # bytes


class ImportFault(WisenError):
    """A folder holds no release, or not the one that was exported."""


def read_manifest(folder: Path) -> Manifest:
    """Raises `ImportFault`."""
    path = folder / MANIFEST
    with disk_faults(f"could not read {path}"):
        if not path.is_file():
            raise ImportFault(f"{folder} holds no release", f"there is no {MANIFEST}; `wisen releases export` makes it")
        if path.stat().st_size > LARGEST_MANIFEST:
            raise ImportFault(f"{path} is too large for a manifest")
        text = path.read_bytes()
    try:
        found = json.loads(text)
        if isinstance(found, dict) and found.get("format") != FORMAT:
            raise ImportFault(f"{path} has the form {found.get('format')!r}", f"this wisen reads {FORMAT}")
        return Manifest.model_validate(found)
    except (ValueError, ValidationError) as error:
        raise ImportFault(f"{path} is no manifest: {str(error).splitlines()[0]}") from error


def check_files(folder: Path, manifest: Manifest) -> None:
    """Every file that the manifest names is there with its hash, and the manifest fits itself. Raises `ImportFault`."""
    for file in manifest.files:
        _check_path(file)
        path = folder / file.path
        with disk_faults(f"could not read {path}"):
            if not path.exists() or not stat.S_ISREG(path.lstat().st_mode):
                raise ImportFault(f"{path} is missing, or no plain file", "copy the exported folder again, whole")
            if path.stat().st_size != file.size or sha256_of([path]) != file.sha256:
                raise ImportFault(
                    f"{path} is not the file that was exported: its hash differs from the manifest's",
                    "copy the exported folder again; nothing was written",
                )
    listed = {file.path: file for file in manifest.files}
    if manifest.weights.here:
        for name in (manifest.weights.name, manifest.weights.backbone):
            if name is not None and not NAME.fullmatch(name):
                raise ImportFault(f"the manifest names weights {name!r}, which can be no folder")
        wanted = {f"{WEIGHTS}/{file.path}": file for file in manifest.weights.files}
        for path_in, file in wanted.items():
            if path_in not in listed or listed[path_in].sha256 != file.sha256:
                raise ImportFault(f"the manifest contradicts itself about {path_in}")
        _check_weights(folder / WEIGHTS, listed, WEIGHTS, manifest.weights.sha256)
        if manifest.weights.backbone and any(name.startswith(f"{BACKBONE}/") for name in listed):
            _check_weights(folder / BACKBONE, listed, BACKBONE, manifest.weights.backbone_sha256)
    if BANK not in listed or listed[BANK].sha256 != manifest.bank.sha256:
        raise ImportFault(f"the manifest contradicts itself about {BANK}")


def _check_weights(folder: Path, listed: dict[str, FileHash], name: str, sha256: str) -> None:
    tensors = [path for path in listed if PurePosixPath(path).parent.as_posix() == name]
    files = sorted(folder / PurePosixPath(path).name for path in tensors if path.endswith(".safetensors"))
    if not files or sha256_of(files) != sha256:
        raise ImportFault(f"the weights in {folder} are not those that the manifest names", "nothing was written")


def _check_path(file: FileHash) -> None:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or "\\" in file.path or not path.parts:
        raise ImportFault(f"the manifest names a path outside its folder: {file.path!r}")
    if path.suffix not in HARMLESS:
        raise ImportFault(f"the manifest names {file.path!r}", f"a release holds only {', '.join(sorted(HARMLESS))}")


def read_bank(path: Path, sha256: str, actor: str) -> list[LedgerEvent]:
    """An event for each item, with the status that it had. The guard looks at each that could be recalled: what it
    would refuse or redact was not exported by a wisen that had this guard. Raises `ImportFault`."""
    with disk_faults(f"could not read {path}"):
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ImportFault(f"{path} is not the file that was exported", "copy the exported folder again")
    events = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        try:
            raw = json.loads(line)
            item, status = MemoryItem.model_validate(raw["item"]), ItemStatus(raw["status"])
        except (ValueError, TypeError, KeyError, ValidationError) as error:
            raise ImportFault(f"{path}:{number} is no memory item", str(error).splitlines()[0]) from error
        verdict = check_item(item)
        if status in RECALLABLE and not (verdict.ok and verdict.item == item):
            why = "; ".join(verdict.reasons) or "its id is not that of its text"
            raise ImportFault(f"the guard refuses the item at {path}:{number}: {why}", "nothing was written")
        events.append(
            LedgerEvent(seq=0, kind=EventKind.PROPOSED, item_id=item.id, item=item, status=status, actor=actor)
        )
    return events
