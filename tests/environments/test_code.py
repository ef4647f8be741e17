"""The code suite: a sound library, breaks that tests can see, and an environment that gives nothing away."""

import json
import math
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.protocols import Environment, Oracle, Suite
from wisen.core.records import Action, Observation, Split, Task, ToolCall
from wisen.environments import registry
from wisen.environments.code import library
from wisen.environments.code.library import LIBRARY
from wisen.environments.code.moves import ReplaceLines, edited
from wisen.environments.code.mutate import DID_NOT_END, mutations, plain_source, replies
from wisen.environments.code.problem import functions, make_problem
from wisen.environments.code.repair import CodeRepairEnvironment, CodeRepairSuite
from wisen.environments.code.sandbox import Sandbox
from wisen.environments.code.trial import try_source

SEEDS = range(6)
PROBLEMS = list(product(functions(), SEEDS))


def call(tool: str, **arguments: object) -> Action:
    return Action(tool_call=ToolCall(name=tool, arguments=arguments))


# --- the library does what its descriptions say


@given(st.text(alphabet="ab", max_size=6), st.text(alphabet="ab", max_size=6))
def test_edit_distance_is_a_metric_and_counts_one_edit_as_one(a: str, b: str) -> None:
    distance = library.edit_distance(a, b)
    assert distance == library.edit_distance(b, a)
    assert (distance == 0) == (a == b)
    assert abs(len(a) - len(b)) <= distance <= max(len(a), len(b))
    assert library.edit_distance(a, f"{b}a") <= distance + 1


@given(st.lists(st.integers(-9, 9), max_size=8), st.integers(-9, 9))
def test_list_functions_against_python(values: list[int], number: int) -> None:
    ordered = sorted(values)
    assert library.first_index(ordered, number) == (ordered.index(number) if number in ordered else -1)
    assert library.merge_sorted(ordered, sorted(values[:3])) == sorted(values + values[:3])
    assert [value for part in library.chunks(values, number) for value in part] == values
    assert all(len(part) == max(1, number) for part in library.chunks(values, number)[:-1])
    windows = [sum(values[i : i + number]) for i in range(len(values) - number + 1)] if number > 0 else []
    assert library.moving_sums(values, number) == windows
    assert library.rotate_left(library.rotate_left(values, number), -number) == values
    if values:
        assert library.rotate_left(values, number)[0] == values[number % len(values)]
    rises = [length for length in range(1, len(values) + 1) for i in range(len(values) - length + 1)
             if all(a < b for a, b in pairwise(values[i : i + length]))]  # fmt: skip
    assert library.longest_rise(values) == max(rises, default=0)


@given(st.integers(-300, 300), st.integers(-300, 300), st.integers(2, 16))
def test_number_functions_against_python(a: int, b: int, base: int) -> None:
    assert library.common_divisor(a, b) == math.gcd(a, b)
    assert library.clamp(a, b, base) == sorted([a, b, base])[1]
    assert library.digit_sum(a, 10) == sum(map(int, str(abs(a))))
    assert library.digit_sum(a, base) % (base - 1) == abs(a) % (base - 1)


@given(st.text(alphabet="aAbzZ1 ,", max_size=8), st.integers(-60, 60))
def test_text_functions(text: str, shift: int) -> None:
    assert "".join(character * count for character, count in library.run_lengths(text)) == text
    assert all(a[0] != b[0] for a, b in pairwise(library.run_lengths(text)))
    assert library.caesar(library.caesar(text, shift), -shift) == text
    assert library.caesar("aZ", 1) == "bA"
    kept = "".join(filter(str.isalnum, text.lower()))
    assert library.is_palindrome(text) == (kept == kept[::-1])


@given(st.text(alphabet="()[]x", max_size=8))
def test_balanced_against_cancelling_pairs(text: str) -> None:
    rest = text.replace("x", "")
    while rest != (rest := rest.replace("()", "").replace("[]", "")):
        pass
    assert library.balanced(text) == (rest == "")


