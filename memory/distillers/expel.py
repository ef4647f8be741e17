"""ExpeL's insights (Zhao et al. 2023, arXiv 2308.10144), own prompts: a list on which later experience votes.

From each pair of a success and a failure at one task, then from successes eight at a time, a model gives up to four
operations: AGREE +1, REMOVE -1, EDIT replaces and +1, ADD enters with 2. What has no votes left is dropped.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from wisen.core.protocols import Model
from wisen.core.records import Attempted
from wisen.memory.distillers.curating import DATA, Curating, Number, Written, check_numbers, in_lines, tells
from wisen.memory.distillers.writing import side_by_side
from wisen.memory.transcript import Cut
from wisen.memory.worksheet import Worksheet

VOTES = "votes"
CAP = 20
MOST_OPERATIONS = 4
CHUNK = 8
NEW, REMOVED, REMOVED_FROM_FULL = 2, -1, -3

_PAIR = """You compare two attempts of an agent at one task, one that succeeded and one that failed, to improve a list
of insights that helps it with other tasks. Find where the failure went another way, and what would have told the agent
so in time."""

_SUCCESSES = """You read successful attempts of an agent at several tasks, to improve a list of insights that helps it
with other tasks. Find what they have in common that made them succeed."""

_RULES = f"""
You change the list by at most {MOST_OPERATIONS} operations, fewer if less is to be said, none if nothing is:
- AGREE: the records bear an insight out. It gains a vote.
- REMOVE: the records contradict an insight, or another one says it as well. It loses a vote.
- EDIT: an insight is nearly right, or can be made more general. It is replaced, and gains a vote.
- ADD: an insight that the list lacks.
At most one operation for each line of the list. What you write:
- is general: no names of sites, pages, products or people, no search texts, no values of these tasks;
- is concrete: steps that the agent can carry out and check, not attitudes and not praise;
- has when_to_use, the situation in which it holds, as one line, and content, one to three sentences.
{DATA}

Reply with one JSON object and nothing else, its operations being of these four forms:
{{"operations": [{{"do": "AGREE", "number": 1}}, {{"do": "REMOVE", "number": 2}},
{{"do": "EDIT", "number": 3, "when_to_use": "...", "content": "..."}},
{{"do": "ADD", "when_to_use": "...", "content": "..."}}]}}"""

_FULL = "\nThe list is full. Remove what helps least; ADD only what is worth more than the least on it."


class _Agree(BaseModel):
    do: Literal["AGREE"]
    number: Number


class _Remove(BaseModel):
    do: Literal["REMOVE"]
    number: Number


class _Edit(Written):
    do: Literal["EDIT"]
    number: Number


class _Add(Written):
    do: Literal["ADD"]


class _Operations(BaseModel):
    operations: Annotated[
        list[Annotated[_Agree | _Remove | _Edit | _Add, Field(discriminator="do")]], Field(max_length=MOST_OPERATIONS)
    ]


class ExpeL(Curating):
    """A list of at most `cap` insights with votes, most votes first, of equal ones the oldest.

    A failure whose own task was never solved is held against a success of its template: the same task with other
    values. From a full list REMOVE takes three votes. Over the cap the one with fewest votes goes, of equal ones the
    oldest.
    """

    NAME = "expel"

    def __init__(
        self, model: Model, *, cap: int = CAP, chunk: int = CHUNK, temperature: float = 0.0, max_tokens: int = 1024
    ) -> None:
        super().__init__(model, temperature=temperature, max_tokens=max_tokens)
        self._cap, self._chunk = cap, chunk

    def batches(self, attempts: Sequence[Attempted]) -> tuple[tuple[Attempted, ...], ...]:
        """Each pair (success, failure), then the successes in chunks."""
        able = tells(attempts)
        successes = [one for one in able if one.verdict.success]
        chunks = [tuple(successes[start : start + self._chunk]) for start in range(0, len(successes), self._chunk)]
        return (*_pairs(able), *chunks)

    async def _work(self, sheet: Worksheet, attempts: Sequence[Attempted]) -> None:
        keys = ranking(sheet)
        full = len(keys) >= self._cap
        mixed = len({one.verdict.success for one in attempts}) > 1
        rules = (_PAIR if mixed else _SUCCESSES) + "\n" + _RULES + (_FULL if full else "")
        listed = in_lines(sheet, keys, lambda key: f"({_votes(sheet, key)} votes)")
        cut: Cut = {} if mixed else {"step_chars": 300, "final_chars": 1000, "steps": 15}  # eight records in one prompt
        records = side_by_side([(one.trajectory, one.verdict) for one in attempts], **cut)

        def check(reply: _Operations) -> None:
            check_numbers([one.number for one in reply.operations if not isinstance(one, _Add)], len(keys))

        record = f"INSIGHTS\n{listed}\n\n{records}"
        reply = await self._ask(rules, record, _Operations, attempts, check)
        order = (_Remove, _Agree, _Edit, _Add)  # removed first, so that an edit may say what was voted out
        for operation in sorted(reply.operations, key=lambda one: order.index(type(one))):
            self._apply(sheet, operation, keys, attempts, full)
        for key in reversed(ranking(sheet, newest=True)[self._cap :]):
            sheet.retire(key, f"over the cap of {self._cap}, with {_votes(sheet, key)} votes")

    def _apply(
        self,
        sheet: Worksheet,
        operation: _Agree | _Remove | _Edit | _Add,
        keys: Sequence[str],
        attempts: Sequence[Attempted],
        full: bool,
    ) -> None:
        evidence = [one.trajectory.id for one in attempts]
        tasks = [one.trajectory.task.id for one in attempts]
        match operation:
            case _Agree():
                sheet.count(keys[operation.number - 1], {VOTES: 1}, "AGREE", evidence=evidence, source_tasks=tasks)
            case _Remove():
                key = keys[operation.number - 1]
                sheet.count(key, {VOTES: REMOVED_FROM_FULL if full else REMOVED}, "REMOVE")
                if _votes(sheet, key) <= 0:
                    sheet.retire(key, "no votes are left")
            case _Edit():
                sheet.replace([keys[operation.number - 1]], self._item(operation, attempts), {VOTES: 1}, "EDIT")
            case _Add():
                item = self._item(operation, attempts)
                sheet.add(item, {VOTES: 1 if item.id in sheet.lines else NEW}, "ADD")


def ranking(sheet: Worksheet, *, newest: bool = False) -> list[str]:
    """Ids of the list, most votes first; of equal ones the oldest, or the newest."""
    keys = list(sheet.lines)
    return sorted(reversed(keys) if newest else keys, key=lambda key: -_votes(sheet, key))


def _votes(sheet: Worksheet, key: str) -> int:
    return sheet.lines[key].counts.get(VOTES, 0)


def _pairs(attempts: Sequence[Attempted]) -> list[tuple[Attempted, ...]]:
    by_task: dict[str, list[Attempted]] = defaultdict(list)
    solved: dict[str, list[Attempted]] = defaultdict(list)
    for one in attempts:
        by_task[one.trajectory.task.id].append(one)
        if one.verdict.success:
            solved[one.trajectory.task.template_id].append(one)
    pairs: list[tuple[Attempted, ...]] = []
    for group in by_task.values():
        failures = [one for one in group if not one.verdict.success]
        successes = [one for one in group if one.verdict.success]
        successes = successes or solved[group[0].trajectory.task.template_id][:1]
        pairs += list(product(successes, failures))
    return pairs
