"""An office task for the MCP environment: the office's server is asked, its journal of calls is what is judged."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wisen.core.records import Split, ToolCall
from wisen.environments.tool import office_server
from wisen.environments.tool.mcp_scenario import Prepared
from wisen.environments.tool.mcp_session import Server
from wisen.environments.tool.office.desk import Desk
from wisen.environments.tool.office.environment import STEP_LIMIT, VERSION, instruction_of
from wisen.environments.tool.office.oracle import solved
from wisen.environments.tool.office.organisation import organisation, ways_of
from wisen.environments.tool.office.templates import TEMPLATES, job_of
from wisen.environments.tool.office.tools import FINISH

_JOURNAL = "calls.jsonl"


class OfficeScenario:
    """One template of one organisation; the server runs in this process, or as one of its own."""

    split: Split | None = None
    version = VERSION
    max_steps = STEP_LIMIT

    def __init__(self, house: int, template: str, *, conventions: bool = True, processes: bool = False) -> None:
        self.name = f"office-{house}-{template}"
        self._house, self._template, self._conventions, self._processes = house, template, conventions, processes
        self._desk = Desk(organisation(house), ways_of(house, conventions))

    def servers(self, seed: int) -> tuple[Server, ...]:
        if self._processes:
            command = ["python", "-m", "wisen.environments.tool.office_server", "--template", self._template]
            command += ["--organisation", str(self._house), "--seed", str(seed), "--journal", f"{{folder}}/{_JOURNAL}"]
            return (Server("office", command=(*command, *["--any-way"] * (not self._conventions))),)

        def build(folder: Path) -> Any:
            return office_server.build(
                self._house, self._template, seed, conventions=self._conventions, journal=folder / _JOURNAL
            )

        return (Server("office", server=build),)

    def prepare(self, folder: Path, seed: int) -> Prepared:
        return Prepared(instruction_of(job_of(TEMPLATES[self._template], self._house, seed)), {})

    def check(self, folder: Path, prepared: Prepared, seed: int) -> float:
        job = job_of(TEMPLATES[self._template], self._house, seed)
        verdict = office_server.replayed(job, self._desk, folder / _JOURNAL)
        return 1.0 if verdict.success else verdict.progress / (1 + len(verdict.broken) + verdict.extra)

    def solution(self, prepared: Prepared, seed: int) -> Sequence[ToolCall]:
        calls = solved(self._template, job_of(TEMPLATES[self._template], self._house, seed), self._desk)
        return [call for call in calls if call.name != FINISH]
