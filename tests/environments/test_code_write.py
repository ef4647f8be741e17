"""The suite code-write: chains that never meet, files that stay, tests that cannot be talked to."""

import json
from collections import Counter
from pathlib import Path

import pytest

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.protocols import Oracle
from wisen.core.records import Action, Split, Task, ToolCall
from wisen.environments.code import problem as repairs
from wisen.environments.code.levels import landlock_level
from wisen.environments.code.sandbox import Sandbox
from wisen.environments.code.write import CodeWriteEnvironment, CodeWriteOracle, CodeWriteSuite
from wisen.environments.code.write_problem import FORMS, functions, make_problem
from wisen.environments.tasks import FIRST_SEED


def call(tool: str, **arguments: object) -> Action:
    return Action(tool_call=ToolCall(name=tool, arguments=arguments))


def task_of(form: str) -> Task:
    tasks = CodeWriteSuite().tasks(Split.LEARN, 12)
    return next(task for task in tasks if task.template_id.endswith(f"/{form}"))


def solve_of(task: Task) -> str:
    """What is asked for, without the form in which it is: the function, and all steps after it."""
    problem = make_problem(task.params["function"], task.seed)
    return problem.base + problem.files["solution.py"].partition("def solve")[2]


# --- tasks


def test_no_two_panels_ask_for_the_same_function() -> None:
    asked = {split: {solve_of(task) for task in CodeWriteSuite().tasks(split, 8)} for split in Split}
    assert not asked[Split.LEARN] & asked[Split.GATE] and not asked[Split.LEARN] & asked[Split.REPORT]
    assert not asked[Split.GATE] & asked[Split.REPORT]
    assert all(len(texts) > 0.9 * 8 * len(functions()) for texts in asked.values())


def test_no_two_panels_of_code_repair_show_the_same_broken_function() -> None:
    for name in repairs.functions():
        broken = {
            split: {repairs._break(name, first + seed).mutation.lines for seed in range(6)}
            for split, first in FIRST_SEED.items()
        }
        for split, texts in broken.items():
            assert texts and not any(texts & other for key, other in broken.items() if key is not split)
            assert texts <= {one.lines for one in repairs.dealt(name)[split]}
        counts = [len(repairs.dealt(name)[split]) for split in (Split.LEARN, Split.GATE, Split.REPORT)]
        assert counts[0] >= max(counts[1:]) and min(counts) >= 1


def test_tasks_come_in_all_forms_and_have_enough_hidden_tests() -> None:
    tasks = CodeWriteSuite().tasks(Split.REPORT, 6)
    assert set(Counter(task.template_id.rpartition("/")[2] for task in tasks)) == set(FORMS)
    for task in tasks:
        problem = make_problem(task.params["function"], task.seed)
        assert 1 <= len(problem.visible) <= 4 and len(problem.hidden) >= 8
        assert len({case.expected for case in (*problem.visible, *problem.hidden)}) >= 2
        assert bool(problem.base_hidden) == (problem.form == "two-files") == (len(problem.files) == 2)
        assert bool(problem.given) == (problem.form == "given")


def test_options_are_checked() -> None:
    assert isinstance(CodeWriteSuite().oracle(), Oracle)
    assert len(CodeWriteSuite(["roman"]).tasks(Split.LEARN, 3)) == 3
    for options in ({"functions": ["romann"]}, {"functions": "roman"}, {"least": "none"}):
        with pytest.raises(SettingsError):
            CodeWriteSuite(**options)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="outside the split"):
        CodeWriteSuite().tasks(Split.LEARN, 2, offset=999_999)


# --- the environment


