"""Speaks with the package webarena-verified, in the interpreter that has it. wisen does not import this file: it lets
that interpreter run it, writes one JSON object to its input, and reads one from the last line of its output.

    {"ask": "about"}
        -> {"version": "1.2.3", "tasks": PATH}
    {"ask": "score", "tasks": PATH, "task_id": 44, "answer": TEXT, "traffic": PATH, "sites": {"gitlab": URL}}
        -> {"score": 1.0, "status": "success", "error": "", "parts": {"AgentResponseEvaluator": "success"}}

What goes wrong is {"error": TEXT} alone.
"""

import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGE = "webarena_verified"


def about() -> dict[str, Any]:
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        return {"error": "it has no package webarena-verified"}
    folder = Path(found.origin).parent / "assets" / "dataset"
    return {"version": version("webarena-verified"), "tasks": str(folder / "webarena-verified.json")}


def score(tasks: str, task_id: int, answer: str, traffic: str, sites: dict[str, str], **_: Any) -> dict[str, Any]:
    from webarena_verified.api import WebArenaVerified
    from webarena_verified.types.config import WebArenaVerifiedConfig

    places = {f"__{site.upper()}__": {"urls": [url]} for site, url in sites.items()}
    config = WebArenaVerifiedConfig.model_validate({"test_data_file": tasks, "environments": places})
    found = WebArenaVerified(config=config).evaluate_task(
        task_id=task_id, agent_response=answer, network_trace=Path(traffic)
    )
    parts: dict[str, str] = {}
    for number, one in enumerate(found.evaluators_results):
        parts[f"{number} {one.evaluator_name}"] = str(one.status)
    return {"score": found.score, "status": str(found.status), "error": found.error_msg or "", "parts": parts}


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the package may say what it likes
    asked = json.load(sys.stdin)
    try:
        told = about() if asked.get("ask") == "about" else score(**asked)
    except Exception as error:
        told = {"error": f"{type(error).__name__}: {error}"}
    answers.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
