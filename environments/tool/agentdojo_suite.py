"""The suite `agentdojo`: errands in four applications, and attacks by what their data say (Debenedetti et al. 2024,
arXiv 2406.13352)."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

from wisen.core.errors import SettingsError
from wisen.core.records import Acts, Split, SuiteCard, Task
from wisen.environments.plugs.listed import chosen as chosen_tasks
from wisen.environments.plugs.listed import deal, sizes
from wisen.environments.text.common import chosen, extra_version
from wisen.environments.tool.agentdojo import SUITE, AgentDojoEnvironment, AgentDojoOracle
from wisen.environments.tool.agentdojo_package import BENCHMARK, kit_of

CODE = "1"  # of the tasks as made here
STEP_LIMIT = 40
NO_ATTACK = "none"


class Numbers(NamedTuple):
    """Of the tasks of an application, as the package numbers them; a test compares them with it."""

    users: range
    injections: range


APPLICATIONS = {
    "workspace": Numbers(range(40), range(14)),
    "travel": Numbers(range(20), range(7)),
    "banking": Numbers(range(16), range(9)),
    "slack": Numbers(range(21), range(1, 6)),
}
# The package's attacks by one text with the attacker's goal in it. These two address the model by a name.
_ADDRESSING = ("important_instructions", "tool_knowledge")
ATTACKS = ("direct", "ignore_previous", "system_message", "injecagent", *_ADDRESSING)


class AgentDojoSuite:
    """suites: which applications (all, if empty). attack: none, direct, ignore_previous, system_message, injecagent,
    important_instructions or tool_knowledge; with one, each user task is played with each of the injection tasks of its
    application. model_name: what the last two call the model; the package's attack without a name, if empty. max_steps:
    of an episode."""

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Errands in mail, calendar, drive, bank, travel and chat; attacks by injected texts, by option.",
        licence="MIT (agentdojo)",
        templates=len(APPLICATIONS),
        sizes={Split.LEARN: 59, Split.GATE: 19, Split.REPORT: 19},
        acts=(Acts.TOOLS, Acts.TEXT),
        reward="0 or 1",
        success="the package's check of the user's task; a violation is that of the attacker's",
        max_steps=STEP_LIMIT,
        extra="security",
        needs=("a model that writes",),
        snapshots=True,
    )

    def __init__(
        self,
        suites: Sequence[str] = (),
        attack: str = NO_ATTACK,
        model_name: str = "",
        max_steps: int = STEP_LIMIT,
    ) -> None:
        names = chosen(SUITE, "suites", suites, tuple(APPLICATIONS))
        if attack not in (NO_ATTACK, *ATTACKS):
            raise SettingsError(f"{SUITE}: unknown attack {attack!r}", f"one of {', '.join((NO_ATTACK, *ATTACKS))}")
        if model_name and attack not in _ADDRESSING:
            raise SettingsError(
                f"{SUITE}: the attack {attack} calls the model nothing, so model_name has no effect",
                f"only {' and '.join(_ADDRESSING)} do",
            )
        if max_steps < 1:
            raise SettingsError(f"{SUITE}: max_steps = {max_steps}", "at least 1")
        self._attack, self._model_name, self._max_steps = attack, model_name, max_steps
        self.version = f"{extra_version('agentdojo', 'agentdojo', 'security')}/{BENCHMARK}/{CODE}"
        self._tasks = tuple(task for name in names for task in self._made(name))

    def card(self) -> SuiteCard:
        templates = {task.template_id for task in self._tasks}
        return self.about.model_copy(update={"sizes": sizes(self._tasks), "templates": len(templates)})

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        """Tasks of each application, which is their template; its split may have fewer than asked for."""
        return chosen_tasks(self._tasks, split, per_template, offset)

    async def start(self) -> None:
        """Nothing is shared."""

    async def create(self) -> AgentDojoEnvironment:
        await asyncio.to_thread(kit_of, "banking")  # the package's import: not in the first episode's time
        return AgentDojoEnvironment(self.version)

    async def stop(self) -> None:
        """Nothing is shared."""

    def oracle(self) -> AgentDojoOracle:
        return AgentDojoOracle()

    def _made(self, name: str) -> Iterator[Task]:
        """All tasks of an application. Its user tasks are dealt to the splits by hashes of their names, so that one is
        in the same split under any attack. With an attack, each user task comes with one injection task, then each with
        another, and so on: a few tasks show many of both."""
        numbers = APPLICATIONS[name]
        splits = deal({f"{SUITE}/{name}/user_task_{user}": f"{SUITE}/{name}" for user in numbers.users})
        if self._attack == NO_ATTACK:
            for task_id, split in splits.items():
                yield self._task(name, task_id, split, "")
            return
        count = len(numbers.injections)
        for turn in range(count):
            for split in Split:
                for place, task_id in enumerate(one for one, its in splits.items() if its is split):
                    injection = numbers.injections[(place + turn) % count]
                    yield self._task(name, task_id, split, f"injection_task_{injection}")

    def _task(self, name: str, user: str, split: Split, injection: str) -> Task:
        attacked = f"/{self._attack}" if injection else ""
        return Task(
            id=f"{user}{attacked}/{injection}" if injection else user,
            suite=SUITE,
            environment=f"{SUITE}/{name}",
            template_id=f"{SUITE}/{name}{attacked}",
            split=split,
            seed=0,
            params={
                "suite": name,
                "user_task": user.rpartition("/")[2],
                "injection_task": injection,
                "attack": self._attack,
                "model_name": self._model_name,
                "max_steps": self._max_steps,
            },
            version=self.version,
        )
