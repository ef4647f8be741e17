"""Makes repair problems: a function of the library with one place broken, tests to see, tests to hide, edits to choose
from. All of it follows from the function's name and a seed; the seed's range says which panel it is for, and the panels
share no broken function."""

import functools
import hashlib
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.ids import derived_seed
from wisen.core.records import Record, Split
from wisen.environments.code import library, mutate
from wisen.environments.code.library import LIBRARY, Entry
from wisen.environments.code.mutate import Mutation, mutations, plain_source, replies
from wisen.environments.tasks import split_of

_POOL = 40  # drawn cases of a problem, beside the edges
_SURVEY = 120  # cases on which a mutation must show itself ...
_SHOWS = 0.1  # ... this often, to be worth setting as a task
_VISIBLE = 5
_DISTRACTORS = 7
# A function's mutations are dealt to the panels, half of them to learn from, so that no broken text is in two panels.
_TURNS = (Split.LEARN, Split.REPORT, Split.GATE, Split.LEARN)


class Case(Record):
    """Arguments (a JSON array) and the right result (JSON)."""

    arguments: str
    expected: str


class Edit(Record):
    """Line `line` (from 1) becomes `text`, which carries its indentation."""

    line: int
    text: str


class Problem(Record):
    """A task's inside. `visible[0]` fails and `symptom` is what the broken function makes of it. `repair`, `sound` and
    `hidden` are never shown, except that `repair` stands unmarked among the `candidates`."""

    name: str
    kind: str
    description: str
    broken: tuple[str, ...]
    sound: tuple[str, ...]
    repair: Edit
    visible: tuple[Case, ...]
    symptom: str
    hidden: tuple[Case, ...]
    candidates: tuple[Edit, ...]

    def call(self, case: Case) -> str:
        """The case as a person would write it: `clamp(1, 2, 3)`."""
        return f"{self.name}({', '.join(map(repr, json.loads(case.arguments)))})"


class _Break(Record):
    """A mutation with the tests it was picked by."""

    mutation: Mutation
    visible: tuple[Case, ...]
    hidden: tuple[Case, ...]
    symptom: str


def functions() -> tuple[str, ...]:
    """Names of the functions that can be set as tasks, in library order."""
    return tuple(entry.name for entry in LIBRARY)


def chosen_functions(suite: str, named: Sequence[str]) -> tuple[str, ...]:
    """Those that an option names, all if it names none. Raises `SettingsError`."""
    known = functions()
    if isinstance(named, str) or (unknown := [name for name in named if name not in known]):
        wrong = named if isinstance(named, str) else ", ".join(unknown)
        raise SettingsError(f"{suite}: unknown functions: {wrong}", f"a list of some of {', '.join(known)}")
    return tuple(named) or known


@functools.cache
def version() -> str:
    """Changes with anything that changes problems: the library, the mutations, this module."""
    sources = b"".join(Path(str(module.__file__)).read_bytes() for module in (library, mutate))
    return hashlib.blake2b(sources + Path(__file__).read_bytes(), digest_size=8).hexdigest()


def kind_of(name: str, seed: int) -> str:
    """What kind of mutation the problem has; cheaper than making all of it."""
    return _break(name, seed).mutation.kind


@functools.lru_cache(maxsize=256)
def make_problem(name: str, seed: int) -> Problem:
    """Raises `EnvironmentFault` for a function that is not in the library."""
    entry, chosen = _entry(name), _break(name, seed)
    sound, broken = plain_source(entry.function), chosen.mutation.lines
    repair = Edit(line=chosen.mutation.line, text=sound[chosen.mutation.line - 1])
    rng = Random(derived_seed("candidates", name, seed))
    arguments = tuple(case.arguments for case in chosen.hidden)
    expected = tuple(case.expected for case in chosen.hidden)
    candidates = [repair]
    others = list(mutations(broken))
    rng.shuffle(others)
    for other in others:  # an edit that also repairs would be no distractor
        if len(candidates) > _DISTRACTORS:
            break
        if any(said != right for said, right in zip(replies(other.lines, arguments), expected, strict=True)):
            candidates.append(Edit(line=other.line, text=other.text))
    rng.shuffle(candidates)
    return Problem(
        name=name,
        kind=chosen.mutation.kind,
        description=inspect.getdoc(entry.function) or "",
        broken=broken,
        sound=sound,
        repair=repair,
        visible=chosen.visible,
        symptom=chosen.symptom,
        hidden=chosen.hidden,
        candidates=tuple(candidates),
    )