@given(st.integers(0, 15), st.lists(st.integers(1, 8), min_size=1, max_size=3, unique=True))
@settings(max_examples=50)
def test_fewest_coins_against_trying_all(amount: int, coins: list[int]) -> None:
    reached, count = {0}, 0
    while amount not in reached and count <= amount:
        reached, count = {have + coin for have in reached for coin in coins if have + coin <= amount}, count + 1
    assert library.fewest_coins(amount, coins) == (count if amount in reached else -1)


@given(st.lists(st.text(alphabet="x", min_size=1, max_size=6), max_size=7), st.integers(1, 12))
def test_fill_lines_breaks_only_where_it_must(words: list[str], width: int) -> None:
    lines = library.fill_lines(words, width)
    assert " ".join(lines).split() == words
    assert all(len(line) <= width or " " not in line for line in lines)
    assert all(len(line) + 1 + len(after.split()[0]) > width for line, after in pairwise(lines))


def test_roman_and_months() -> None:
    value = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
    for number in range(1, 4000):
        digits = [value[sign] for sign in library.roman(number)]
        assert sum(-a if a < b else a for a, b in pairwise([*digits, 0])) == number
    assert len({library.roman(number) for number in range(1, 4000)}) == 3999 and library.roman(1994) == "MCMXCIV"
    for year, month in product(range(1896, 2012), range(1, 13)):
        following = date(year + month // 12, month % 12 + 1, 1)
        assert library.days_in_month(year, month) == (following - timedelta(days=1)).day


# --- mutations and problems


def test_every_mutation_changes_one_line_and_compiles() -> None:
    for entry in LIBRARY:
        source = plain_source(entry.function)
        found = mutations(source)
        assert len(found) >= 6 and len({mutation.lines for mutation in found}) == len(found)
        for mutation in found:
            changed = [number for number, (a, b) in enumerate(zip(source, mutation.lines, strict=True), 1) if a != b]
            assert changed == [mutation.line]
            compile("\n".join(mutation.lines), "mutant", "exec")


def test_a_repair_looks_like_any_other_mutation() -> None:
    ways = [
        any(back.lines == plain_source(entry.function) for back in mutations(mutation.lines))
        for entry in LIBRARY
        for mutation in mutations(plain_source(entry.function))[::6]
    ]
    assert sum(ways) / len(ways) > 0.97  # a 0 that became 1 and the like have an inverse; doubled negations have none


def test_loops_without_end_are_cut_short() -> None:
    assert list(replies(("def f(n):", "    while n:", "        pass", "    return 7"), ("[1]", "[0]"))) == [
        DID_NOT_END,
        "7",
    ]


@pytest.mark.parametrize(("name", "seed"), PROBLEMS)
def test_a_problem_is_broken_visibly_and_the_repair_is_the_only_candidate_that_mends_it(name: str, seed: int) -> None:
    problem = make_problem(name, seed)
    hidden = tuple(case.arguments for case in problem.hidden)
    right = [case.expected for case in problem.hidden]
    assert list(replies(problem.sound, hidden)) == right
    assert list(replies(problem.broken, hidden)) != right
    first = problem.visible[0]
    assert list(replies(problem.broken, (first.arguments,))) == [problem.symptom] != [first.expected]
    assert not {case.arguments for case in problem.visible} & set(hidden) and len(hidden) >= 10
    mending = []
    for edit in problem.candidates:
        lines = edited(problem.broken, ReplaceLines(start=edit.line, end=edit.line, text=edit.text))
        mending += [edit] if list(replies(lines, hidden)) == right else []
    assert mending == [problem.repair] and len(problem.candidates) >= 4


def test_nothing_tells_the_repair_from_its_place_in_the_list() -> None:
    places = Counter(
        problem.candidates.index(problem.repair)
        for name, seed in product(functions(), range(20))
        if len((problem := make_problem(name, seed)).candidates) == 8
    )
    count = sum(places.values())
    chi_square = sum((places[place] - count / 8) ** 2 / (count / 8) for place in range(8))
    assert chi_square < 24.3  # 7 degrees of freedom, 0.1 %


# --- tasks


def test_tasks_are_counted_per_function_and_splits_never_meet() -> None:
    suite = CodeRepairSuite()
    assert isinstance(suite, Suite) and len(functions()) >= 12
    panels = {split: suite.tasks(split, 2) for split in Split}
    assert len({task.id for tasks in panels.values() for task in tasks}) == 3 * 2 * len(functions())
    assert suite.tasks(Split.LEARN, 1, offset=1) == panels[Split.LEARN][len(functions()) :]
    task = panels[Split.GATE][0]
    assert task.id == "code-repair/clamp/1000000" and task.seed == 1_000_000
    assert task.template_id == f"code-repair/clamp/{make_problem('clamp', 1_000_000).kind}"
    with pytest.raises(SettingsError, match="outside the split"):
        suite.tasks(Split.LEARN, 2, offset=999_999)


def test_options_are_checked() -> None:
    assert {task.params["function"] for task in CodeRepairSuite(["roman"]).tasks(Split.LEARN, 3)} == {"roman"}
    with pytest.raises(SettingsError, match="unknown functions: romann"):
        CodeRepairSuite(["romann"])
    with pytest.raises(SettingsError, match="unknown functions: roman"):
        CodeRepairSuite("roman")


# --- the environment


async def begin(name: str, seed: int = 0) -> tuple[CodeRepairEnvironment, Task, Observation]:
    suite = CodeRepairSuite([name])
    environment = await suite.create()
    assert isinstance(environment, Environment) and isinstance(suite.oracle(), Oracle)
    (task,) = suite.tasks(Split.LEARN, 1, offset=seed)
    return environment, task, await environment.reset(task)


@pytest.mark.sandbox
@pytest.mark.parametrize("name", functions())
async def test_the_sandbox_agrees_with_the_library_about_every_function(name: str) -> None:
    problem = make_problem(name, 3)
    cases = (*problem.visible, *problem.hidden)
    sound = await try_source(Sandbox(), "\n".join(problem.sound), name, cases)
    assert sound.replies == tuple(case.expected for case in cases) and not sound.problem
    broken = await try_source(Sandbox(), "\n".join(problem.broken), name, cases)
    here = tuple(replies(problem.broken, tuple(case.arguments for case in cases)))
    ended = broken.replies.index(DID_NOT_END) if DID_NOT_END in broken.replies else len(cases)
    assert broken.replies[:ended] == here[:ended]  # there, the first endless call is the last


@pytest.mark.sandbox
async def test_a_wrong_candidate_fails_the_repair_passes() -> None:
    environment, task, first = await begin("caesar")
    (repair, submit) = CodeRepairSuite().oracle().solution(task, first)
    assert repair.text in first.actions
    wrong = next(text for text in first.actions if text.startswith("replace") and text != repair.text)
    seen = (await environment.step(Action(text=wrong))).observation
    assert wrong not in seen.actions and "start over" in seen.actions
    ended = await environment.step(Action(text="submit"))
    assert (ended.success, ended.reward, ended.terminated) == (False, 0.0, True)

    await environment.reset(task)
    await environment.step(Action(text=wrong))
    again = await environment.step(Action(text="start over"))
    assert again.observation.text.startswith(first.text) and again.observation.actions == first.actions
    mended = await environment.step(repair)
    assert mended.success is None and mended.reward == 0.0
    tested = await environment.step(Action(text="run tests"))
    assert "5 of 5 visible tests pass." in tested.observation.text
    ended = await environment.step(submit)
    assert (ended.success, ended.reward, ended.terminated) == (True, 1.0, True)


@pytest.mark.sandbox
async def test_tools_edit_and_run() -> None:
    environment, _, _ = await begin("digit_sum")
    ran = await environment.step(call("run_python", code="print(digit_sum.__name__, 6 * 7)\n1 / 0"))
    assert "digit_sum 42" in ran.observation.text and "ZeroDivisionError" in ran.observation.text
    assert ran.observation.text.count("File ") == 1  # our own frame is not the agent's business
    body = "def digit_sum(number, base):\n    number = abs(number)\n    total = 0\n    while number:"
    body += "\n        number, digit = divmod(number, base)\n        total += digit\n    return total"
    lines = make_problem("digit_sum", 0).broken
    rewritten = await environment.step(call("replace_lines", start=1, end=len(lines), text=body))
    assert "  5 |         number, digit = divmod(number, base)" in rewritten.observation.text
    inserted = await environment.step(call("replace_lines", start=1, end=0, text="import this_is_not_there"))
    assert [text for text in inserted.observation.actions if text.startswith("replace")] == []
    tested = await environment.step(call("run_tests"))
    assert "The source cannot be run. ModuleNotFoundError" in tested.observation.text
    await environment.step(call("replace_lines", start=1, end=1, text=""))
    assert (await environment.step(call("submit"))).success is True


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "action",
    [
        Action(),
        Action(text="please repair it"),
        Action(text="replace line 99 with: pass"),
        Action(text="replace line 99999999999999999999 with: pass"),
        Action(text="x" * 1_000_000),
        Action(text="replace line 1 with: " + "x" * 1_000_000),
        call("x" * 1_000_000),
        call("run_python", code="#" * 1_000_000),
        call("run_python", code=["1"]),
        call("rm", path="/"),
        call("run_python"),
        call("run_python", code="1", extra=2),
        call("replace_lines", start=0, end=0, text="x"),
        call("replace_lines", start=3, end=1, text="x"),
        call("replace_lines", start="two", end=2, text="x"),
        call("replace_lines", start=1, end=1, text="x\n" * 300),
    ],
)
async def test_what_cannot_be_done_changes_nothing_and_says_so(action: Action) -> None:
    environment, _, first = await begin("chunks")
    result = await environment.step(action)
    assert result.info["refused"] and not result.terminated and result.success is None
    assert result.observation.text.startswith(first.text) and "cannot be done" in result.observation.text
    assert result.observation.actions == first.actions
    assert len(result.observation.text) < len(first.text) + 500


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("while True: print('x' * 1000)", "ended: too much output"),
        ("import os; os.write(1, bytes(range(128, 256)))", "\ufffd"),
        (r"print('\ud800')", "surrogates not allowed"),
        ("1 +\0 1", "null bytes"),
    ],
)
async def test_code_that_floods_or_is_no_text_is_a_step_with_a_note(code: str, seen: str) -> None:
    environment, _, first = await begin("chunks")
    result = await environment.step(call("run_python", code=code))
    assert seen in result.observation.text and not result.terminated
    assert len(result.observation.text) < len(first.text) + 10_000


