"""Makes writing problems: a function to write from its description and examples. All of it follows from the name of a
function of the library and a seed.

What is asked for is that function followed by two or three small steps, drawn with their numbers: several thousand
chains for each function. A hash of the chain says which panel it belongs to, so no two panels ask for the same chain.
"""

import functools
import hashlib
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from wisen.core.errors import EnvironmentFault
from wisen.core.ids import derived_seed
from wisen.core.records import Record, Split
from wisen.environments.code import library, problem
from wisen.environments.code.library import LIBRARY, Entry
from wisen.environments.code.mutate import plain_source
from wisen.environments.code.problem import Case, cases_of
from wisen.environments.tasks import split_of

FORMS = ("alone", "given", "two-files")
_POOL, _VISIBLE, _TRIES = 30, 4, 2_000
_PANELS = (Split.LEARN, Split.LEARN, Split.GATE, Split.REPORT)


@dataclass(frozen=True)
class Step:
    """Turns a value of one kind into one of another. `text` and `code` may name the number k."""

    takes: str
    gives: str
    text: str
    code: str
    numbers: tuple[int, ...] = (0,)


_STEPS = (
    Step("int", "int", "add {k}", "value + {k}", (2, 3, 5, 7, 11)),
    Step("int", "int", "multiply by {k} and take 1 away", "value * {k} - 1", (2, 3, 4, 6)),
    Step("int", "int", "take the remainder (never negative) after division by {k}", "value % {k}", (5, 7, 9, 13)),
    Step("int", "int", "if it is odd, change its sign", "-value if value % 2 else value"),
    Step("int", "str", "write it as text of at least {k} characters, filled with zeros after the sign if there is one",
         "str(value).zfill({k})", (3, 4, 5)),
    Step("int", "ints", "make the list of it, of it plus {k}, and of it plus twice {k}",
         "[value, value + {k}, value + 2 * {k}]", (1, 2, 4, 10)),
    Step("ints", "ints", "keep only the numbers greater than {k}", "[one for one in value if one > {k}]",
         (-3, 0, 2, 4)),
    Step("ints", "ints", "multiply each number by {k}", "[one * {k} for one in value]", (2, 3, 5)),
    Step("ints", "ints", "drop each number that was there before", "list(dict.fromkeys(value))"),
    Step("ints", "ints", "put the list in reverse order", "value[::-1]"),
    Step("ints", "ints", "put {k} at the end of the list", "value + [{k}]", (0, 1, 9)),
    Step("ints", "int", "take the sum, plus {k}", "sum(value) + {k}", (1, 4, 10)),
    Step("ints", "int", "count how many numbers are divisible by {k}", "sum(one % {k} == 0 for one in value)", (2, 3)),
    Step("bool", "int", "make it {k} if true and -1 if false", "{k} if value else -1", (1, 2, 5, 8)),
    Step("bool", "str", "make it the word yes, {k} times without spaces, if true, and no if false",
         "'yes' * {k} if value else 'no'", (1, 2, 3)),
    Step("str", "str", "turn the text round", "value[::-1]"),
    Step("str", "str", "keep at most the first {k} characters", "value[:{k}]", (2, 3, 4, 6)),
    Step("str", "str", "write the text {k} times, without spaces", "value * {k}", (2, 3)),
    Step("str", "str", "swap small and capital letters", "value.swapcase()"),
    Step("str", "int", "take the length times {k}", "len(value) * {k}", (1, 2, 3, 10)),
    Step("strs", "ints", "take the length of each text", "[len(one) for one in value]"),
    Step("strs", "str", "join the texts with {k} dashes between neighbours", "('-' * {k}).join(value)", (1, 2, 3)),
    Step("strs", "strs", "keep at most the first {k} characters of each text", "[one[:{k}] for one in value]",
         (2, 3, 5)),
    Step("lists", "ints", "take the last item of each list", "[one[-1] for one in value]"),
    Step("lists", "int", "count the lists and add {k}", "len(value) + {k}", (1, 3, 6)),
    Step("lists", "lists", "put the lists in reverse order, leaving each as it is", "value[::-1]"),
)  # fmt: skip
_GIVES = {
    "run_lengths": "lists", "rotate_left": "ints", "merge_sorted": "ints", "is_palindrome": "bool", "roman": "str",
    "moving_sums": "ints", "chunks": "lists", "balanced": "bool", "caesar": "str", "fill_lines": "strs",
}  # fmt: skip


class WriteProblem(Record):
    """A task's inside. `hidden`, `base_hidden` and `files` (a solution) are never shown."""

    base: str
    form: str
    description: str
    arguments: str
    given: dict[str, str]
    visible: tuple[Case, ...]
    hidden: tuple[Case, ...]
    base_hidden: tuple[Case, ...]  # of the function itself, where that is to be written too
    files: dict[str, str]


def functions() -> tuple[str, ...]:
    return problem.functions()


