"""A trajectory as text for a model that reads it: a judge, a distiller."""

from typing import TypedDict

from wisen.core.ids import content_id
from wisen.core.records import Purpose, Step, Trajectory

_ROOM = 24_000  # characters of all records that are shown side by side, about 6,000 tokens


class Cut(TypedDict, total=False):
    """How much of a record is shown: see `transcript`."""

    step_chars: int
    final_chars: int
    steps: int


def transcript(
    trajectory: Trajectory, *, step_chars: int = 1200, final_chars: int = 4000, steps: int = 30, task: bool = True
) -> str:
    """The task (unless `task` is false), then each step's observation, thought and action, then the final state.

    Observations are cut to `step_chars` characters, the final one to `final_chars`; of more than `steps` steps the
    first and the last are kept, and the gap says how many are missing. No prompt of the agent is shown, so no memory.
    """
    parts = [f"TASK\n{trajectory.instruction or trajectory.task.instruction}"] if task else []
    shown, missing = _ends(trajectory.steps, steps)
    for position, step in enumerate(shown):
        if missing and position == (len(shown) + 1) // 2:
            parts.append(f"[{missing} steps left out]")
        parts.append(_step(step, step_chars))
    if trajectory.final is not None:
        parts.append(f"FINAL STATE\n{_cut(trajectory.final.text, final_chars)}")
    elif trajectory.steps:
        parts.append(f"FINAL STATE\n{_cut(trajectory.steps[-1].result.observation.text, final_chars)}")
    parts.append(f"END: {trajectory.end.value}" + (f" ({trajectory.error})" if trajectory.error else ""))
    return "\n\n".join(parts)


def cut_for(records: int) -> Cut:
    """How much of each is shown where so many stand side by side in one prompt."""
    room = _ROOM // records
    return {"step_chars": max(100, room // 20), "final_chars": max(200, room // 6), "steps": 16}


def fenced(text: str) -> str:
    """`text` between two marks that it cannot contain, since they derive from all of it: what a page wrote cannot
    close the fence and speak to the reader."""
    mark = content_id("record", text)
    return f"<{mark}>\n{text}\n</{mark}>"


def _step(step: Step, chars: int) -> str:
    lines = [f"STEP {step.index}", f"Observation: {_cut(step.observation.text, chars)}"]
    if thought := _thought(step):
        lines.append(f"Thought: {_cut(thought, chars)}")
    lines.append(f"Action: {_cut(str(step.action), chars)}")
    if step.result.violation:
        lines.append(f"Violation: {step.result.violation}")
    return "\n".join(lines)


def _thought(step: Step) -> str:
    """What the agent wrote before it acted; a constrained choice and a bare action have no thought."""
    written = [
        call.reply.text.strip()
        for call in step.calls
        if call.request.purpose is Purpose.ACT and call.reply.choice is None
    ]
    return "\n".join(text for text in written if text and text != str(step.action))


def _ends(steps: tuple[Step, ...], limit: int) -> tuple[tuple[Step, ...], int]:
    if len(steps) <= limit:
        return steps, 0
    head = (limit + 1) // 2
    tail = limit - head
    return steps[:head] + (steps[-tail:] if tail else ()), len(steps) - limit


def _cut(text: str, chars: int) -> str:
    text = text.strip()
    if len(text) <= chars:
        return text
    return f"{text[:chars]} [{len(text) - chars} characters left out]"
