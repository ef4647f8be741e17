"""Which items an episode may be told at all: advice that can be followed here, and that does not stem from this task.

`Shelf` answers it for one bank version without a look at each item: some 1 ms at 100,000 items.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from wisen.core.records import MemoryItem, Observation, Scope, Task
from wisen.memory.bank import Snapshot
from wisen.memory.lexical import Lexical

FEW = 16
LeakageGuard = Callable[[MemoryItem, Task], bool]


def same_task(item: MemoryItem, task: Task) -> bool:
    """Whether the item stems from this very task. Recall always drops those."""
    return task.id in item.source_tasks


def same_template(template_of: Callable[[str], str | None]) -> LeakageGuard:
    """A leakage guard for cross-template evaluation: also drops items that stem from a task of the same template, or
    from one whose template nobody knows. `template_of` maps a task id to its template id."""

    def leaks(item: MemoryItem, task: Task) -> bool:
        return any(template_of(source) in (None, task.template_id) for source in item.source_tasks)

    return leaks


def offered_verbs(observation: Observation) -> frozenset[str]:
    """What the agent can do here: first words of the admissible actions, and names of the tools."""
    verbs = {verb(action) for action in observation.actions if action.strip()}
    return frozenset(verbs | {tool.name for tool in observation.tools})


def verb(action: str) -> str:
    """`click` of `click button "Ok"`, `search` of `search(query='x')`."""
    word = action.split(maxsplit=1)[0] if action.strip() else ""
    return word.split("(", 1)[0]


def applies(scope: Scope, task: Task, observation: Observation) -> bool:
    """Whether advice of this scope can be followed here. Where an environment names neither actions nor tools it takes
    free text, and any action may be possible."""
    return _applies(scope, task, offered_verbs(observation))


def _applies(scope: Scope, task: Task, verbs: frozenset[str]) -> bool:
    return (
        scope.suite in ("", task.suite)
        and scope.environment in ("", task.environment)
        and (not verbs or verbs.issuperset(scope.actions))
    )


@dataclass(frozen=True)
class Eligible:
    """pool: what applies, in order of id; equal scopes share one tuple, so that who searches it may know it again.
    out: those of it that leak, or had their turn."""

    pool: tuple[str, ...] = ()
    out: frozenset[str] = frozenset()

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The pool without `out`; the pool itself where nothing is out."""
        if len(self.out) > FEW:
            return tuple(key for key in self.pool if key not in self.out)
        ids = self.pool
        for key in self.out:  # a cut is a copy of memory, a look at each item is not
            place = bisect_left(ids, key)
            ids = ids[:place] + ids[place + 1 :]
        return ids


@dataclass(frozen=True)
class Shelf:
    """One bank version, sorted by what recall asks of it. Made once for a version and used for all of its recalls."""

    snapshot: Snapshot
    _pools: dict[tuple[Scope, ...], tuple[tuple[str, ...], frozenset[str]]] = field(
        default_factory=dict, init=False, repr=False
    )

    def eligible(self, task: Task, observation: Observation, leaks: LeakageGuard, past: Iterable[str] = ()) -> Eligible:
        """What applies here, does not leak, and is not among `past`."""
        verbs = offered_verbs(observation)
        pool, members = self._pool(tuple(scope for scope in self._scopes if _applies(scope, task, verbs)))
        out = members.intersection((*self._by_task.get(task.id, ()), *past))
        if leaks is not same_task:
            out |= {key for key in pool if leaks(self.snapshot.items[key], task)}
        return Eligible(pool, out)

    @cached_property
    def recallable(self) -> tuple[MemoryItem, ...]:
        """In order of id."""
        return self.snapshot.recallable

    @cached_property
    def lexical(self) -> Lexical:
        """The words of everything that can be recalled."""
        return Lexical(self.recallable)

    @cached_property
    def _scopes(self) -> Mapping[Scope, Sequence[str]]:
        found: dict[Scope, list[str]] = defaultdict(list)
        for item in self.recallable:
            found[item.scope].append(item.id)
        return found

    @cached_property
    def _by_task(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for item in self.recallable:
            for source in item.source_tasks:
                found[source].append(item.id)
        return found

    def _pool(self, scopes: tuple[Scope, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
        if scopes not in self._pools:
            pool = tuple(sorted(key for scope in scopes for key in self._scopes[scope]))
            self._pools[scopes] = (pool, frozenset(pool))
        return self._pools[scopes]
