"""Raw episodes: each attempt as it was, cut to a length that a prompt can hold. The control that any distilling must
beat, since it keeps what happened and concludes nothing."""

from collections.abc import Sequence

from wisen.core.records import Author, ItemKind, MemoryItem, Scope, Trajectory, Trust
from wisen.memory.distillers.abstraction import verb_of
from wisen.memory.distillers.attempts import Attempt, made_one, shortened, telling, title
from wisen.memory.items import make_item
from wisen.memory.transcript import transcript

LENGTH = 1200  # characters: with its task an episode fits the default budget of a recall, 400 tokens
_TASK = 300
_DETAIL = ((400, 600), (200, 300), (100, 150), (50, 100), (25, 50))  # characters of a step, of the end


class Raw:
    """One item from each attempt, success or failure: its transcript and how it went. Long observations are cut first,
    then steps in the middle are left out."""

    @property
    def name(self) -> str:
        return "raw"

    async def distil(self, attempts: Sequence[Attempt]) -> tuple[MemoryItem, ...]:
        """Raises `SettingsError` for attempts at several tasks, for one that may not teach (of the gate or report
        phase), and for a verdict on another trajectory. The order of the attempts does not matter."""
        return made_one(self._episode(attempt) for attempt in telling(attempts))

    def _episode(self, attempt: Attempt) -> MemoryItem:
        trajectory, verdict = attempt
        task = trajectory.task
        outcome = "OUTCOME: it worked" if verdict.success else "OUTCOME: it did not work"
        return make_item(
            kind=ItemKind.CASE,
            title=title(f"An earlier attempt that {'worked' if verdict.success else 'failed'}", 60),
            when_to_use=shortened(trajectory.instruction.strip(), _TASK),
            content=f"{bounded(trajectory, LENGTH - len(outcome) - 2)}\n\n{outcome}",
            scope=Scope(
                suite=task.suite,
                environment=task.environment,
                actions=tuple(verb_of(step.action) for step in trajectory.steps),
            ),
            evidence=[trajectory.id],
            source_tasks=[task.id],
            outcome_source=verdict.source.value,
            author=Author(distiller=self.name),
            trust=Trust.ENVIRONMENT,
            success=verdict.success,
        )


def bounded(trajectory: Trajectory, length: int) -> str:
    """The transcript without its task in at most `length` characters, with as much detail as fits."""
    text = ""
    for steps in (30, 12, 6, 4, 2):
        for chars, final in _DETAIL:
            text = transcript(trajectory, step_chars=chars, final_chars=final, steps=steps, task=False)
            if len(text) <= length:
                return text
    return shortened(text, length)
