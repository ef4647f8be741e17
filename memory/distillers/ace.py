"""ACE's playbook (Zhang et al. 2025, arXiv 2510.04618), own prompts: bullets that count how often they helped.

After each attempt one call reflects: why it ended as it did, and which of the bullets it was shown helped or harmed. A
second call gives operations, which are applied one by one. The playbook is never written anew as a whole, so nothing
in it is lost by being left out.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from wisen.core.protocols import Model
from wisen.core.records import Attempted, ItemKind
from wisen.memory.distillers.curating import DATA, Curating, Number, Written, check_numbers, in_lines, tells
from wisen.memory.distillers.writing import labelled
from wisen.memory.recall import tokens
from wisen.memory.worksheet import Worksheet

HELPFUL, HARMFUL = "helpful", "harmful"
BUDGET = 4_000  # tokens of the whole playbook
MOST_OPERATIONS = 8

_REFLECT = f"""You study an attempt of an agent at a task. It was told some bullets of a playbook.
- cause: why the attempt ended as it did, with the step that decided it. For a failure, the root of it rather than the
  first error that shows.
- lesson: what the agent should know next time, in one to three sentences.
- tags: for each bullet that it was told, one of "helpful" (following it brought the attempt forward), "harmful"
  (following it led the attempt astray) or "neutral" (it made no difference).
{DATA}

Reply with one JSON object and nothing else:
{{"cause": "...", "lesson": "...", "tags": [{{"number": 1, "tag": "helpful"}}]}}"""

_CURATE = f"""You keep the playbook of an agent: bullets with what it has learned. You get the playbook, and a
reflection on the newest attempt. Change the playbook by at most {MOST_OPERATIONS} operations, none if it says all that
already:
- ADD: a bullet that it lacks. Its kind is "strategy" (what to do), "warning" (what to keep from), or "fact" (how the
  environment works).
- UPDATE: a bullet is imprecise. It is replaced and keeps its counts.
- MERGE: two or more bullets say nearly the same. One takes their place, with their counts together.
- DELETE: a bullet is wrong. Counts of "harmful" speak for that.
At most one operation for each bullet. Keep what is specific and useful; what you write has when_to_use, the situation
in which it holds, as one line, and content, one to three sentences that can be acted on. No values of this one task.
{DATA}

