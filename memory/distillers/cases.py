"""Cases: a task as it was told, what was done, and whether that worked; no model.

Source: Zhou et al. 2025, "Memento: Fine-tuning LLM Agents without Fine-tuning LLMs" (AgentFly), arXiv 2508.16153. Its
non-parametric memory recalls the 4 most similar cases: the similarity ranker with `recall.k = 4`, and room for four,
`recall.max_tokens = 1600`. In a prompt what worked comes before what failed: `wisen.core.prompts.positive_first`.
"""

from collections.abc import Sequence

from wisen.core.records import Author, ItemKind, MemoryItem, Scope, Trust
from wisen.memory.distillers.abstraction import verb_of
from wisen.memory.distillers.attempts import Attempt, effective, in_words, made_one, shortened, telling, title
from wisen.memory.items import make_item

# Characters: a case has to fit the default budget of a recall, 400 tokens.
_TASK = 600
_PLAN = 600
_REASON = 160


class Cases:
    """One case from each attempt, success or failure. Equal cases, of this task or of another, are one item.

    The plan is the actions, without repeats that had no effect; a long one is cut in its middle. A failed case also has
    the reason of its verdict, where there is one.
    """

    @property
    def name(self) -> str:
        return "cases"

    async def distil(self, attempts: Sequence[Attempt]) -> tuple[MemoryItem, ...]:
        """Raises `SettingsError` for attempts at several tasks, for one that may not teach (of the gate or report
        phase), and for a verdict on another trajectory. The order of the attempts does not matter."""
        return made_one(self._case(attempt) for attempt in telling(attempts))

    def _case(self, attempt: Attempt) -> MemoryItem:
        trajectory, verdict = attempt
        actions = [step.action for step in effective(trajectory)]
        plan = in_words(_middle_cut([str(action) for action in actions], _PLAN))
        said = "This worked" if verdict.success else "This did not work"
        reason = shortened(" ".join(verdict.reason.split()), _REASON)
        why = f"\nWhy it failed: {reason}" if reason and not verdict.success else ""
        return make_item(
            kind=ItemKind.CASE,
            title=title(f"{'Solved' if verdict.success else 'Failed'}: {trajectory.instruction}"),
            when_to_use=shortened(trajectory.instruction.strip(), _TASK),
            content=f"{said}: {plan}{why}",
            scope=Scope(
                suite=trajectory.task.suite,
                environment=trajectory.task.environment,
                actions=tuple(verb_of(action) for action in actions),
            ),
            evidence=[trajectory.id],
            source_tasks=[trajectory.task.id],
            outcome_source=verdict.source.value,
            author=Author(distiller=self.name),
            trust=Trust.ENVIRONMENT,
            success=verdict.success,
        )


def _middle_cut(steps: Sequence[str], length: int) -> list[str]:
    """The steps within about `length` characters: how it began and how it ended, and how many are missing between."""
    steps = [shortened(step, length // 3) for step in steps]
    if len(in_words(steps)) <= length:
        return steps
    head, tail = [steps[0]], [steps[-1]]
    left = list(steps[1:-1])
    room = length - len(head[0]) - len(tail[0])
    while left and room >= len(left[0]) + len(left[-1]):
        room -= len(left[0]) + len(left[-1]) + 4
        head.append(left.pop(0))
        if left:
            tail.insert(0, left.pop())
    return [*head, f"[{len(left)} steps left out]", *tail] if left else [*head, *tail]