CHEATS = {
    "ends at once": "import os\nos._exit(0)",
    "prints what it was asked": "import sys\ndef roman(number): print('I'); return 'I'",
    "looks for answers in the process": """
import sys
def roman(number):
    found = []
    frame = sys._getframe()
    while frame:
        for value in frame.f_locals.values():
            found += str(value).replace('"', ' ').split()
        frame = frame.f_back
    return next((text for text in found if set(text) <= set('MDCLXVI') and text), '')
""",
    "answers for all calls at once": """
import json, os
class Anything(str):
    def __eq__(self, other): return True
def roman(number):
    for fd in range(3, 20):
        try: os.write(fd, b'"MM"\\n' * 100)
        except OSError: pass
    return Anything('M')
""",
    "equals everything": "class Same(str):\n    __eq__ = lambda self, other: True\nroman = lambda number: Same('x')",
    "replaces json": "import json\njson.dumps = lambda value: 'true'\nroman = lambda number: 1",
    "never ends": "def roman(number):\n    while True: pass",
    "eats memory": "def roman(number):\n    return 'x' * (1 << 40)",
    "floods": "def roman(number):\n    while True: print('x' * 1000)",
}


@pytest.mark.sandbox
@pytest.mark.parametrize("cheat", CHEATS)
async def test_hostile_sources_fail_and_break_nothing(cheat: str) -> None:
    environment, _, _ = await begin("roman")
    lines = len(make_problem("roman", 0).broken)
    await environment.step(call("replace_lines", start=1, end=lines, text=CHEATS[cheat]))
    tested = await environment.step(call("run_tests"))
    assert "5 of 5 visible" not in tested.observation.text
    assert len(tested.observation.text) < 8_000
    assert (await environment.step(call("submit"))).success is False


