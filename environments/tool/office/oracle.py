"""Solves every task, from what no agent may see. For tests only."""

from collections.abc import Sequence

from wisen.core.records import Action, Observation, Task, ToolCall
from wisen.environments.tool.office.conventions import advice
from wisen.environments.tool.office.desk import Desk
from wisen.environments.tool.office.environment import job_for
from wisen.environments.tool.office.plans import Reply, believing, plan_of
from wisen.environments.tool.office.templates import Job
from wisen.environments.tool.office.tools import FINISH


class OfficeOracle:
    """Knows the task's facts and the organisation's ways."""

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        return tuple(Action(tool_call=call) for call in self.calls(task))

    def calls(self, task: Task) -> list[ToolCall]:
        """The calls in order, `finish` last."""
        job, desk = job_for(task)
        return solved(task.params["template"], job, desk)

    def secrets(self, task: Task) -> tuple[str, ...]:
        """Texts that no observation may hold: each convention as it would be told, and the checks of the task."""
        job, desk = job_for(task)
        staff = {person.role: person.name for person in job.house.staff}
        told = advice(desk.ways, job.house.code, staff).values() if desk.ways else ()
        return (*told, *map(repr, job.checks))


def solved(template: str, job: Job, desk: Desk) -> list[ToolCall]:
    """The calls that do the job at that desk, `finish` last."""
    plan = plan_of(template, job, believing(desk.ways))
    calls, state = [next(plan)], job.state
    while calls[-1].name != FINISH:
        answer = desk.call(state, calls[-1].name, calls[-1].arguments)
        state = answer.state
        calls.append(plan.send(Reply(answer.text, answer.refused)))
    return calls
