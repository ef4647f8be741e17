"""The office as an MCP server, for any client: one task, its tools, and `finish`, which says how it went.

    python -m wisen.environments.tool.office_server --organisation 0 --template refund --seed 5

The task stands in the server's instructions. With `--journal FILE` every call is written there, a line of JSON each, so
that the final state can be judged by whoever started the server; `finish` is then left to them.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wisen.environments.tool.office.checkers import judged, remark
from wisen.environments.tool.office.desk import Desk
from wisen.environments.tool.office.environment import instruction_of, opening
from wisen.environments.tool.office.organisation import organisation, ways_of
from wisen.environments.tool.office.templates import TEMPLATES, Job, job_of
from wisen.environments.tool.office.tools import FINISH, TOOLS
from wisen.environments.tool.serve import make_server, serve_stdio


def build(house: int, template: str, seed: int, *, conventions: bool = True, journal: Path | None = None) -> Any:
    """A server with a desk of its own: one task, one client."""
    job = job_of(TEMPLATES[template], house, seed)
    desk = Desk(organisation(house), ways_of(house, conventions))
    state, over = job.state, False

    async def call(name: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        nonlocal state, over
        if over:
            return "This task is finished.", True
        if name == FINISH:
            over = True
            return remark(judged(job.checks, job.state, state, desk)), False
        answer = desk.call(state, name, arguments)
        state = answer.state
        if journal is not None:
            with journal.open("a") as file:
                file.write(json.dumps([name, arguments]) + "\n")
        return answer.text, answer.refused

    tools = TOOLS if journal is None else [tool for tool in TOOLS if tool.name != FINISH]
    told = opening(job) if journal is not None else f"{instruction_of(job)}\n{opening(job)}"
    return make_server("office", tools, call, instructions=told)


def replayed(job: Job, desk: Desk, journal: Path) -> Any:
    """The verdict on a journal."""
    state = job.state
    for line in journal.read_text().splitlines() if journal.exists() else ():
        name, arguments = json.loads(line)
        state = desk.call(state, name, arguments).state
    return judged(job.checks, job.state, state, desk)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--organisation", type=int, default=0)
    parser.add_argument("--template", choices=list(TEMPLATES), required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--any-way", action="store_true", help="the control: no conventions")
    parser.add_argument("--journal", type=Path)
    told = parser.parse_args()
    serve_stdio(build(told.organisation, told.template, told.seed, conventions=not told.any_way, journal=told.journal))


if __name__ == "__main__":
    main()
