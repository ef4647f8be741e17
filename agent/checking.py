"""Sequential scaling (MaTTS, arXiv 2509.25140): an agent that means to stop is sent back to check its work.

What it meant to do by that is not done: the environment never sees the action that would end the episode, so the agent
goes on in the very same state, and nothing that it did is done twice.
"""

from wisen.core.errors import SettingsError
from wisen.core.protocols import Environment, Finishing
from wisen.core.records import Action
from wisen.memory.distillers.abstraction import verb_of

CHECK_NOTE = (
    "not done yet: first check your work against the task and what is shown now; correct what is wrong, or stop again"
)


def require_finishing(environment: Environment) -> None:
    """Raises `SettingsError` where the agent cannot say that it is done, and so could never be sent back."""
    if not isinstance(environment, Finishing):
        raise SettingsError(
            f"episode.checks is set, and {type(environment).__name__} names no action by which the agent stops",
            "set episode.checks to 0",
        )


def stops(environment: Environment, action: Action) -> bool:
    """Whether the agent says by this action that it is done."""
    return isinstance(environment, Finishing) and verb_of(action) in environment.finishing
