"""What a long run says of itself while it works. The loop emits these; a console, a log or a server shows them."""

from wisen.core.records.base import Record


class PhaseStarted(Record):
    """A stretch of work begins. `phase` names it in the events that follow; `total` is its number of units, 0 where
    that is not known; `unit` names them in the plural."""

    phase: str
    title: str
    total: int = 0
    unit: str = "episodes"


class Advanced(Record):
    """`done` units of the phase are finished, counted from its start (not since the last event). A resumed phase may
    begin with some already done. `note` is a short figure to show beside the bar, such as "61 % solved"."""

    phase: str
    done: int
    note: str = ""


class PhaseEnded(Record):
    phase: str
    summary: str = ""
    seconds: float = 0.0


class Note(Record):
    """A line that belongs to no phase."""

    text: str


ProgressEvent = PhaseStarted | Advanced | PhaseEnded | Note