@pytest.mark.sandbox
async def test_a_result_that_hits_the_visible_tests_only_is_not_success() -> None:
    environment, task, _ = await begin("roman")
    problem = make_problem("roman", task.seed)
    table = {json.loads(case.arguments)[0]: json.loads(case.expected) for case in problem.visible}
    source = f"def roman(number):\n    return {table!r}.get(number, '')"
    await environment.step(call("replace_lines", start=1, end=len(problem.broken), text=source))
    assert "5 of 5 visible tests pass." in (await environment.step(call("run_tests"))).observation.text
    assert (await environment.step(call("submit"))).success is False


@pytest.mark.sandbox
async def test_tasks_of_another_version_are_refused() -> None:
    environment, task, _ = await begin("clamp")
    with pytest.raises(EnvironmentFault, match="make the panel anew"):
        await environment.reset(task.model_copy(update={"version": "old"}))
    with pytest.raises(EnvironmentFault, match="no function 'nothing'"):
        await environment.reset(task.model_copy(update={"params": {"function": "nothing"}}))


def test_a_uniform_guesser_succeeds_at_about_one_in_eight() -> None:
    """The floor that any figure for this suite stands on: one edit at random, then submit."""
    rng, won, played = Random(5), 0, 0
    for task in CodeRepairSuite().tasks(Split.REPORT, 3):
        problem = make_problem(task.params["function"], task.seed)
        edit = rng.choice(problem.candidates)
        played, won = played + 1, won + (edit == problem.repair)
    assert 0.03 < won / played < 0.3


