"""The extractive distiller: no language model. A success becomes a workflow with variables; a success beside a failure
of the same task becomes a warning about the first step at which they part.

The default for a backbone too small to write, and the control that any distiller with a language model must beat.
"""

from collections.abc import Sequence

from wisen.core.errors import SettingsError
from wisen.core.records import (
    Action,
    Author,
    EpisodeEnd,
    ItemKind,
    MemoryItem,
    Phase,
    Scope,
    Step,
    Trajectory,
    Trust,
    Verdict,
)
from wisen.memory.distillers.abstraction import abstraction, strings_of, verb_of
from wisen.memory.items import joined, make_item

Attempt = tuple[Trajectory, Verdict]

TITLE_LENGTH = 80


class Extractive:
    """One workflow per task, from its shortest success, and one warning for each way in which a failure parts from a
    success. Nothing is written that the attempts do not hold."""

    @property
    def name(self) -> str:
        return "extractive"

    async def distil(self, attempts: Sequence[Attempt]) -> tuple[MemoryItem, ...]:
        """Raises `SettingsError` for attempts at several tasks, for one that may not teach (of the gate or report
        phase), and for a verdict on another trajectory. The order of the attempts does not matter."""
        check_attempts(attempts)
        telling = sorted((attempt for attempt in attempts if _tells(attempt[0])), key=lambda attempt: attempt[0].id)
        successes = [attempt for attempt in telling if attempt[1].success]
        failures = [attempt for attempt in telling if not attempt[1].success]
        if not successes:
            return ()
        items = self._workflow(successes)
        for failure in failures:
            items += self._warning(failure, _closest(failure, successes))
        unique: dict[str, MemoryItem] = {}
        for item in items:
            known = unique.get(item.id)
            unique[item.id] = item if known is None else joined(known, item.evidence, item.source_tasks)
        return tuple(unique.values())

    def _workflow(self, successes: Sequence[Attempt]) -> list[MemoryItem]:
        """From the shortest success; others that did the same add their evidence."""
        made: dict[tuple[str, str], list[Attempt]] = {}
        lengths: dict[tuple[str, str], int] = {}
        for attempt in successes:
            actions = _actions(attempt[0])
            found = abstraction(attempt[0].instruction, actions)
            if actions and not any(found.leftovers(action) for action in actions):
                key = (found.pattern, "; ".join(found.action(action) for action in actions))
                made.setdefault(key, []).append(attempt)
                lengths[key] = len(actions)
        if not made:
            return []
        best = min(made, key=lambda key: (lengths[key], key))
        pattern, content = best
        return [self._item(ItemKind.WORKFLOW, pattern, content, made[best], _actions(made[best][0][0]))]

    def _warning(self, failure: Attempt, success: Attempt) -> list[MemoryItem]:
        """`After S, X failed; Y worked`: the first step at which two attempts part that were alike until there."""
        bad, good = _actions(failure[0]), _actions(success[0])
        shared = _shared(bad, good)
        if shared == min(len(bad), len(good)):
            return []  # one goes on where the other ends: there is no step to hold against another
        instruction = success[0].instruction
        found = abstraction(instruction, [*good, bad[shared]])
        known = strings_of(good)
        wrong = found.action(bad[shared], known)
        right = found.action(good[shared])
        path = [*good[: shared + 1], bad[shared]]
        if wrong == right or any(found.leftovers(action) for action in path):
            return []
        before = "; ".join(found.action(action) for action in good[:shared])
        where = f"After {before}" if before else "At the start"
        content = f"{where}: {wrong} failed, {right} worked."
        return [self._item(ItemKind.WARNING, found.pattern, content, [failure, success], path)]

    def _item(
        self, kind: ItemKind, pattern: str, content: str, attempts: Sequence[Attempt], actions: Sequence[Action]
    ) -> MemoryItem:
        task = attempts[0][0].task
        title = pattern if len(pattern) <= TITLE_LENGTH else pattern[: TITLE_LENGTH - 1].rstrip() + "…"
        return make_item(
            kind=kind,
            title=title,
            when_to_use=pattern,
            content=content,
            scope=Scope(
                suite=task.suite,
                environment=task.environment,
                actions=tuple(verb_of(action) for action in actions),
            ),
            evidence=[trajectory.id for trajectory, _ in attempts],
            source_tasks=[task.id],
            outcome_source=attempts[0][1].source.value,
            author=Author(distiller=self.name),
            trust=Trust.ENVIRONMENT,
        )


def check_attempts(attempts: Sequence[Attempt]) -> None:
    """What a distiller may be given: attempts at one task, collected, each with its own verdict."""
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


def _tells(trajectory: Trajectory) -> bool:
    """A broken episode says nothing of its actions, and without an instruction there is no situation to name."""
    return bool(trajectory.steps and trajectory.instruction.strip()) and trajectory.end is not EpisodeEnd.FAILED


def _actions(trajectory: Trajectory) -> list[Action]:
    """What was done, without the repeats that did nothing: a step that changed neither text nor offers, and is taken
    again at that same sight later, is left out. The last one stays, for not every effect can be seen."""
    later: set[tuple[str, ...]] = set()
    kept: list[Action] = []
    for step in reversed(trajectory.steps):
        sight = (*_sight(step), str(step.action))
        unchanged = (step.result.observation.text, *step.result.observation.actions) == _sight(step)
        if not (unchanged and sight in later):
            kept.append(step.action)
        later.add(sight)
    return kept[::-1]


def _sight(step: Step) -> tuple[str, ...]:
    return (step.observation.text, *step.observation.actions)


def _shared(one: Sequence[Action], other: Sequence[Action]) -> int:
    """How many first actions are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (left, right) in pairs if str(left) != str(right)), min(len(one), len(other)))


def _closest(failure: Attempt, successes: Sequence[Attempt]) -> Attempt:
    """The success that goes along with the failure longest; of several the first."""
    actions = _actions(failure[0])
    return max(successes, key=lambda success: _shared(actions, _actions(success[0])))
