"""Agent Workflow Memory by rule: what was done in successes, with variables, and the parts that recur; no model.

Source: Wang et al. 2024, "Agent Workflow Memory", arXiv 2409.07429 (its rule-based variant). The method is theirs
(invalid steps dropped, one of each action signature kept, sub-routines with values as variables); the rules are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from wisen.core.records import Action, Author, ItemKind, MemoryItem, Scope, Trust
from wisen.memory.distillers.abstraction import Abstraction, abstraction, verb_of
from wisen.memory.distillers.attempts import Attempt, effective, in_words, made_one, refused, telling, title
from wisen.memory.items import make_item

LONGEST_PART = 4  # steps: parts of a long way grow in number with its length, not with its square
RECURS = 2  # tasks that must share a part before it is recalled


@dataclass(frozen=True)
class _Way:
    """What one success did: its steps that had an effect, and the values of its task."""

    attempt: Attempt
    actions: tuple[Action, ...]
    values: Abstraction

    def said(self, start: int, end: int) -> tuple[Abstraction, tuple[str, ...]]:
        """Steps `start` to `end` in words, their variables named by these very steps, so that two tasks that share
        them share their words."""
        part = self.actions[start:end]
        named = self.values.named(part)
        return named, tuple(named.action(action) for action in part)

    @property
    def signature(self) -> tuple[str, tuple[str, ...]]:
        named, steps = self.said(0, len(self.actions))
        return named.pattern, steps


class Workflows:
    """From the shortest success of a task its whole way, and each part of 2 to 4 consecutive steps.

    Steps that the environment refused, and repeats without effect, are left out. Successes with one action signature
    (the same steps on other values) are one workflow, with the evidence of all.

    A distiller sees one task, and a sub-routine is what several share. So each part enters the bank under words that
    do not depend on its task (its variables are named by its own steps, and it says nothing of the instruction): equal
    parts of other tasks have the same id and join their evidence. Its source tasks are how often it recurs, and until
    there are two (`MemoryItem.needs_tasks`) the part waits and is never recalled. A whole way is recalled at once.
    """

    @property
    def name(self) -> str:
        return "workflows"

    async def distil(self, attempts: Sequence[Attempt]) -> tuple[MemoryItem, ...]:
        """Raises `SettingsError` for attempts at several tasks, for one that may not teach (of the gate or report
        phase), and for a verdict on another trajectory. The order of the attempts does not matter."""
        ways = [way for attempt in telling(attempts) if attempt[1].success and (way := _way(attempt)) is not None]
        if not ways:
            return ()
        best = min(ways, key=lambda way: (len(way.actions), way.signature))
        same = [way for way in ways if way.signature == best.signature]
        parts = [
            self._part(same, start, start + length)
            for length in range(2, min(LONGEST_PART, len(best.actions) - 1) + 1)
            for start in range(len(best.actions) - length + 1)
        ]
        return made_one([self._whole(same), *parts])

    def _whole(self, ways: Sequence[_Way]) -> MemoryItem:
        (pattern, steps), task = ways[0].signature, ways[0].attempt[0].task
        scope = Scope(suite=task.suite, environment=task.environment, actions=_verbs(ways[0].actions))
        return self._item(ways, scope, title(pattern), pattern, in_words(steps))

    def _part(self, ways: Sequence[_Way], start: int, end: int) -> MemoryItem:
        _, steps = ways[0].said(start, end)
        actions = ways[0].actions[start:end]
        scope = Scope(suite=ways[0].attempt[0].task.suite, actions=_verbs(actions))
        when = f"Part of a longer task, where it comes to: {steps[0]}"
        return self._item(ways, scope, title(in_words(steps)), when, in_words(steps))

    def _item(self, ways: Sequence[_Way], scope: Scope, title: str, when: str, content: str) -> MemoryItem:
        trajectory, verdict = ways[0].attempt
        return make_item(
            kind=ItemKind.WORKFLOW,
            title=title,
            when_to_use=when,
            content=content,
            scope=scope,
            evidence=[way.attempt[0].id for way in ways],
            source_tasks=[trajectory.task.id],
            outcome_source=verdict.source.value,
            author=Author(distiller=self.name),
            trust=Trust.ENVIRONMENT,
            needs_tasks=1 if scope.environment else RECURS,
        )


def _way(attempt: Attempt) -> _Way | None:
    """None where nothing was done, or a value can neither be named nor left in."""
    trajectory, _ = attempt
    actions = tuple(step.action for step in effective(trajectory) if not refused(step))
    values = abstraction(trajectory.instruction, actions)
    if not actions or any(values.leftovers(action) for action in actions):
        return None
    return _Way(attempt, actions, values)


def _verbs(actions: Sequence[Action]) -> tuple[str, ...]:
    return tuple(verb_of(action) for action in actions)
