"""A curator's list while it works on it: what it does to the list becomes one revision."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wisen.core.records import Entry, MemoryItem, Retirement, Revision, Tally
from wisen.memory.items import joined, union


@dataclass
class Line:
    """An item on the list. `counts` are its own so far; `parent` is the item whose place it took; `why` are the
    operations that touched it."""

    item: MemoryItem
    counts: dict[str, int]
    shown: int = 0
    parent: str = ""
    why: list[str] = field(default_factory=list)

    def plus(self, counts: Mapping[str, int]) -> None:
        for name, number in counts.items():
            self.counts[name] = self.counts.get(name, 0) + number


class Worksheet:
    """Begins as the present entries, in their order; `lines` is the list as it stands, by item id. Nothing of it is
    kept: `revision` says how the list differs from the one that it began with."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = {entry.item.id: entry for entry in entries}
        self.lines = {
            key: Line(entry.item, dict(entry.counts), entry.shown)
            for key, entry in self._entries.items()
            if entry.present
        }
        self._began = frozenset(self.lines)
        self._gone: dict[str, tuple[Line, Retirement]] = {}

    def add(self, item: MemoryItem, counts: Mapping[str, int], why: str) -> None:
        """A new line at the end. Where the list says that already, its line gets counts and evidence."""
        line = self._line(item)
        line.plus(counts)
        line.why.append(why)

    def replace(self, keys: Sequence[str], item: MemoryItem, counts: Mapping[str, int], why: str) -> None:
        """One line in the place of those: it has their counts and evidence together, and `counts` on top."""
        old = {key: self.lines[key] for key in keys}
        inherited: dict[str, int] = {}
        for key, line in old.items():
            if key == item.id:
                continue
            for name, number in line.counts.items():
                inherited[name] = inherited.get(name, 0) + number
            del self.lines[key]
            self._gone[key] = (line, Retirement(item_id=key, reason=why, into=item.id))
        evidence = union(*(line.item.evidence for line in old.values()), item.evidence)
        tasks = union(*(line.item.source_tasks for line in old.values()), item.source_tasks)
        new = self._line(item.model_copy(update={"evidence": evidence, "source_tasks": tasks}))
        if not new.parent:
            first, line = next(iter(old.items()))
            new.parent = first if first in self._began else line.parent
        new.plus(inherited)
        new.plus(counts)
        new.why.append(why)

    def count(
        self,
        key: str,
        counts: Mapping[str, int],
        why: str,
        *,
        evidence: Iterable[str] = (),
        source_tasks: Iterable[str] = (),
    ) -> None:
        line = self.lines[key]
        line.plus(counts)
        line.item = joined(line.item, evidence, source_tasks)
        line.why.append(why)

    def retire(self, key: str, why: str) -> None:
        self._gone[key] = (self.lines.pop(key), Retirement(item_id=key, reason=why))

    def revision(self) -> Revision:
        """What has to be done to the bank, so that its list is this one."""
        new = [line for key, line in self.lines.items() if key not in self._began]
        return Revision(
            add=tuple(line.item for line in new if line.parent not in self._gone),
            replace=tuple(
                line.item.model_copy(update={"parent_id": line.parent}) for line in new if line.parent in self._gone
            ),
            retire=tuple(self._retirement(key) for key in self._gone if key in self._began),
            tallies=tuple(tally for key, line in self._touched() if (tally := self._tally(key, line))),
        )

    def _line(self, item: MemoryItem) -> Line:
        known = self.lines.get(item.id)
        if known is not None:
            known.item = joined(known.item, item.evidence, item.source_tasks)
            return known
        self._gone.pop(item.id, None)
        self.lines[item.id] = Line(item, {})
        return self.lines[item.id]

    def _retirement(self, key: str) -> Retirement:
        """What takes its place may have lost its own place since."""
        retirement = self._gone[key][1]
        while retirement.into and retirement.into not in self.lines:
            retirement = self._gone[retirement.into][1]
        return retirement.model_copy(update={"item_id": key})

    def _touched(self) -> list[tuple[str, Line]]:
        voted_out = [(key, line) for key, (line, _) in self._gone.items() if key in self._began]
        return [*self.lines.items(), *voted_out]

    def _tally(self, key: str, line: Line) -> Tally | None:
        entry = self._entries.get(key)
        before = entry.counts if entry else {}
        counts = {name: line.counts.get(name, 0) - before.get(name, 0) for name in {**before, **line.counts}}
        counts = {name: number for name, number in counts.items() if number}
        known = entry.item if entry and key in self._began else line.item
        evidence = tuple(one for one in line.item.evidence if one not in known.evidence)
        tasks = tuple(one for one in line.item.source_tasks if one not in known.source_tasks)
        if not (counts or evidence or tasks):
            return None
        return Tally(item_id=key, counts=counts, evidence=evidence, source_tasks=tasks, reason="; ".join(line.why))