# --- the registry


def test_registry_lists_and_makes() -> None:
    known = registry.suites()
    assert {"code-repair", "miniwob"} <= set(known) and all(line and "\n" not in line for line in known.values())
    assert len(registry.create("code-repair", functions=["roman"]).tasks(Split.LEARN, 1)) == 1


def test_registry_refuses_what_it_does_not_know() -> None:
    with pytest.raises(SettingsError, match="did you mean code-repair"):
        registry.create("code-repiar")
    with pytest.raises(SettingsError, match=r"known: .*code-repair.*miniwob"):
        registry.create("zzz")
    with pytest.raises(SettingsError, match="its options are functions"):
        registry.create("code-repair", function="roman")


def test_registry_reads_entry_points(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    info = tmp_path / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[wisen.suites]\nmine = plug_of_test:Mine\nlost = plug_not_there:Lost\nodd = plug_of_test:Odd\n"
    )
    (tmp_path / "plug_of_test.py").write_text(
        "from wisen.environments.code.repair import CodeRepairSuite\n"
        "class Mine(CodeRepairSuite):\n    name = 'mine'\nclass Odd: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "From plug" in registry.suites()["mine"]
    assert registry.create("mine").name == "mine"
    with pytest.raises(SettingsError, match="lost of plug cannot be loaded"):
        registry.create("lost")
    with pytest.raises(SettingsError, match="odd is not a suite"):
        registry.create("odd")
