"""Nodes for a foreign LangGraph graph. They read from its state by key or by function, and write plain values to it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from wisen.core.errors import SettingsError
from wisen.core.records import JSON

if TYPE_CHECKING:
    from wisen.agent.experience import Experience, Job

Where = str | Callable[[Any], Any]  # a key of the foreign state, or a function of that state
Node = Callable[[Any], Awaitable[JSON]]


def recall_node(experience: "Experience", *, task: Where, job_id: Where | None, advice: str, job: str) -> Node:
    async def recall_from_experience(state: Any) -> JSON:
        named = "" if job_id is None else str(read(state, job_id, "the job's id"))
        text = read(state, task, "the task's text")
        if not isinstance(text, str):
            raise SettingsError(f"the task is a {type(text).__name__}", "give its text, or a function that does")
        begun = await experience.recall(text, job_id=named)
        return {advice: begun.advice, job: begun.model_dump(mode="json")}

    return recall_from_experience


def learn_node(experience: "Experience", *, done: Where, outcome: Where | None, job: str, lesson: str) -> Node:
    async def learn_from_experience(state: Any) -> JSON:
        begun = _begun(read(state, job, "the job"), job)
        known = None if outcome is None else read(state, outcome, "the outcome")
        if known is not None and not isinstance(known, bool):
            raise SettingsError(f"the outcome is {known!r}", "give True, False, or None for the judge to say")
        learned = await experience.learn(begun, read(state, done, "what was done"), outcome=known)
        return {lesson: learned.model_dump(mode="json")} if lesson else {}

    return learn_from_experience


def read(state: Any, where: Where, what: str) -> Any:
    """A value of the state, which is a dict or an object with fields. LangGraph drops what a node writes under a key
    that the state does not declare, so one that is missing raises `SettingsError`."""
    if callable(where):
        return where(state)
    if isinstance(state, Mapping):
        if where in state:
            return state[where]
    elif hasattr(state, where):
        return getattr(state, where)
    raise SettingsError(f"the state has no {where!r}, where {what} should be", f"declare `{where}` in the state")


def _begun(value: Any, key: str) -> "Job":
    from wisen.agent.experience import Job

    try:
        return Job.model_validate(value)
    except ValidationError as error:
        raise SettingsError(
            f"the state's {key!r} is not what the recall node put there", "leave it as it is between the two nodes"
        ) from error
