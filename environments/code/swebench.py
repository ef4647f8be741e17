"""Writes predictions for SWE-bench's own evaluation: one JSON line per instance, from what agents did.

The evaluation itself needs its Docker images and runs elsewhere: `swebench eval verified -p predictions.jsonl`.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from wisen.core.errors import SettingsError
from wisen.core.records import Record, Trajectory

_FENCED = re.compile(r"```(?:diff|patch)?\n(.*?)```", re.DOTALL)
_STARTS = ("diff --git ", "--- ")


class Prediction(Record):
    """One line. The empty patch is a prediction too: nothing was changed."""

    instance_id: str
    model_name_or_path: str
    model_patch: str


def patch_of(trajectory: Trajectory) -> str:
    """The last unified diff of a trajectory: what a step's result names `model_patch`, else an argument `patch` or
    `diff` of a tool call, else a diff in an action's text, bare or fenced. "" where there is none."""
    for step in reversed(trajectory.steps):
        found = [step.result.info.get("model_patch")]
        if (call := step.action.tool_call) is not None:
            found += [call.arguments.get("patch"), call.arguments.get("diff")]
        found += [*reversed(_FENCED.findall(step.action.text)), step.action.text]
        for text in found:
            if isinstance(text, str) and text.lstrip("\n").startswith(_STARTS) and "\n@@" in text:
                return text.strip("\n") + "\n"  # git apply asks for the last line's end
    return ""


def predictions(
    trajectories: Iterable[Trajectory], model: str, *, patch: Callable[[Trajectory], str] = patch_of
) -> tuple[Prediction, ...]:
    """One for each instance: `params.instance_id` of the task, or the end of the task's id. The highest attempt counts,
    whatever came of it. Raises `SettingsError` for an empty name of the model."""
    if not model.strip():
        raise SettingsError("predictions need the name of the model", "it becomes model_name_or_path")
    last: dict[str, Trajectory] = {}
    for trajectory in trajectories:
        instance = str(trajectory.task.params.get("instance_id") or trajectory.task.id.rpartition("/")[2])
        if instance not in last or trajectory.attempt >= last[instance].attempt:
            last[instance] = trajectory
    return tuple(
        Prediction(instance_id=instance, model_name_or_path=model, model_patch=patch(trajectory))
        for instance, trajectory in sorted(last.items())
    )


def write_predictions(
    path: Path, trajectories: Iterable[Trajectory], model: str, *, patch: Callable[[Trajectory], str] = patch_of
) -> int:
    """Write them as JSON lines, in place of what was there; how many. SWE-bench caches results by run id: evaluate a
    new file under a new one."""
    made = predictions(trajectories, model, patch=patch)
    path.write_text("".join(json.dumps(one.model_dump()) + "\n" for one in made), encoding="utf-8")
    return len(made)
