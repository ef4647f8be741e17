"""How much memory there is, and what a model and its cache will take of it."""

from pathlib import Path
from typing import TYPE_CHECKING

from wisen.core.errors import SettingsError

if TYPE_CHECKING:
    from wisen.models.engine.core import Core

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "F64": 8, "F32": 4, "BF16": 2, "F16": 2}
GIB = 2**30


def free_bytes(device: str) -> int | None:
    """What may still be taken on a device: "cpu" or "cuda:1". None where that cannot be known."""
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    found = [each for each in (_available(), _left_of_group()) if each is not None]
    return min(found) if device == "cpu" and found else None


def check_room(
    folder: Path,
    source: str,
    device: str,
    dtype: str,
    hint: str = "take a smaller model, --dtype bfloat16, or another --device",
) -> None:
    """Raises `SettingsError` where the weights of a folder do not fit the device."""
    needed, free = weight_bytes(folder, dtype), free_bytes(device)
    if free is not None and needed > free:
        raise SettingsError(
            f"{source} needs {needed / GIB:.1f} GiB for its weights, and {device} has {free / GIB:.1f} GiB free", hint
        )


def weight_bytes(folder: Path, dtype: str) -> int:
    """What the weights of a folder take when loaded: from the headers of their files, or else from the files' sizes."""
    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        total += _of_header(path, dtype)
    if total:
        return total
    return sum(path.stat().st_size for path in folder.glob("*.bin"))


def places_for_cache(core: "Core", *, context: int | None, max_running: int, device: str, given: int | None) -> int:
    """For how many tokens keys and values are kept. given: bytes, by the user. Else what `max_running` full contexts
    need twice, at most a quarter of what is free. Raises `SettingsError` where that is hardly anything."""
    each = core.arena.bytes_per_token
    length = context or 4096
    free = free_bytes(device)
    most = 2 * max_running * length * each
    room = given if given is not None else most if free is None else min(most, free // 4)
    places = min(room, most) // each
    if places < min(length, 256):
        raise SettingsError(
            f"there is room for keys and values of {places} tokens only, of {each / 2**20:.2f} MiB each",
            f"{(free or 0) / GIB:.1f} GiB are free; take a smaller model, or another device",
        )
    return int(places)


def _of_header(path: Path, dtype: str) -> int:
    import math

    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as weights:
            total = 0
            for key in weights.keys():  # noqa: SIM118
                part = weights.get_slice(key)
                each = _BYTES.get(dtype) or _BYTES.get(part.get_dtype(), 1)
                total += math.prod(part.get_shape()) * each
            return total
    except (SafetensorError, OSError):
        return 0  # what is wrong with it is said by the one who loads it


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = (line.split() for line in lines if line.startswith("MemAvailable:"))
    return next((int(words[1]) * 1024 for words in found), None)


def _left_of_group() -> int | None:
    """What a container's limit leaves (cgroup v2)."""
    root = Path("/sys/fs/cgroup")
    try:
        limit, used = (root / "memory.max").read_text().strip(), (root / "memory.current").read_text().strip()
        cached = (line.split() for line in (root / "memory.stat").read_text().splitlines())
        idle = next((int(value) for name, value in cached if name == "inactive_file"), 0)
    except OSError:
        return None
    return None if limit == "max" else max(0, int(limit) - int(used) + idle)
