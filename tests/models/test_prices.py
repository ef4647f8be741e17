"""LiteLLM as it is installed: pinned, hashed, and with the price list of its own package."""

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

LOCK = (Path(__file__).parents[2] / "requirements.lock").read_text()

# A process without network: whoever asks for an address or a connection is written down and refused. At the end it is
# seen that this notices LiteLLM's own download, which gives up and takes the package's list.
OFFLINE = """
import json, os, pathlib, socket
asked = []
def refuse(*what, **more):
    asked.append(str(what))
    raise OSError("there is no network")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
from wisen.models.remote import load_litellm
litellm = load_litellm()
before = list(asked)
package = pathlib.Path(litellm.__file__).parent
listed = json.loads((package / "model_prices_and_context_window_backup.json").read_text())
name = "gpt-4o-mini"
price = [litellm.cost_per_token(model=name, prompt_tokens=10**6, completion_tokens=10**6), before]
del os.environ["LITELLM_LOCAL_MODEL_COST_MAP"]
litellm.get_model_cost_map(url="https://example.org/prices.json")
print(json.dumps([*price, len(asked) > len(before), listed[name]["input_cost_per_token"] * 10**6]))
"""


@pytest.mark.timeout(300)
def test_prices_are_the_package_s_own_and_nothing_is_fetched() -> None:
    import json
    import os

    kept = {key: value for key, value in os.environ.items() if not key.startswith("LITELLM")}
    run = subprocess.run([sys.executable, "-c", OFFLINE], env=kept, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    (read, written), asked, notices, listed = json.loads(run.stdout.splitlines()[-1])
    assert asked == [] and notices
    assert read == pytest.approx(listed) and written > read > 0


def test_litellm_is_pinned_with_hashes_and_is_what_runs() -> None:
    pinned = re.findall(r"^litellm==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", LOCK, re.MULTILINE)
    assert [name for name, _ in pinned] == [version("litellm")]
    # So is everything else that is downloaded.
    entries = re.split(r"\n(?=\S)", LOCK.strip())[1:]
    assert len(entries) > 150
    assert [entry.split()[0] for entry in entries if entry[0] != "#" and "--hash=sha256:" not in entry] == []
