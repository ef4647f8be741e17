"""A line of text as an action, where no model makes the tool call: a person, or a client that knows only text."""

from wisen.core.protocols import Suite
from wisen.core.records import Action, Observation, Split, Task
from wisen.environments.tool.calls import BadCall, Toolbox

ALL = 10_000  # tasks of each template: as good as all of a suite that has a limited number


def as_action(text: str, observation: Observation) -> Action:
    """The text itself, or the call of an offered tool that it spells out, as in `search(query="red")`."""
    name = text.lstrip()[:200].partition("(")[0].rstrip()
    if text in observation.actions or name not in (tool.name for tool in observation.tools):
        return Action(text=text)
    try:
        return Action(tool_call=Toolbox(observation.tools).understood(Action(text=text)))
    except BadCall:
        return Action(text=text)


def task_of_seed(suite: Suite, split: Split, seed: int) -> Task | None:
    """The task that a bare seed names: templates take turns, so that successive seeds see all of them. Where tasks are
    limited it begins again after the last. None where the split has none."""
    if row := suite.tasks(split, 1, offset=seed):
        return row[seed % len(row)]
    everything = suite.tasks(split, ALL)
    return everything[seed % len(everything)] if everything else None