@functools.lru_cache(maxsize=4096)
def _break(name: str, seed: int) -> _Break:
    """Pick a kind of mutation, then one of that kind, that some visible and some hidden tests show."""
    entry = _entry(name)
    rng = Random(derived_seed("break", name, seed))
    kinds: dict[str, list[Mutation]] = {}
    for mutation in dealt(name)[split_of(seed)]:
        kinds.setdefault(mutation.kind, []).append(mutation)
    order = [mutation for kind in rng.sample(sorted(kinds), len(kinds)) for mutation in _shuffled(kinds[kind], rng)]
    for drawn in (_POOL, 4 * _POOL):  # more, where few mutations are to be had and none shows itself
        cases = cases_of(entry, rng, drawn)
        for mutation in order:
            said = tuple(replies(mutation.lines, tuple(case.arguments for case in cases)))
            failing = [i for i, case in enumerate(cases) if said[i] != case.expected]
            if len(failing) < 2:
                continue
            first, kept = min(failing, key=lambda i: len(cases[i].arguments)), failing[-1]
            if first == kept:
                kept = failing[0]
            rest = [i for i in range(len(cases)) if i not in (first, kept)]
            shown = [first, *rng.sample(rest, _VISIBLE - 1)]
            return _Break(
                mutation=mutation,
                visible=tuple(cases[i] for i in shown),
                hidden=tuple(case for i, case in enumerate(cases) if i not in shown),
                symptom=said[first],
            )
    raise EnvironmentFault(f"no mutation of {name} shows itself with seed {seed}", "take another seed")


@functools.cache
def dealt(name: str) -> dict[Split, tuple[Mutation, ...]]:
    """The function's telling mutations by panel: kind after kind, in each in the order of a hash of the broken text."""
    hashed = sorted(_telling(name), key=lambda one: (one.kind, hashlib.blake2b("\n".join(one.lines).encode()).digest()))
    return {
        split: tuple(one for turn, one in enumerate(hashed) if _TURNS[turn % len(_TURNS)] is split) for split in Split
    }


@functools.cache
def _telling(name: str) -> tuple[Mutation, ...]:
    """The function's mutations that are neither equivalent to it nor wrong only once in a blue moon."""
    entry = _entry(name)
    cases = cases_of(entry, Random(derived_seed("survey", name)), _SURVEY)
    arguments = tuple(case.arguments for case in cases)
    return tuple(
        mutation
        for mutation in mutations(plain_source(entry.function))
        if sum(said != case.expected for said, case in zip(replies(mutation.lines, arguments), cases, strict=True))
        >= _SHOWS * len(cases)
    )


def cases_of(entry: Entry, rng: Random, drawn: int) -> tuple[Case, ...]:
    """The edges and `drawn` random cases, each once, with what the sound function makes of them."""
    texts = [json.dumps(arguments) for arguments in (*entry.edges, *(entry.draw(rng) for _ in range(drawn)))]
    return tuple(
        Case(arguments=text, expected=json.dumps(entry.function(*json.loads(text)))) for text in dict.fromkeys(texts)
    )


def _entry(name: str) -> Entry:
    for entry in LIBRARY:
        if entry.name == name:
            return entry
    raise EnvironmentFault(f"no function {name!r} in the library of code-repair", f"there are {', '.join(functions())}")


def _shuffled(items: list[Mutation], rng: Random) -> list[Mutation]:
    return rng.sample(items, len(items))
