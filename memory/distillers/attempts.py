"""What distillers have in common: which attempts may teach, what was done in one, and how its items are made one."""

from collections.abc import Iterable, Sequence

from wisen.core.errors import SettingsError
from wisen.core.records import Action, EpisodeEnd, MemoryItem, Phase, Step, Trajectory, Verdict
from wisen.memory.items import joined

Attempt = tuple[Trajectory, Verdict]

TITLE_LENGTH = 80


def check_attempts(attempts: Sequence[Attempt]) -> None:
    """What a distiller may be given: attempts at one task, collected, each with its own verdict. Raises
    `SettingsError` for anything else."""
    tasks = sorted({trajectory.task.id for trajectory, _ in attempts})
    if len(tasks) > 1:
        raise SettingsError(f"attempts at {len(tasks)} tasks were given to distil at once, such as {tasks[0]}")
    for trajectory, verdict in attempts:
        if verdict.trajectory_id != trajectory.id:
            raise SettingsError(f"a verdict on {verdict.trajectory_id} was given for {trajectory.id}")
        if trajectory.phase is not Phase.COLLECT:
            raise SettingsError(
                f"{trajectory.id} is of the {trajectory.phase.value} phase", "only collected episodes may teach"
            )


def telling(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The attempts that say something of their actions, in an order that does not depend on theirs: not those that
    broke, took no step or had no instruction. Raises what `check_attempts` raises."""
    check_attempts(attempts)
    return sorted((attempt for attempt in attempts if _tells(attempt[0])), key=lambda attempt: attempt[0].id)


def effective(trajectory: Trajectory) -> tuple[Step, ...]:
    """The steps without the repeats that did nothing: one that changed neither text nor offers, and is taken again at
    that same sight later, is left out. The last one stays, for not every effect can be seen."""
    later: set[tuple[str, ...]] = set()
    kept: list[Step] = []
    for step in reversed(trajectory.steps):
        before = _sight(step)
        after = (step.result.observation.text, *step.result.observation.actions)
        taken = (*before, str(step.action))
        if not (after == before and taken in later):
            kept.append(step)
        later.add(taken)
    return tuple(reversed(kept))


def refused(step: Step) -> bool:
    """Whether the environment did not do it: it said so, or it called it a violation."""
    return bool(step.result.info.get("refused") or step.result.violation)


def different(attempts: Iterable[Attempt]) -> list[Attempt]:
    """One of those that did the same, shortest first."""
    ways: dict[tuple[str, ...], Attempt] = {}
    for attempt in attempts:
        ways.setdefault(done(attempt[0]), attempt)
    return [ways[way] for way in sorted(ways, key=lambda way: (len(way), way))]


def done(trajectory: Trajectory) -> tuple[str, ...]:
    """The actions that had an effect, in words."""
    return tuple(str(step.action) for step in effective(trajectory) if not refused(step))


def offers(trajectory: Trajectory) -> bool:
    """Whether the environment named actions or tools to choose from. Where it did not, it took free text."""
    return any(step.observation.actions or step.observation.tools for step in trajectory.steps)


def in_words(actions: Iterable[Action | str]) -> str:
    """Actions in a row, as items write them down."""
    return "; ".join(str(action) for action in actions)


def title(text: str, length: int = TITLE_LENGTH) -> str:
    """The text as one line of at most `length` characters."""
    return shortened(" ".join(text.split()), length)


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def made_one(items: Iterable[MemoryItem]) -> tuple[MemoryItem, ...]:
    """Items of one id as one, with the evidence of all, in order of first appearance."""
    found: dict[str, MemoryItem] = {}
    for item in items:
        first = found.get(item.id)
        found[item.id] = item if first is None else joined(first, item.evidence, item.source_tasks)
    return tuple(found.values())


def _tells(trajectory: Trajectory) -> bool:
    return bool(trajectory.steps and trajectory.instruction.strip()) and trajectory.end is not EpisodeEnd.FAILED


def _sight(step: Step) -> tuple[str, ...]:
    return (step.observation.text, *step.observation.actions)
