"""The package webarena-verified, in an environment of its own since it pins what wisen has otherwise.

`verified_bridge` is the other end.
"""

import asyncio
import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from wisen.core.errors import EnvironmentFault, SettingsError

BRIDGE = Path(__file__).with_name("verified_bridge.py")
START_S = 60.0
SCORE_S = 120.0
HINT = "python -m venv DIR; DIR/bin/pip install webarena-verified; python = DIR/bin/python"


class VerifiedPackage:
    """python: the interpreter. `version` and `tasks` (the benchmark's file) are the package's. Raises `SettingsError`
    for an interpreter that cannot be run or has no such package."""

    def __init__(self, python: str) -> None:
        self._command = [str(Path(python).expanduser()), "-I", str(BRIDGE)]
        try:
            done = subprocess.run(
                self._command, input=b'{"ask": "about"}', capture_output=True, timeout=START_S, check=False
            )
            about = _last_line(done.stdout)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise SettingsError(f"webarena-verified: python = {python!r} cannot be used: {error}", HINT) from error
        if about.get("error"):
            raise SettingsError(f"webarena-verified: python = {python!r}: {about['error']}", HINT)
        self.version, self.tasks = str(about["version"]), str(about["tasks"])

    async def score(self, **asked: Any) -> dict[str, Any]:
        """What `verified_bridge` says of an end. Raises `EnvironmentFault` where it says nothing."""
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SCORE_S):
                said, complained = await process.communicate(json.dumps({"ask": "score"} | asked).encode())
        except TimeoutError as error:
            raise EnvironmentFault(f"webarena-verified did not score within {SCORE_S:g} s") from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
        try:
            found = _last_line(said)
        except ValueError as error:
            told = complained.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise EnvironmentFault(f"webarena-verified broke: {told[0][:300]}") from error
        if "score" not in found:
            raise EnvironmentFault(f"webarena-verified broke: {found.get('error')}")
        return found


def _last_line(output: bytes) -> dict[str, Any]:
    """Raises `ValueError`."""
    found = json.loads((output.splitlines() or [b""])[-1])
    if not isinstance(found, dict):
        raise ValueError(f"{found!r} is no answer")
    return found
