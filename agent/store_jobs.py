"""The jobs under way in a graph that uses a store of ours: who asks, and what each was shown so far."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wisen.core.records import Candidate, Recall, Task

MOST = 10_000  # jobs that never end are forgotten, the oldest first


@dataclass
class Running:
    """A job between its first use of the store and its outcome."""

    task: Task
    trajectory_id: str
    asked: list[str] = field(default_factory=list)
    recall: Recall | None = None

    def add(self, query: str, recall: Recall) -> None:
        """Another search of the same job. Its draws are the same, so that all searches make one retrieval."""
        self.asked.append(query)
        self.recall = recall if self.recall is None else joined(self.recall, recall)


class Jobs:
    """By thread, the job that it is at."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Running] = OrderedDict()

    def get(self, thread: str) -> Running | None:
        return self._open.get(thread)

    def add(self, thread: str, job: Running) -> Running:
        self._open[thread] = job
        while len(self._open) > MOST:
            self._open.popitem(last=False)
        return job

    def end(self, thread: str, job: Running) -> None:
        """Unless the thread is at another job by now."""
        if self._open.get(thread) is job:
            del self._open[thread]


def joined(one: Recall, more: Recall) -> Recall:
    """Two retrievals of one job as one. An item that had a place in either had one."""
    ranked: dict[str, Candidate] = {candidate.item_id: candidate for candidate in one.ranked}
    for candidate in more.ranked:
        known = ranked.get(candidate.item_id)
        if known is None or known.propensity == 0:
            ranked[candidate.item_id] = candidate
    asked = one.query if more.query in one.query.split("\n") else f"{one.query}\n{more.query}"
    return one.model_copy(
        update={"query": asked, "ranked": tuple(ranked.values()), "eligible": max(one.eligible, more.eligible)}
    )


def thread_of(config: Mapping[str, Any] | None) -> str:
    """What tells a job from others: the thread's id, or else the run's. Empty where there is neither: an application
    that runs one job at a time needs none."""
    config = config or {}
    thread = (config.get("configurable") or {}).get("thread_id") or config.get("run_id")
    return "" if thread is None else str(thread)


def present_thread() -> str:
    """The thread of the node that runs now; empty outside of a graph."""
    from langgraph.config import get_config
    from langgraph.runtime import get_runtime

    try:
        config = get_config()
    except RuntimeError:
        return ""
    if thread := thread_of(config):
        return thread
    info = get_runtime().execution_info
    return str(info.run_id or "") if info is not None else ""
