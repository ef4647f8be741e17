"""Screenshots as data URIs. A report's paths come from records, so nothing outside the workspace is ever read."""

import base64
from pathlib import Path

from wisen.core.records import Observation

_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
LIMIT = 2_000_000  # bytes of one picture; a larger one would make the page unwieldy


def screenshot_uri(observation: Observation | None, workspace: Path) -> str | None:
    """The observation's first readable screenshot. None if there is none: missing, outside the workspace, too large, or
    neither PNG nor JPEG by its first bytes (SVG may carry scripts and is never taken)."""
    for artifact in observation.artifacts if observation else ():
        if artifact.kind == "screenshot" and (uri := _data_uri(workspace, artifact.path)):
            return uri
    return None


def _data_uri(workspace: Path, relative: str) -> str | None:
    try:
        root = workspace.resolve()
        path = (root / relative).resolve()
        if not path.is_relative_to(root) or not path.is_file() or path.stat().st_size > LIMIT:
            return None
        content = path.read_bytes()
    except (OSError, ValueError):
        return None
    mime = next((mime for magic, mime in _KINDS.items() if content.startswith(magic)), None)
    return mime and f"data:{mime};base64,{base64.b64encode(content).decode()}"