@functools.cache
def version() -> str:
    """Changes with anything that changes problems."""
    sources = b"".join(Path(str(module.__file__)).read_bytes() for module in (library, problem))
    return hashlib.blake2b(sources + Path(__file__).read_bytes(), digest_size=8).hexdigest()


def form_of(name: str, seed: int) -> str:
    return Random(derived_seed("form", name, seed)).choice(FORMS)


def panel_of(name: str, chain: tuple[tuple[str, int], ...]) -> Split:
    """The one panel that may ask for a chain of steps, each as its code with its number."""
    digest = hashlib.blake2b(json.dumps([name, chain]).encode(), digest_size=8).digest()
    return _PANELS[digest[0] % len(_PANELS)]


@functools.lru_cache(maxsize=512)
def make_problem(name: str, seed: int) -> WriteProblem:
    """Raises `EnvironmentFault` for a function that is not in the library."""
    entry = next((entry for entry in LIBRARY if entry.name == name), None)
    if entry is None:
        raise EnvironmentFault(
            f"no function {name!r} in the library of code-write", f"there are {', '.join(functions())}"
        )
    rng = Random(derived_seed("write", name, seed))
    for _ in range(_TRIES):
        steps = _chain(_gives(entry), rng)
        if panel_of(name, tuple((step.code, k) for step, k in steps)) is not split_of(seed):
            continue
        base = cases_of(entry, rng, _POOL)
        source = _solve(entry, steps)
        cases = _answers(entry, source, base)
        if len({case.expected for case in cases}) >= min(4, len({case.expected for case in base})):
            return _made(entry, form_of(name, seed), steps, source, base, cases, rng)
    raise EnvironmentFault(f"no chain of steps after {name} with seed {seed}", "take another seed")


def _gives(entry: Entry) -> str:
    return _GIVES.get(entry.name, "int")


def _chain(kind: str, rng: Random) -> list[tuple[Step, int]]:
    steps: list[tuple[Step, int]] = []
    for _ in range(rng.choice((2, 3))):
        step = rng.choice([step for step in _STEPS if step.takes == kind and step not in [one for one, _ in steps]])
        steps.append((step, rng.choice(step.numbers)))
        kind = step.gives
    return steps


def _solve(entry: Entry, steps: list[tuple[Step, int]]) -> str:
    parameters = ", ".join(inspect.signature(entry.function).parameters)
    lines = [f"def solve({parameters}):", f"    value = {entry.name}({parameters})"]
    lines += [f"    value = {step.code.format(k=k)}" for step, k in steps]
    return "\n".join([*lines, "    return value", ""])


def _answers(entry: Entry, source: str, base: tuple[Case, ...]) -> tuple[Case, ...]:
    space: dict[str, Any] = {entry.name: entry.function}
    exec(compile(source, "solve", "exec"), space)  # ours: library and steps, nothing from outside
    return tuple(
        Case(arguments=case.arguments, expected=json.dumps(space["solve"](*json.loads(case.arguments))))
        for case in base
    )


def _made(
    entry: Entry, form: str, steps: list[tuple[Step, int]], source: str, base: tuple[Case, ...],
    cases: tuple[Case, ...], rng: Random,
) -> WriteProblem:  # fmt: skip
    name, parameters = entry.name, ", ".join(inspect.signature(entry.function).parameters)
    about = inspect.getdoc(entry.function) or ""
    then = "\n".join(f"  {number}. {step.text.format(k=k)}" for number, (step, k) in enumerate(steps, start=1))
    own = "\n".join(plain_source(entry.function)) + "\n"
    opening = {
        "alone": f"Write solution.py with solve({parameters}). It begins with what {name} would return, told so:",
        "given": f"{name}.py is there, with {name}({parameters}). Write solution.py with solve({parameters}), which "
        f"begins with its result:",
        "two-files": f"Write {name}.py with {name}({parameters}), and solution.py, which imports it, with "
        f"solve({parameters}). Both are tested. What {name} does:",
    }[form]
    shown = set(rng.sample(range(len(cases)), min(_VISIBLE, len(cases) // 2)))
    whole = f"from {name} import {name}\n\n\n{source}"
    return WriteProblem(
        base=name,
        form=form,
        description=f"{opening}\n" + "".join(f"  {line}\n" for line in about.splitlines())
        + f"Then, with that value and step after step:\n{then}\nsolve returns what the last step gives.",
        arguments=parameters,
        given={f"{name}.py": own} if form == "given" else {},
        visible=tuple(case for place, case in enumerate(cases) if place in shown),
        hidden=tuple(case for place, case in enumerate(cases) if place not in shown),
        base_hidden=base if form == "two-files" else (),
        files={
            "alone": {"solution.py": f"{own}\n\n{source}"},
            "given": {"solution.py": whole},
            "two-files": {f"{name}.py": own, "solution.py": whole},
        }[form],
    )  # fmt: skip
