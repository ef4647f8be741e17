"""Records in the shape that the tests of memory need."""

from collections.abc import Sequence

from wisen.core.records import (
    Action,
    Author,
    EpisodeEnd,
    EpisodeRequest,
    ItemKind,
    MemoryItem,
    MemoryMode,
    Observation,
    Outcome,
    Phase,
    Release,
    Scope,
    Split,
    Step,
    StepResult,
    Task,
    Trajectory,
    Trust,
    Verdict,
    VerdictSource,
)
from wisen.memory.items import make_item

AUTHOR = Author(distiller="test")
ACTIONS = ('click button "Ok"', 'type textbox "Name" "bela"')


def item(
    what: str = "Press the big button.",
    *,
    when: str = "A page with buttons.",
    evidence: Sequence[str] = ("traj-1",),
    tasks: Sequence[str] = ("task-1",),
    kind: ItemKind = ItemKind.STRATEGY,
    scope: Scope | None = None,
    trust: Trust = Trust.ENVIRONMENT,
    title: str = "Buttons",
    author: Author = AUTHOR,
) -> MemoryItem:
    return make_item(
        kind=kind,
        title=title,
        when_to_use=when,
        content=what,
        author=author,
        evidence=evidence,
        source_tasks=tasks,
        scope=scope,
        trust=trust,
    )


def task(number: int = 1, *, suite: str = "web", environment: str = "page", template: str = "t") -> Task:
    return Task(
        id=f"task-{number}",
        suite=suite,
        environment=environment,
        template_id=template,
        split=Split.LEARN,
        seed=number,
        instruction="Press the button.",
    )


def observation(instruction: str = "Press the button.", actions: Sequence[str] = ACTIONS) -> Observation:
    return Observation(instruction=instruction, text="a page", actions=tuple(actions))


RELEASE = Release(id="rel-1", name="first", model="m", bank_version=0, harness="h")


def request(number: int = 1, *, memory: MemoryMode = MemoryMode.FROZEN, seed: int = 0, of: int = 99) -> EpisodeRequest:
    return EpisodeRequest(
        trajectory_id=f"traj-{of}-{number}",
        run_id="run-1",
        task=task(of),
        phase=Phase.COLLECT,
        release=RELEASE,
        attempt=number,
        memory=memory,
        seed=seed,
    )


def trajectory(
    instruction: str,
    actions: Sequence[Action | str],
    *,
    number: int = 1,
    of: int = 1,
    idle: Sequence[int] = (),
    phase: Phase = Phase.COLLECT,
    end: EpisodeEnd = EpisodeEnd.TERMINATED,
) -> Trajectory:
    """An attempt at task `of`. Each action leads to another page, but those whose index is in `idle` change nothing."""
    page = 0
    steps = []
    for index, action in enumerate(actions):
        before = Observation(instruction=instruction, text=f"page {page}", actions=ACTIONS)
        page += index not in idle
        after = Observation(instruction=instruction, text=f"page {page}", actions=ACTIONS)
        act = Action(text=action) if isinstance(action, str) else action
        steps.append(Step(index=index, observation=before, calls=(), action=act, result=StepResult(observation=after)))
    return Trajectory(
        id=f"traj-{of}-{number}",
        run_id="run-1",
        task=task(of),
        phase=phase,
        release_id="rel-1",
        attempt=number,
        arm="",
        instruction=instruction,
        steps=tuple(steps),
        end=end,
        reward=0.0,
        success=None,
    )


def judged(attempt: Trajectory, success: bool) -> tuple[Trajectory, Verdict]:
    verdict = Verdict(trajectory_id=attempt.id, source=VerdictSource.ENVIRONMENT, success=success, score=float(success))
    return attempt, verdict


def outcome(trajectory_id: str, success: bool, *, template: str = "t") -> Outcome:
    return Outcome(
        trajectory_id=trajectory_id,
        task_id=f"task of {trajectory_id}",
        template_id=template,
        success=success,
        reward=float(success),
        steps=1,
        end=EpisodeEnd.TERMINATED,
        seconds=0.0,
        arm="",
    )
