"""The suite `mcp`: task folders, played through the tools of MCP servers."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from wisen.core.errors import SettingsError
from wisen.core.records import Action, Acts, Observation, Split, SuiteCard, Task, ToolCall
from wisen.environments.tasks import FIRST_SEED, seeds
from wisen.environments.tool.folders import EpisodeFolders
from wisen.environments.tool.mcp import FINISH, McpEnvironment
from wisen.environments.tool.mcp_scenario import FolderScenario, Scenario, scratch_prepared

SUITE = "mcp"
EXAMPLES = Path(__file__).parent / "examples"


class McpSuite:
    """folder: where the task folders lie (the bundled examples, if empty). tasks: names of some of them. processes: run
    servers as processes where a task says how. scenarios: from Python, instead of a folder."""

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Tasks over a folder, with the tools of MCP servers; a checker looks at the folder afterwards.",
        licence="the folder's; the examples are our own (Apache-2.0)",
        acts=(Acts.TOOLS, Acts.TEXT),
        reward="0 or 1",
        success="the checker is content with all of it",
        needs=("a model that writes", "the servers that a task names"),
        snapshots=True,
    )

    def __init__(
        self,
        folder: str = "",
        tasks: Sequence[str] = (),
        processes: bool = False,
        scenarios: Sequence[Scenario] = (),
    ) -> None:
        root = Path(folder) if folder else EXAMPLES
        if not scenarios:
            if not root.is_dir():
                raise SettingsError(f"{SUITE}: there is no folder {root}")
            sources = sorted(path.parent for path in root.glob("*/task.toml"))
            if isinstance(tasks, str) or (unknown := set(tasks) - {path.name for path in sources}):
                wrong = tasks if isinstance(tasks, str) else ", ".join(sorted(unknown))
                raise SettingsError(
                    f"{SUITE}: {root} has no task {wrong}", f"it has {', '.join(path.name for path in sources)}"
                )
            scenarios = [
                FolderScenario(path, processes=processes) for path in sources if not tasks or path.name in tasks
            ]
        if not scenarios:
            raise SettingsError(f"{SUITE}: {root} has no task folders", "each holds a task.toml")
        self._scenarios = {scenario.name: scenario for scenario in scenarios}
        self._folders: EpisodeFolders | None = None

    def card(self) -> SuiteCard:
        fixed = [scenario for scenario in self._scenarios.values() if scenario.split is not None]
        sizes = {} if len(fixed) < len(self._scenarios) else {split: len(self.tasks(split, 1)) for split in Split}
        return self.about.model_copy(
            update={
                "templates": len(self._scenarios),
                "sizes": sizes,
                "max_steps": max(scenario.max_steps for scenario in self._scenarios.values()),
            }
        )

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        """`per_template` tasks of each scenario that seeds vary; one that they do not vary is one task, in its own
        split."""
        return tuple(
            self._task(split, scenario, seed)
            for seed in seeds(SUITE, split, per_template, offset)
            for scenario in self._scenarios.values()
            if scenario.split is None or (scenario.split is split and seed == FIRST_SEED[split])
        )

    def _task(self, split: Split, scenario: Scenario, seed: int) -> Task:
        return Task(
            id=f"{SUITE}/{scenario.name}/{seed}",
            suite=SUITE,
            environment=f"{SUITE}/{scenario.name}",
            template_id=f"{SUITE}/{scenario.name}",
            split=split,
            seed=seed,
            params={"scenario": scenario.name},
            version=scenario.version,
        )

    async def start(self) -> None:
        """Make the room for episodes' folders, and remove what killed processes left of theirs."""
        self._folders = self._folders or EpisodeFolders()

    async def create(self) -> McpEnvironment:
        await self.start()
        return McpEnvironment(self._scenarios, self._folders)

    async def stop(self) -> None:
        folders, self._folders = self._folders, None
        if folders is not None:
            folders.close()

    def oracle(self) -> "McpOracle":
        return McpOracle(self._scenarios)


class McpOracle:
    """Plays the solutions that come with the tasks. For tests only."""

    def __init__(self, scenarios: dict[str, Scenario]) -> None:
        self._scenarios = scenarios

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        scenario = self._scenarios[task.params["scenario"]]
        calls = scenario.solution(scratch_prepared(scenario, task.seed), task.seed)
        return tuple(Action(tool_call=call) for call in (*calls, ToolCall(name=FINISH.name)))

    def secrets(self, task: Task) -> Sequence[str]:
        """Texts that no observation may hold: all that the checker goes by, and the solution as it is written."""
        scenario = self._scenarios[task.params["scenario"]]
        prepared = scratch_prepared(scenario, task.seed)
        solution = [(call.name, call.arguments) for call in scenario.solution(prepared, task.seed)]
        return (repr(dict(prepared.values)), repr(solution))