@pytest.fixture(params=[pytest.param("namespaces", marks=pytest.mark.sandbox)])
async def environment(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    made = CodeWriteEnvironment(Sandbox(only=request.param))
    yield made
    await made.close()


@pytest.mark.parametrize("form", FORMS)
async def test_the_oracle_solves_each_form_and_the_first_half_of_it_does_not(
    environment: CodeWriteEnvironment, form: str
) -> None:
    task = task_of(form)
    seen = await environment.reset(task)
    assert not seen.actions and len(seen.tools) == 4 and "Examples" in seen.text
    *writes, submit = CodeWriteOracle().solution(task, seen)
    for action in writes:
        result = await environment.step(action)
        assert "is written" in result.observation.text
    assert " examples are right" in (await environment.step(Action(text="run_examples"))).observation.text
    end = await environment.step(submit)
    assert end.terminated and end.success is True and end.reward == 1.0
    await environment.reset(task)  # a new episode starts with an empty box
    end = await environment.step(submit)
    assert end.terminated and end.success is False and end.reward == 0.0


@pytest.mark.parametrize("form", FORMS)
async def test_a_solution_of_the_examples_only_fails(environment: CodeWriteEnvironment, form: str) -> None:
    task = task_of(form)
    problem = make_problem(task.params["function"], task.seed)
    table = {case.arguments: json.loads(case.expected) for case in problem.visible}
    await environment.reset(task)
    text = f"import json\ndef solve(*given):\n    return {table!r}.get(json.dumps(list(given)))\n"
    await environment.step(Action(text=f"write_file solution.py\n{text}"))
    tried = await environment.step(call("run_examples"))
    count = len(problem.visible)
    assert f"{count} of {count} examples are right" in tried.observation.text
    assert (await environment.step(call("submit"))).success is False


async def test_files_stay_from_action_to_action(environment: CodeWriteEnvironment) -> None:
    await environment.reset(task_of("alone"))
    await environment.step(call("write_file", path="helper.py", text="def half(n):\n    return n // 2\n"))
    ran = await environment.step(Action(text="run\nimport helper\nopen('kept.txt', 'w').write(str(helper.half(9)))"))
    assert "(no output)" in ran.observation.text
    ran = await environment.step(call("run", code="import os; print(open('kept.txt').read(), sorted(os.listdir()))"))
    assert "4 ['helper.py', 'kept.txt']" in ran.observation.text
    failed = await environment.step(call("run", code="import helper; helper.half('x')"))
    assert "TypeError" in failed.observation.text and not failed.terminated


async def test_all_files_come_back_with_their_rights_and_a_link_leads_nowhere(
    environment: CodeWriteEnvironment, tmp_path: Path
) -> None:
    """Also those that code made, and in another environment; what was done after the snapshot is undone."""
    secret = tmp_path / "secret"
    secret.write_text("of this machine")
    await environment.reset(task_of("alone"))
    made = (
        "import os; os.mkdir('inner'); open('inner/raw', 'wb').write(bytes(range(256))); "
        f"os.chmod('inner/raw', 0o500); os.symlink({str(secret)!r}, 'out'); os.mkfifo('pipe')"
    )
    await environment.step(call("run", code=made))
    kept = await environment.snapshot()
    await environment.step(call("run", code="import shutil; shutil.rmtree('inner'); print('gone')"))
    other = CodeWriteEnvironment(environment._sandbox)
    for room in (environment, other):
        assert "(no output)" in (await room.restore(kept)).text
        look = (
            "import os, stat; print(sorted(os.listdir('.')), oct(os.stat('inner/raw').st_mode), os.readlink('out')); "
            "print(open('inner/raw', 'rb').read() == bytes(range(256)), os.path.exists('out'))"
        )
        told = (await room.step(call("run", code=look))).observation.text
        assert f"['inner', 'out', 'pipe'] 0o100500 {secret}\nTrue False" in told, told
    await other.close()
    assert secret.read_text() == "of this machine"


async def test_what_is_too_much_to_keep_is_a_fault_and_the_episode_goes_on(environment: CodeWriteEnvironment) -> None:
    await environment.reset(task_of("alone"))
    await environment.step(
        call("run", code="import os; [open(str(n), 'wb').write(os.urandom(15 << 20)) for n in range(2)]")
    )
    with pytest.raises(EnvironmentFault, match="cannot be kept"):
        await environment.snapshot()
    assert "going on" in (await environment.step(call("run", code="print('going on')"))).observation.text


async def test_a_link_in_place_of_a_file_leads_nowhere(environment: CodeWriteEnvironment, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("untouched")
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    outside.chmod(0o666)
    await environment.reset(task_of("alone"))
    await environment.step(call("run", code=f"import os; os.symlink({str(outside)!r}, 'solution.py')"))
    wrote = await environment.step(call("write_file", path="solution.py", text="def solve(): pass"))
    assert "could not be written" in wrote.observation.text
    assert outside.read_text() == "untouched"
    assert (await environment.step(call("submit"))).success is False


CHEATS = {
    "a module in the way of the tests": "import json\njson.dumps = lambda value: '0'\ndef solve(*given): return 0",
    "writes results itself": "import os\nos.write(1, b'loaded\\n' + b'0\\n' * 99)\nos._exit(0)",
    "says it is right": "class R(int):\n    __eq__ = lambda *_: True\ndef solve(*given): return R(1)",
}


@pytest.mark.parametrize("cheat", CHEATS)
async def test_cheats_fail(environment: CodeWriteEnvironment, cheat: str) -> None:
    await environment.reset(task_of("alone"))
    await environment.step(call("write_file", path="json.py", text="raise SystemExit(0)"))
    await environment.step(call("write_file", path="solution.py", text=CHEATS[cheat]))
    end = await environment.step(call("submit"))
    assert end.terminated and end.success is False


@pytest.mark.parametrize(
    "action",
    [
        call("write_file", path="../solution.py", text=""),
        call("write_file", path="/etc/x.py", text=""),
        call("write_file", path="solution.py"),
        call("write_file", path="solution.py", text="x" * 20_001),
        call("run", code=3),
        call("submit", now=True),
        Action(text="write_file solution.py"),
        Action(text="run"),
        Action(text="def solve(): pass"),
    ],
)
async def test_what_cannot_be_done_says_so(environment: CodeWriteEnvironment, action: Action) -> None:
    await environment.reset(task_of("alone"))
    result = await environment.step(action)
    assert "cannot be done" in result.observation.text and not result.terminated and result.success is None


async def test_tasks_of_another_version_are_refused_and_the_box_goes(environment: CodeWriteEnvironment) -> None:
    task = task_of("alone")
    with pytest.raises(EnvironmentFault, match="make the panel anew"):
        await environment.reset(task.model_copy(update={"version": "old"}))
    with pytest.raises(EnvironmentFault, match="no function 'nothing'"):
        await environment.reset(task.model_copy(update={"params": {"function": "nothing"}}))
    await environment.reset(task)
    assert environment._episode is not None
    folder = Path(environment._episode.box.folder)
    assert folder.exists()
    await environment.close()
    assert not folder.exists()


@pytest.mark.skipif(landlock_level().level == "none", reason=landlock_level().detail)
async def test_the_second_level_plays_it_too() -> None:
    task = task_of("two-files")
    environment = CodeWriteEnvironment(Sandbox(only="landlock"))
    for wanted in (True, False):
        actions = CodeWriteOracle().solution(task, await environment.reset(task))
        *_, end = [await environment.step(action) for action in (actions if wanted else actions[-1:])]
        assert end.terminated and end.success is wanted
    await environment.close()
