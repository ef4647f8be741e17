"""Admission of executable skills: each is run in its environment before it enters the bank, or it is quarantined."""

import asyncio
import time
from collections.abc import Iterable, Sequence

from wisen.core.errors import EnvironmentFault
from wisen.core.ids import content_id
from wisen.core.protocols import Environment, Suite
from wisen.core.records import (
    Action,
    Advanced,
    ItemKind,
    MemoryItem,
    Observation,
    PhaseEnded,
    PhaseStarted,
    Task,
    Trajectory,
    Verdict,
    VerdictSource,
)
from wisen.evolution.workbench import Bench
from wisen.memory.distillers import PROVEN
from wisen.memory.distillers.attempts import made_one
from wisen.memory.guard import Doubt
from wisen.memory.skill import Skill, action_of, bind, read

SECONDS = 120.0  # for one trial


async def unproven(
    bench: Bench, number: int, items: Iterable[MemoryItem], collected: Sequence[str]
) -> dict[str, Doubt]:
    """By id, why skills among these items are not to be let in: those new to the bank are tried, one after another.

    collected: the episodes of cycle `number`, whose tasks they are tried on; no panel's task is touched. It is so in
    the control with permuted rewards too: a trial is a part of the method.
    """
    known = bench.bank.snapshot().items
    skills = [
        item
        for item in made_one(items)
        if item.kind is ItemKind.SKILL and item.author.distiller in PROVEN and item.id not in known
    ]
    if not skills:
        return {}
    played = bench.store.trajectories(collected)
    phase, started, suite = f"admit-{number}", time.monotonic(), await bench.running_suite()
    bench.emit(PhaseStarted(phase=phase, title=f"cycle {number}: trying new skills", total=len(skills), unit="skills"))
    found: dict[str, Doubt] = {}
    for done, item in enumerate(skills, start=1):
        verdict = await admit(item, suite, task := trial(item, played))
        if not verdict.success:
            found[item.id] = Doubt(f"it did not pass in its environment: {verdict.reason}", {"task": task.id})
        bench.emit(Advanced(phase=phase, done=done, note=f"{done - len(found)} admitted"))
    summary = f"{len(skills) - len(found)} of {len(skills)} admitted"
    bench.emit(PhaseEnded(phase=phase, summary=summary, seconds=time.monotonic() - started))
    return found


def trial(item: MemoryItem, collected: Iterable[Trajectory]) -> Task:
    """The task to try a skill on: another one of the template that it stems from, the first by id whose words it can
    take; where there is none, its own. Raises `ValueError` where its source is not among `collected`."""
    by_id = {one.task.id: one for one in sorted(collected, key=lambda one: one.id)}
    sources = [by_id[key] for key in item.source_tasks if key in by_id]
    if not sources:
        raise ValueError(f"{item.id} stems from {', '.join(item.source_tasks)}, which was not collected here")
    template = sources[0].task.template_id
    others = [one for key, one in sorted(by_id.items()) if key not in item.source_tasks]
    able = [one for one in others if one.task.template_id == template and _takes(item, one.instruction)]
    return (able or sources)[0].task


async def admit(item: MemoryItem, suite: Suite, task: Task, *, seconds: float = SECONDS) -> Verdict:
    """Run a skill on a task, in a fresh environment of a suite that was started; whether the environment says that it
    succeeded, and else why not. A skill that cannot be read or bound, an action that is not offered, an environment
    that breaks or takes longer than `seconds`, and one that says nothing of success, are no success. The verdict is on
    the trial, under an id of its own: it is no episode, and nothing learns from it."""
    try:
        async with asyncio.timeout(seconds):
            problem = await _problem(read(item.content), suite, task)
    except ValueError as error:
        problem = str(error)
    except EnvironmentFault as fault:
        problem = f"the environment broke: {fault}"
    except TimeoutError:
        problem = f"it took longer than {seconds:g} s"
    return Verdict(
        trajectory_id=content_id("trial", item.id, task.id, task.version),
        source=VerdictSource.ENVIRONMENT,
        success=not problem,
        score=float(not problem),
        reason=problem,
        author="admission",
    )


async def _problem(skill: Skill, suite: Suite, task: Task) -> str:
    """Why the trial failed; empty if it did not."""
    environment = await suite.create()
    try:
        return await _played(skill, environment, await environment.reset(task))
    finally:
        await environment.close()


async def _played(skill: Skill, environment: Environment, seen: Observation) -> str:
    arguments = bind(skill, seen.instruction)
    if arguments is None:
        return "the words of the task do not give its arguments"
    for number, step in enumerate(skill.steps, start=1):
        action = action_of(step, arguments, {tool.name for tool in seen.tools})
        if not _offered(action, seen):
            return f"step {number} is not offered: {action}"
        result = await environment.step(action)
        if result.violation:
            return f"step {number} is a violation: {result.violation}"
        if result.terminated or result.truncated:
            return "" if result.success else f"the environment ended it at step {number} without success"
        if result.success:
            return ""
        seen = result.observation
    return "all steps were taken, and the environment does not say that the task is done"


def _offered(action: Action, seen: Observation) -> bool:
    return bool(action.tool_call) or not seen.actions or action.text in seen.actions


def _takes(item: MemoryItem, instruction: str) -> bool:
    try:
        return bind(read(item.content), instruction) is not None
    except ValueError:
        return False
