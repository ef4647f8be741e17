"""Dynamic Cheatsheet (Suzgun et al. 2025, arXiv 2504.07952), own prompts, guarded.

After each attempt a model writes the whole sheet anew. A sheet that loses what is used much is not taken.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from wisen.core.protocols import Model
from wisen.core.records import Attempted
from wisen.memory.distillers.curating import DATA, Curating, Number, Written, check_numbers, in_lines, tells
from wisen.memory.distillers.writing import labelled
from wisen.memory.worksheet import Worksheet

CAP = 20
MUCH = 5  # episodes that were shown an entry, from which it counts as used much

_RULES = f"""You keep a sheet of notes that helps an agent with the tasks to come: strategies that worked, facts of the
environment, and mistakes to keep from. You get the sheet, and the record of the newest attempt. Write the whole sheet
anew, at most %(cap)d entries:
- KEEP: an entry of the old sheet, word for word.
- REWRITE: an entry of the old sheet, made more precise or more general, or told together with what is new.
- NEW: an entry that the old sheet lacks.
What you do not write is lost. An entry marked "in use" must be kept. Each entry of the old sheet is named at most once.
What you write has when_to_use, the situation in which it holds, as one line, and content, one to three sentences that
can be acted on. No values of this one task.
{DATA}

Reply with one JSON object and nothing else, its entries being of these three forms:
{{"sheet": [{{"do": "KEEP", "number": 1}}, {{"do": "REWRITE", "number": 2, "when_to_use": "...", "content": "..."}},
{{"do": "NEW", "when_to_use": "...", "content": "..."}}]}}"""


class _Keep(BaseModel):
    do: Literal["KEEP"]
    number: Number


class _Rewrite(Written):
    do: Literal["REWRITE"]
    number: Number


class _New(Written):
    do: Literal["NEW"]


class _Sheet(BaseModel):
    sheet: list[Annotated[_Keep | _Rewrite | _New, Field(discriminator="do")]]


class Cheatsheet(Curating):
    """A sheet of at most `cap` entries. In use are those that at least `much` episodes were shown, half of the cap at
    most, those with most first: the rest stays free to be written anew."""

    NAME = "cheatsheet"

    def __init__(
        self, model: Model, *, cap: int = CAP, much: int = MUCH, temperature: float = 0.0, max_tokens: int = 4096
    ) -> None:
        super().__init__(model, temperature=temperature, max_tokens=max_tokens)
        self._cap, self._much = cap, much

    def batches(self, attempts: Sequence[Attempted]) -> tuple[tuple[Attempted, ...], ...]:
        """One attempt at a time."""
        return tuple((one,) for one in tells(attempts))

    async def _work(self, sheet: Worksheet, attempts: Sequence[Attempted]) -> None:
        keys = list(sheet.lines)
        used = self.in_use(sheet)
        listed = in_lines(
            sheet,
            keys,
            lambda key: f"(shown {sheet.lines[key].shown} times{', in use' if key in used else ''})",
        )
        records = "\n\n".join(labelled(one.trajectory, one.verdict) for one in attempts)

        def check(reply: _Sheet) -> None:
            if len(reply.sheet) > self._cap:
                raise ValueError(f"the sheet has {len(reply.sheet)} entries, more than {self._cap}")
            check_numbers([one.number for one in reply.sheet if not isinstance(one, _New)], len(keys))
            written = {self._id(one, keys, attempts) for one in reply.sheet}
            lost = [number for number, key in enumerate(keys, start=1) if key in used and key not in written]
            if lost:
                raise ValueError(f"entry {lost[0]} is in use, and the new sheet has lost it")

        reply = await self._ask(
            _RULES % {"cap": self._cap}, f"SHEET\n{listed}\n\nATTEMPT\n{records}", _Sheet, attempts, check
        )
        written = {self._id(one, keys, attempts) for one in reply.sheet}
        rewritten = {keys[one.number - 1] for one in reply.sheet if isinstance(one, _Rewrite)}
        for key in keys:
            if key not in written | rewritten:
                sheet.retire(key, "left out when the sheet was written anew")
        for one in reply.sheet:
            if isinstance(one, _New):
                sheet.add(self._item(one, attempts), {}, "NEW")
            elif isinstance(one, _Rewrite):
                key = keys[one.number - 1]
                item = self._item(one, attempts)
                if key in written:  # another line says it word for word
                    sheet.add(item, {}, "REWRITE")
                else:
                    sheet.replace([key], item, {}, "REWRITE")

    def in_use(self, sheet: Worksheet) -> frozenset[str]:
        """Ids of the entries that a new sheet must not lose."""
        much = [key for key, line in sheet.lines.items() if line.shown >= self._much]
        much.sort(key=lambda key: -sheet.lines[key].shown)
        return frozenset(much[: self._cap // 2])

    def _id(self, one: _Keep | _Rewrite | _New, keys: Sequence[str], attempts: Sequence[Attempted]) -> str:
        return keys[one.number - 1] if isinstance(one, _Keep) else self._item(one, attempts).id
