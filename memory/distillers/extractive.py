"""The extractive distiller: no language model. A success becomes a workflow with variables; a success beside a failure
of the same task becomes a warning about the first step at which they part.

The default for a backbone too small to write, and the control that any distiller with a language model must beat.
"""

from collections.abc import Sequence

from wisen.core.records import Action, Author, ItemKind, MemoryItem, Scope, Trajectory, Trust
from wisen.memory.distillers.abstraction import abstraction, strings_of, verb_of
from wisen.memory.distillers.attempts import TITLE_LENGTH, Attempt, effective, in_words, made_one, shortened, telling
from wisen.memory.items import make_item


class Extractive:
    """One workflow per task, from its shortest success, and one warning for each way in which a failure parts from a
    success. Nothing is written that the attempts do not hold."""

    @property
    def name(self) -> str:
        return "extractive"

    async def distil(self, attempts: Sequence[Attempt]) -> tuple[MemoryItem, ...]:
        """Raises `SettingsError` for attempts at several tasks, for one that may not teach (of the gate or report
        phase), and for a verdict on another trajectory. The order of the attempts does not matter."""
        told = telling(attempts)
        successes = [attempt for attempt in told if attempt[1].success]
        failures = [attempt for attempt in told if not attempt[1].success]
        if not successes:
            return ()
        items = self._workflow(successes)
        for failure in failures:
            items += self._warning(failure, _closest(failure, successes))
        return made_one(items)

    def _workflow(self, successes: Sequence[Attempt]) -> list[MemoryItem]:
        """From the shortest success; others that did the same add their evidence."""
        made: dict[tuple[str, str], list[Attempt]] = {}
        lengths: dict[tuple[str, str], int] = {}
        for attempt in successes:
            actions = _actions(attempt[0])
            found = abstraction(attempt[0].instruction, actions)
            if actions and not any(found.leftovers(action) for action in actions):
                key = (found.pattern, in_words(found.action(action) for action in actions))
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
        before = in_words(found.action(action) for action in good[:shared])
        where = f"After {before}" if before else "At the start"
        content = f"{where}: {wrong} failed, {right} worked."
        return [self._item(ItemKind.WARNING, found.pattern, content, [failure, success], path)]

    def _item(
        self, kind: ItemKind, pattern: str, content: str, attempts: Sequence[Attempt], actions: Sequence[Action]
    ) -> MemoryItem:
        task = attempts[0][0].task
        return make_item(
            kind=kind,
            title=shortened(pattern, TITLE_LENGTH),
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


def _actions(trajectory: Trajectory) -> list[Action]:
    return [step.action for step in effective(trajectory)]


def _shared(one: Sequence[Action], other: Sequence[Action]) -> int:
    """How many first actions are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (left, right) in pairs if str(left) != str(right)), min(len(one), len(other)))


def _closest(failure: Attempt, successes: Sequence[Attempt]) -> Attempt:
    """The success that goes along with the failure longest; of several the first."""
    actions = _actions(failure[0])
    return max(successes, key=lambda success: _shared(actions, _actions(success[0])))
