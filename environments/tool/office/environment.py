"""One desk in the organisation: plays tasks of the suite `office`, one episode at a time."""

from dataclasses import dataclass
from pathlib import Path

from wisen.core.records import Action, Observation, Snapshot, StepResult, Task
from wisen.environments.snapshots import kept, opened
from wisen.environments.tasks import checked_task, not_ours, refuse_closed, running
from wisen.environments.tool.calls import BadCall, Toolbox, shortened
from wisen.environments.tool.office.checkers import judged, remark
from wisen.environments.tool.office.desk import Desk
from wisen.environments.tool.office.offers import Seen, offered, seen_in
from wisen.environments.tool.office.organisation import DESK, FOLDERS, organisation, ways_of
from wisen.environments.tool.office.state import State
from wisen.environments.tool.office.templates import TEMPLATES, Job, job_of
from wisen.environments.tool.office.tools import FINISH, TOOLS

SUITE = "office"
VERSION = "1"  # of tasks and tools; another one makes other tasks
STEP_LIMIT = 40
_TOOLBOX = Toolbox(TOOLS)
_EARLIER = 6  # answers that stay in sight


@dataclass(frozen=True, slots=True)
class Kept:
    """What an episode is beside its task. answers: newest first, each once."""

    state: State
    seen: Seen
    answers: tuple[str, ...]
    steps: int


@dataclass(slots=True)
class _Episode:
    task: Task
    job: Job
    desk: Desk
    opening: str
    state: State
    seen: Seen
    actions: tuple[str, ...]
    answers: tuple[str, ...] = ()
    steps: int = 0


def job_for(task: Task) -> tuple[Job, Desk]:
    """The task's job, and the desk it is done at. Raises `EnvironmentFault` for a task that is not of this suite."""
    template = TEMPLATES.get(str(task.params.get("template", "")))
    house = task.params.get("organisation")
    checked_task(task, SUITE, VERSION)
    if template is None or not isinstance(house, int):
        raise not_ours(task, SUITE, VERSION)
    desk = Desk(organisation(house), ways_of(house, bool(task.params.get("conventions", True))))
    return job_of(template, house, task.seed), desk


class OfficeEnvironment:
    """Actions: tool calls, or their text form. `finish` ends the episode; only then the final state is judged."""

    def __init__(self) -> None:
        self._episode: _Episode | None = None
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Begin the task. Raises `EnvironmentFault` for a task of another suite or version."""
        self._refuse_closed()
        job, desk = job_for(task)
        told = opening(job)
        seen = seen_in(job.instruction, told, job.house)
        self._episode = _Episode(task, job, desk, told, job.state, seen, offered(seen, job.house))
        return _observe(self._episode)

    async def step(self, action: Action) -> StepResult:
        """Act. Raises `EnvironmentFault` when no episode is running."""
        episode = self._running()
        try:
            call = _TOOLBOX.understood(action)
        except BadCall as why:
            return self._go_on(episode, str(why), refused=True)
        if call.name == FINISH:
            return self._finish(episode)
        answer = episode.desk.call(episode.state, call.name, call.arguments)
        seen = episode.seen.after(answer.text, episode.job.house)
        if seen != episode.seen:
            episode.seen, episode.actions = seen, offered(seen, episode.job.house)
        episode.state = answer.state
        return self._go_on(episode, answer.text, refused=answer.refused, violation=answer.violation, cost=answer.cost)

    async def snapshot(self) -> Snapshot:
        episode = self._running()
        return kept(episode.task, Kept(episode.state, episode.seen, episode.answers, episode.steps))

    async def restore(self, snapshot: Snapshot) -> Observation:
        self._refuse_closed()
        job, desk = job_for(snapshot.task)
        was = opened(snapshot, Kept)
        actions = offered(was.seen, job.house)
        self._episode = _Episode(
            snapshot.task, job, desk, opening(job), was.state, was.seen, actions, was.answers, was.steps
        )
        return _observe(self._episode)

    async def close(self) -> None:
        self._closed = True
        self._episode = None

    def _refuse_closed(self) -> None:
        refuse_closed(self._closed)

    def _running(self) -> _Episode:
        return running(self._episode)

    def _go_on(
        self, episode: _Episode, text: str, *, refused: bool, violation: str = "", cost: float = 0.0
    ) -> StepResult:
        episode.answers = (text, *[one for one in episode.answers if one != text])[:_EARLIER]
        episode.steps += 1
        over = episode.steps >= STEP_LIMIT
        self._episode = None if over else episode
        note = shortened(" ".join(text.split()), 160)
        return StepResult(
            observation=_observe(episode),
            truncated=over,
            success=False if over else None,
            info={"note": note, "refused": text} if refused else {"note": note},
            violation=violation,
            cost=cost,
        )

    def _finish(self, episode: _Episode) -> StepResult:
        verdict = judged(episode.job.checks, episode.job.state, episode.state, episode.desk)
        told = remark(verdict)
        self._episode = None
        episode.answers = (told, *episode.answers)[:_EARLIER]
        return StepResult(
            observation=_observe(episode),
            reward=float(verdict.success),
            terminated=True,
            success=verdict.success,
            info={"note": told, "progress": verdict.progress},
        )


def instruction_of(job: Job) -> str:
    return f"At {job.house.name}: {job.instruction}"


def opening(job: Job) -> str:
    """What everyone in the house knows: who works here, and which folders there are."""
    house = job.house
    staff = [f"{one.address} ({one.role})" for one in house.staff]
    folders = f"Folders: {' '.join((*FOLDERS, DESK))}"
    return "\n".join([f"{house.name}, {house.town}. Colleagues:", *staff, folders])


def _observe(episode: _Episode) -> Observation:
    newest, *earlier = episode.answers or ("",)
    parts = [newest] * bool(newest) + (["Before:", *earlier] if earlier else []) + [episode.opening]
    return Observation(
        instruction=instruction_of(episode.job),
        text="\n".join(parts),
        actions=episode.actions,
        tools=TOOLS,
    )