Reply with one JSON object and nothing else, its operations being of these four forms:
{{"operations": [{{"do": "ADD", "kind": "strategy", "when_to_use": "...", "content": "..."}},
{{"do": "UPDATE", "number": 1, "when_to_use": "...", "content": "..."}},
{{"do": "MERGE", "numbers": [2, 3], "when_to_use": "...", "content": "..."}},
{{"do": "DELETE", "number": 4}}]}}"""

_Text = Annotated[str, Field(min_length=1, max_length=1200, pattern=r"\S")]


class _Tag(BaseModel):
    number: Number
    tag: Literal["helpful", "harmful", "neutral"]


class _Reflection(BaseModel):
    cause: _Text
    lesson: _Text
    tags: list[_Tag]


class _Add(Written):
    do: Literal["ADD"]
    kind: Literal["strategy", "warning", "fact"]


class _Update(Written):
    do: Literal["UPDATE"]
    number: Number


class _Merge(Written):
    do: Literal["MERGE"]
    numbers: Annotated[list[Number], Field(min_length=2)]


class _Delete(BaseModel):
    do: Literal["DELETE"]
    number: Number


_Operation = _Add | _Update | _Merge | _Delete


class _Operations(BaseModel):
    operations: Annotated[
        list[Annotated[_Operation, Field(discriminator="do")]],
        Field(max_length=MOST_OPERATIONS),
    ]


class ACE(Curating):
    """A playbook of at most `budget` tokens (about four characters each). Over it the bullet with the least helpful -
    harmful goes, of equal ones the oldest."""

    NAME = "ace"

    def __init__(self, model: Model, *, budget: int = BUDGET, temperature: float = 0.0, max_tokens: int = 1536) -> None:
        super().__init__(model, temperature=temperature, max_tokens=max_tokens)
        self._budget = budget

    def batches(self, attempts: Sequence[Attempted]) -> tuple[tuple[Attempted, ...], ...]:
        """One attempt at a time."""
        return tuple((one,) for one in tells(attempts))

    async def _work(self, sheet: Worksheet, attempts: Sequence[Attempted]) -> None:
        """All attempts are reflected on against the playbook as it was, then it is curated once."""
        tags: list[tuple[str, str, str]] = []
        reflections: list[str] = []
        for one in attempts:
            told = [key for key in one.shown if key in sheet.lines]
            reflection = await self._reflect(sheet, one, told)
            tags += [(told[tag.number - 1], tag.tag, one.trajectory.id) for tag in reflection.tags]
            outcome = "succeeded" if one.verdict.success else "failed"
            reflections.append(
                f"TASK\n{one.trajectory.instruction}\nThe attempt {outcome}.\nCAUSE\n{reflection.cause}\n"
                f"LESSON\n{reflection.lesson}"
            )
        net = {key: [tag for told, tag, _ in tags if told == key] for key, _, _ in tags}
        keys = list(sheet.lines)
        listed = in_lines(sheet, keys, lambda key: f"({_counts(sheet, key, net.get(key, []))})")
        reply = await self._ask(
            _CURATE,
            f"PLAYBOOK\n{listed}\n\nREFLECTION\n" + "\n\n".join(reflections),
            _Operations,
            attempts,
            lambda found: check_numbers([number for one in found.operations for number in _numbers(one)], len(keys)),
        )
        for key, tag, trajectory_id in tags:
            if tag in (HELPFUL, HARMFUL):
                sheet.count(key, {tag: 1}, f"{tag} in {trajectory_id}")
        order = (_Delete, _Merge, _Update, _Add)
        for operation in sorted(reply.operations, key=lambda one: order.index(type(one))):
            self._apply(sheet, operation, keys, attempts)
        self._prune(sheet)

    async def _reflect(self, sheet: Worksheet, one: Attempted, told: Sequence[str]) -> _Reflection:
        listed = in_lines(sheet, told, lambda key: "")

        def check(found: _Reflection) -> None:
            check_numbers([tag.number for tag in found.tags], len(told))
            if len(found.tags) != len(told):
                raise ValueError(f"{len(told)} bullets were told, and {len(found.tags)} have a tag")

        record = f"BULLETS THAT IT WAS TOLD\n{listed}\n\n{labelled(one.trajectory, one.verdict)}"
        return await self._ask(_REFLECT, record, _Reflection, [one], check)

    def _apply(
        self, sheet: Worksheet, operation: _Operation, keys: Sequence[str], attempts: Sequence[Attempted]
    ) -> None:
        named = [keys[number - 1] for number in _numbers(operation)]
        match operation:
            case _Delete():
                sheet.retire(named[0], "DELETE")
            case _Merge() | _Update():
                kind = sheet.lines[named[0]].item.kind
                why = "MERGE" if isinstance(operation, _Merge) else "UPDATE"
                sheet.replace(named, self._item(operation, attempts, kind), {}, why)
            case _Add():
                sheet.add(self._item(operation, attempts, ItemKind(operation.kind)), {}, "ADD")

    def _prune(self, sheet: Worksheet) -> None:
        size = {key: tokens(line.item.text) for key, line in sheet.lines.items()}
        left = sum(size.values())
        for key in sorted(sheet.lines, key=lambda key: net_helpful(sheet.lines[key].counts)):  # stable: oldest first
            if left <= self._budget:
                break
            left -= size[key]
            sheet.retire(key, f"over the budget of {self._budget} tokens, {_counts(sheet, key, [])}")


def net_helpful(counts: dict[str, int]) -> int:
    return counts.get(HELPFUL, 0) - counts.get(HARMFUL, 0)


def _counts(sheet: Worksheet, key: str, more: Sequence[str]) -> str:
    counts = sheet.lines[key].counts
    return ", ".join(f"{name} {counts.get(name, 0) + more.count(name)}" for name in (HELPFUL, HARMFUL))


def _numbers(operation: _Operation) -> list[int]:
    match operation:
        case _Merge():
            return operation.numbers
        case _Update() | _Delete():
            return [operation.number]
        case _Add():
            return []
