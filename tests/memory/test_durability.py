"""The check of durability, small: writers are killed, and what they had acknowledged is there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "memory_durability.py"


@pytest.mark.timeout(300)
def test_killed_writers_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARK), "--kills", "5", "--only", "kills", "--out", str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    kills = json.loads((tmp_path / "out" / "durability.json").read_text())["kills"]
    assert sum(kills["hit"].values()) == 5 and kills["acknowledged"] and kills["recall"] and not kills["amiss"]
