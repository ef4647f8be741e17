"""The files of a box as bytes, and a box from such bytes. A program inside the sandbox does both: a link that was left
in the box leads nowhere from there."""

import asyncio
import base64

from wisen.core.errors import EnvironmentFault
from wisen.environments.code.limits import MIB
from wisen.environments.code.sandbox import Box, Limits, Sandbox
from wisen.environments.code.trial import told

_MOST = 16 * MIB  # of the packed files in base64
_LIMITS = Limits(wall_s=30.0, cpu_s=20, memory_mb=512, output_bytes=_MOST, flood_bytes=_MOST)

_PACK = """\
import base64, io, os, sys, tarfile
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
    for name in sorted(os.listdir(".")):
        tar.add(name)
sys.stdout.write(base64.b64encode(packed.getvalue()).decode())
"""

# Without a filter: it was packed in such a box, and goes into one.
_UNPACK = """\
import base64, io, tarfile
with tarfile.open(fileobj=io.BytesIO(base64.b64decode({files!r})), mode="r:gz") as tar:
    tar.extraction_filter = lambda member, folder: member
    tar.extractall(".")
"""


async def packed(sandbox: Sandbox, box: Box) -> bytes:
    """Raises `EnvironmentFault` where they cannot be read, or are too many."""
    result = await sandbox.run(_PACK, limits=_LIMITS, box=box, read_only=True)
    if result.exit_code:
        raise EnvironmentFault("the files of this episode cannot be kept", told(result)[-300:])
    return base64.b64decode(result.stdout)


async def unpacked(sandbox: Sandbox, files: bytes) -> Box:
    """A box of its own. Raises `EnvironmentFault` where it cannot be made."""
    box = await asyncio.to_thread(Box)
    try:
        program = _UNPACK.format(files=base64.b64encode(files).decode())
        result = await sandbox.run(program, limits=_LIMITS, box=box)
        if result.exit_code:
            raise EnvironmentFault("the files of the snapshot cannot be written", told(result)[-300:])
    except BaseException:
        await asyncio.to_thread(box.remove)
        raise
    return box
