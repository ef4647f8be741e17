"""tau2-bench (tau2 1.0.1, from its repository) as a suite, by its gymnasium class `AgentGymEnv`.

The observation is the conversation as text. An action is a message, or a tool call as JSON or as `f(x=1)`. The reward
comes at the end: the product over the task's own basis (database, actions, what was communicated, assertions), of which
natural-language assertions ask a model. In solo mode there is no user to talk to; otherwise a model plays the user, and
equal actions need not have equal results.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from wisen.core.errors import SettingsError
from wisen.core.records import Action, Acts, Observation, Split, SuiteCard, Task
from wisen.environments.plugs.gym_suite import MOST_SHOWN, GymEnvironment, Told
from wisen.environments.plugs.listed import chosen, named_splits, sizes
from wisen.environments.tool.calls import shortened, written

if TYPE_CHECKING:
    import gymnasium

SUITE = "tau2"
VERSION = "1.0.1"
INSTRUCTION = "Serve the user by the policy, with messages and tool calls."


class Tau2Suite:
    """entry: where the class is in the installed version, as `module:AgentGymEnv`. domain: such as `retail`. tasks: its
    task ids, dealt to the panels, or lists under learn, gate and report. user_llm: the model that plays the user,
    outside solo mode. seconds: for one call, in which that model may be asked."""

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="tau2-bench: customer service by a policy, with tools.",
        licence="MIT (tau2-bench)",
        acts=(Acts.TEXT, Acts.TOOLS),
        reward="0 to 1",
        success="a reward of 1",
        needs=("a model that writes", "tau2-bench from its repository (PyPI's tau2 is another thing)", "Python 3.12"),
    )

    def __init__(
        self,
        entry: str,
        domain: str,
        tasks: Sequence[str] | Mapping[str, Sequence[str]],
        solo_mode: bool = True,
        user_llm: str = "",
        instruction: str = INSTRUCTION,
        seconds: float = 300.0,
    ) -> None:
        if ":" not in entry:
            raise SettingsError(f"{SUITE}: entry = {entry!r}", 'write entry="module:AgentGymEnv"')
        if not solo_mode and not user_llm:
            raise SettingsError(f"{SUITE}: nobody plays the user", "set user_llm, or solo_mode=true")
        self._entry, self._seconds, self._instruction = entry, float(seconds), instruction
        options = {"solo_mode": solo_mode} | ({} if solo_mode else {"user_llm": user_llm})
        self._tasks = tuple(
            Task(
                id=f"{SUITE}/{domain}/{name}",
                suite=SUITE,
                environment=domain,
                template_id=f"{SUITE}/{domain}",
                split=split,
                seed=0,
                params={"domain": domain, "task_id": name, **options},
                version=VERSION,
            )
            for name, split in named_splits(tasks, f"{SUITE}: tasks").items()
        )

    def card(self) -> SuiteCard:
        return self.about.model_copy(
            update={
                "templates": len({task.template_id for task in self._tasks}),
                "sizes": sizes(self._tasks),
            }
        )

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return chosen(self._tasks, split, per_template, offset)

    async def start(self) -> None:
        """Raises `SettingsError` when the class cannot be imported."""
        _class(self._entry)

    async def create(self) -> GymEnvironment:
        def make(task: Task) -> "gymnasium.Env[Any, Any]":
            return _class(self._entry)(**task.params)

        return GymEnvironment(make, Tau2Told(self._instruction), seconds=self._seconds)

    async def stop(self) -> None:
        """Nothing is shared."""


class Tau2Told(Told):
    """Texts both ways."""

    def observation(self, env: "gymnasium.Env[Any, Any]", seen: Any, info: Mapping[str, Any]) -> Observation:
        return Observation(instruction=self.instruction, text=shortened(str(seen), MOST_SHOWN) or "(nothing was said)")

    def action(self, env: "gymnasium.Env[Any, Any]", action: Action) -> str:
        call = action.tool_call
        return action.text if call is None else written(call.name, call.arguments)

    def success(self, reward: float, terminated: bool, info: Mapping[str, Any]) -> bool:
        return reward >= self.success_reward


def _class(entry: str) -> Any:
    module, _, name = entry.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"{entry} cannot be loaded: {error}", "install tau2-bench from its repository; PyPI's tau2 is another thing"
        ) from error
