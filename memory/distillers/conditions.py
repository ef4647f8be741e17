"""AlphaOPT's insights with explicit conditions, own prompts: one that misfired has its condition narrowed.

Source: Kong et al. 2025, "AlphaOPT: Formulating Optimization Programs with Self-Improving LLM Experience Library",
arXiv 2510.18428. The method is theirs (insights that say when they apply, and a second look at those that were used
where they did not); prompts and code are ours.

Whether a misfire was the insight's fault is for the model to say: what was shown in a failure need not have caused it.
The counts "worked" and "misfired" stand in the ledger, and the measured effect of an item remains what decides on it.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from wisen.core.protocols import Model
from wisen.core.records import Attempted, Author, ItemKind, MemoryItem
from wisen.memory.distillers.curating import DATA, Curating, Number, Written, check_numbers, in_lines, tells
from wisen.memory.distillers.writing import Lesson, Line, labelled, lesson_rules, refuse_values, values_of
from wisen.memory.guard import redact
from wisen.memory.items import identified, normalised
from wisen.memory.worksheet import Worksheet

WORKED, MISFIRED = "worked", "misfired"
MAX_INSIGHTS = 3

_INSIGHTS = f"""You draw insights from an attempt of an agent at a task, for other tasks of this kind: from a success
what made it work, from a failure what would have kept it from failing. An insight is of use only where it applies, so
its conditions matter as much as its advice: when_to_use is what must be the case, told by what can be seen before
acting; when_not is the situation that looks alike and in which the advice does harm.
Some insights may be listed that the agent was told. Do not repeat them.
{lesson_rules(MAX_INSIGHTS)}"""

_NARROW = f"""An agent was told some insights, and its attempt misfired: it failed, or did worse than an attempt at the
same task without them. For each insight decide from the record:
- KEEP: it was not followed, or did no harm.
- NARROW: it was followed where it does not apply. Its advice stays as it is; write its conditions anew, so that they
  leave out situations like this one and still hold where the advice is good. when_to_use must be narrower than before
  and say what can be seen before acting; when_not names what was different here. One line each.
No values of this one task: no names, texts or numbers of it. Give every insight exactly one decision, and say why.
{DATA}

