"""What to do and where: tasks, observations, actions, step results."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict

from wisen.core.records.base import JSON, Record


class Split(StrEnum):
    """Which panel a task belongs to. The three are disjoint by task id, always."""

    LEARN = "learn"
    GATE = "gate"
    REPORT = "report"


class Task(Record):
    """One thing to do. Tasks that differ only in values share `template_id`; `version` is that of data and code."""

    id: str
    suite: str
    environment: str
    template_id: str
    split: Split
    seed: int
    instruction: str = ""  # empty where the environment writes it at reset
    params: JSON = {}
    version: str = ""


class ToolSpec(Record):
    """A tool that an environment offers, with its arguments as JSON schema."""

    name: str
    description: str
    parameters: JSON = {}


def _whole(value: Any) -> Any:
    """Half a surrogate pair, which nothing can write down, becomes a question mark, however deep it sits."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(inner) for inner in value]
    return value


Whole = BeforeValidator(_whole)  # for what comes from outside: models and people write actions


class ToolCall(Record):
    name: Annotated[str, Whole]
    arguments: Annotated[JSON, Whole] = {}
    id: Annotated[str, Whole] = ""


class Artifact(Record):
    """A file made during an episode, by path relative to the workspace: a screenshot, a HAR."""

    kind: str
    path: str


class Observation(Record):
    """What the agent sees. `actions` lists the admissible action texts where the environment can name them."""

    instruction: str
    text: str
    actions: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    artifacts: tuple[Artifact, ...] = ()


class Action(Record):
    """Either a text or a tool call."""

    text: Annotated[str, Whole] = ""
    tool_call: ToolCall | None = None

    def __str__(self) -> str:
        if self.tool_call is None:
            return self.text
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.tool_call.arguments.items())
        return f"{self.tool_call.name}({arguments})"


# In the `info` of a last step whose success only a judge can say: what success asks, such as the right answer. It is in
# no observation.
FOR_THE_JUDGE = "for_the_judge"


class StepResult(Record):
    """Gymnasium's five values, named, and beside `reward` (for learning) the three that must not be mixed with it:
    `success` (for reports; None while undecided, or where only a judge can say), `cost` and `violation`."""

    observation: Observation
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: JSON = {}
    success: bool | None = None
    cost: float = 0.0
    violation: str = ""


class Snapshot(Record):
    """An episode at one moment: of which task, and what the environment wrote of its own state, which is of no use to
    anyone else. It may hold what no agent may see."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    task: Task
    state: bytes


class Acts(StrEnum):
    """How one acts in an environment."""

    CHOICE = "choice"  # one of the texts that an observation lists
    TEXT = "text"  # a text of one's own
    TOOLS = "tools"  # tool calls


class SuiteCard(Record):
    """What a suite says of itself, for people who choose one.

    licence: of the data and code that its tasks are made of. templates: how many; None where options decide. sizes: how
    many tasks a split has; a split that is not named has as many as there are seeds. acts: the ways to act that it
    takes. reward: the range of an episode's raw reward; success: what success asks of it. max_steps, max_seconds: what
    an episode of it needs; None leaves it to the run. extra: of wisen's, to be installed. needs: what else must be
    installed or running. snapshots: its environments keep and restore episodes.
    """

    summary: str
    licence: str = ""
    templates: int | None = None
    sizes: dict[Split, int] = {}
    acts: tuple[Acts, ...] = ()
    reward: str = ""
    success: str = ""
    max_steps: int | None = None
    max_seconds: float | None = None
    extra: str = ""
    needs: tuple[str, ...] = ()
    snapshots: bool = False