Reply with one JSON object and nothing else, its decisions being of these two forms:
{{"decisions": [{{"do": "KEEP", "number": 1, "why": "..."}},
{{"do": "NARROW", "number": 2, "why": "...", "when_to_use": "...", "when_not": "..."}}]}}"""


class _Insights(BaseModel):
    items: Annotated[list[Lesson], Field(max_length=MAX_INSIGHTS)]


class _Keep(BaseModel):
    do: Literal["KEEP"]
    number: Number
    why: Line


class _Narrow(BaseModel):
    do: Literal["NARROW"]
    number: Number
    why: Line
    when_to_use: Line
    when_not: Line


class _Decisions(BaseModel):
    decisions: list[Annotated[_Keep | _Narrow, Field(discriminator="do")]]


class Conditions(Curating):
    """Insights, strategies from successes and warnings from failures, up to three from an attempt. One that was shown
    in an attempt that misfired may get narrower conditions: a new version with its advice, its evidence and its
    counts, which takes its place.

    An attempt misfired if it failed, or had a lower score than an earlier one at its task; what that other attempt was
    told as well is not to blame. A reply that spells out a value of the task, a decision missing, and a narrower
    condition that is the old one, are malformed.
    """

    NAME = "conditions"

    def __init__(self, model: Model, *, temperature: float = 0.0, max_tokens: int = 1536) -> None:
        super().__init__(model, temperature=temperature, max_tokens=max_tokens)

    def batches(self, attempts: Sequence[Attempted]) -> tuple[tuple[Attempted, ...], ...]:
        """One attempt at a time, with the best earlier one at its task beside it where that one did better."""
        able = tells(attempts)
        found: list[tuple[Attempted, ...]] = []
        for place, one in enumerate(able):
            before = [each for each in able[:place] if each.trajectory.task.id == one.trajectory.task.id]
            best = max(before, key=_merit, default=one)
            found.append((one, best) if _merit(best) > _merit(one) else (one,))
        return tuple(found)

    async def _work(self, sheet: Worksheet, attempts: Sequence[Attempted]) -> None:
        """Both calls are made before anything is changed."""
        one, *better = attempts
        told = [key for key in one.shown if key in sheet.lines]
        misfired = bool(better) or not one.verdict.success
        blamed = [key for key in told if misfired and not any(key in other.shown for other in better)]
        narrowed = await self._narrowed(sheet, blamed, attempts) if blamed else []
        insights = await self._insights(sheet, told, one)
        for key in told:
            if not misfired:
                sheet.count(key, {WORKED: 1}, f"{WORKED} in {one.trajectory.id}")
            elif key in blamed:
                sheet.count(key, {MISFIRED: 1}, f"{MISFIRED} in {one.trajectory.id}")
        for decision in narrowed:
            key = blamed[decision.number - 1]
            sheet.replace([key], self._narrower(sheet.lines[key].item, decision, one), {}, f"NARROW: {decision.why}")
        kind = ItemKind.STRATEGY if one.verdict.success else ItemKind.WARNING
        for insight in insights:
            sheet.add(self._insight(insight, one, kind), {}, "ADD")

    async def _narrowed(self, sheet: Worksheet, keys: Sequence[str], attempts: Sequence[Attempted]) -> list[_Narrow]:
        values = values_of(one.trajectory for one in attempts)

        def check(found: _Decisions) -> None:
            check_numbers([one.number for one in found.decisions], len(keys))
            if len(found.decisions) != len(keys):
                raise ValueError(f"{len(keys)} insights were told, and {len(found.decisions)} have a decision")
            for decision in found.decisions:
                if isinstance(decision, _Narrow):
                    refuse_values(values, [decision.when_to_use, decision.when_not])
                    old = sheet.lines[keys[decision.number - 1]].item
                    if normalised(decision.when_to_use) == normalised(old.when_to_use):
                        raise ValueError(f"when_to_use of insight {decision.number} is what it was before")

        record = f"INSIGHTS THAT IT WAS TOLD\n{_listed(sheet, keys)}\n\nTHE ATTEMPT\n{_told(attempts[0])}"
        if len(attempts) > 1:
            record += f"\n\nA BETTER ATTEMPT AT THE SAME TASK\n{_told(attempts[1])}"
        reply = await self._ask(_NARROW, record, _Decisions, attempts, check)
        return [one for one in reply.decisions if isinstance(one, _Narrow)]

    async def _insights(self, sheet: Worksheet, told: Sequence[str], one: Attempted) -> list[Lesson]:
        values = values_of([one.trajectory])
        record = f"INSIGHTS THAT IT WAS TOLD\n{_listed(sheet, told)}\n\n{_told(one)}"
        reply = await self._ask(
            _INSIGHTS, record, _Insights, [one], lambda found: refuse_values(values, _texts(found.items))
        )
        return reply.items

    def _insight(self, insight: Lesson, one: Attempted, kind: ItemKind) -> MemoryItem:
        made = self._item(Written(when_to_use=insight.when_to_use, content=insight.content), [one], kind)
        conditions = {"title": redact(insight.title.strip()), "when_not": redact(insight.when_not.strip())}
        return made.model_copy(update=conditions)

    def _narrower(self, old: MemoryItem, decision: _Narrow, one: Attempted) -> MemoryItem:
        """The sheet adds the evidence that the old one has."""
        conditions = {name: redact(getattr(decision, name).strip()) for name in ("when_to_use", "when_not")}
        taught = {"evidence": (one.trajectory.id,), "source_tasks": (one.trajectory.task.id,)}
        author = Author(distiller=self.name, model=self._model.name, prompt_version=self.PROMPT_VERSION)
        return identified(old.model_copy(update={**conditions, **taught, "author": author, "parent_id": None}))


def _merit(one: Attempted) -> tuple[bool, float]:
    return one.verdict.success, one.verdict.score


def _told(one: Attempted) -> str:
    return labelled(one.trajectory, one.verdict, step_chars=800, final_chars=1200, steps=20)


def _listed(sheet: Worksheet, keys: Sequence[str]) -> str:
    return in_lines(sheet, keys, lambda key: f"(Not when: {sheet.lines[key].item.when_not or 'nothing is said'})")


def _texts(lessons: Sequence[Lesson]) -> list[str]:
    return [text for one in lessons for text in (one.title, one.when_to_use, one.when_not, one.content)]
