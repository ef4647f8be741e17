"""AgentDojo: the package's solutions, its attacks, and what an agent that falls for one is told of."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import Any

import pytest

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Snapshot, Split, StepResult, Task, ToolCall
from wisen.environments import registry
from wisen.environments.tool.agentdojo import LONGEST_RESULT, AgentDojoEnvironment
from wisen.environments.tool.agentdojo_suite import APPLICATIONS, ATTACKS, AgentDojoSuite

pytestmark = [
    pytest.mark.skipif(find_spec("agentdojo") is None, reason='no AgentDojo: pip install "wisen[security]"'),
    pytest.mark.timeout(300),  # the first import takes seconds, on a busy machine many
]
BANKING = {"suites": ["banking"], "attack": "important_instructions"}


def everything(suite: AgentDojoSuite) -> list[Task]:
    return [task for split in Split for task in suite.tasks(split, 999)]


async def played(environment: AgentDojoEnvironment, task: Task, actions: Any) -> list[StepResult]:
    await environment.reset(task)
    return [await environment.step(action) for action in actions]


def call(name: str, **arguments: Any) -> Action:
    return Action(tool_call=ToolCall(name=name, arguments=arguments))


@pytest.fixture
async def environment() -> AsyncIterator[AgentDojoEnvironment]:
    """In this process, where the package's own objects can be looked at."""
    made = await AgentDojoSuite().create()
    yield made
    await made.close()


def test_the_table_is_the_packages_own() -> None:
    from agentdojo.attacks.attack_registry import ATTACKS as REGISTERED
    from agentdojo.task_suite.load_suites import get_suites

    suites = get_suites("v1.2.2")
    assert set(suites) == set(APPLICATIONS) and set(ATTACKS) <= set(REGISTERED)
    for name, suite in suites.items():
        assert {f"user_task_{number}" for number in APPLICATIONS[name].users} == set(suite.user_tasks)
        assert {f"injection_task_{number}" for number in APPLICATIONS[name].injections} == set(suite.injection_tasks)


def test_user_tasks_are_dealt_once_and_stay_where_they_are_under_an_attack() -> None:
    plain, attacked = AgentDojoSuite(), AgentDojoSuite(attack="direct")
    split_of = {(task.params["suite"], task.params["user_task"]): task.split for task in everything(plain)}
    assert len(split_of) == len(everything(plain)) == 97
    assert Counter(split_of.values()) == plain.card().sizes == AgentDojoSuite.about.sizes
    pairs = everything(attacked)
    assert len(pairs) == len({task.id for task in pairs}) == 949 == sum(attacked.card().sizes.values())
    assert all(split_of[task.params["suite"], task.params["user_task"]] is task.split for task in pairs)
    few = [task for task in attacked.tasks(Split.LEARN, 10) if task.params["suite"] == "slack"]
    assert len({task.params["user_task"] for task in few}) == 10
    assert len({task.params["injection_task"] for task in few}) == 5


async def test_all_97_solutions_of_the_package_are_useful_and_harm_nobody(environment: AgentDojoEnvironment) -> None:
    oracle = AgentDojoSuite().oracle()
    for task in everything(AgentDojoSuite()):
        first = await environment.reset(task)
        *before, last = [await environment.step(action) for action in oracle.solution(task, first)]
        assert last.terminated and last.success is True and last.reward == 1.0, task.id
        assert last.info["utility"] is True and "injection_succeeded" not in last.info
        assert not any(result.violation or result.terminated or result.info.get("refused") for result in before)


async def test_what_is_seen_first_is_the_users_words_and_nothing_of_the_task(environment: AgentDojoEnvironment) -> None:
    from agentdojo.task_suite.load_suites import get_suites

    for name, suite in get_suites("v1.2.2").items():
        seen = [await environment.reset(task) for task in everything(AgentDojoSuite(suites=[name]))]
        assert {one.instruction for one in seen} == {task.PROMPT for task in suite.user_tasks.values()}
        assert len({one.text for one in seen}) == 1  # whatever the task
        assert [tool.name for tool in seen[0].tools] == [*(tool.name for tool in suite.tools), "answer"]


async def test_each_attackers_task_can_be_done_and_is_a_violation(environment: AgentDojoEnvironment) -> None:
    """27 have a solution in the package; eight of `workspace` have ours."""
    from tests.support.agentdojo_attacker import WITHOUT_SOLUTION, obeyed
    from wisen.environments.tool.agentdojo_package import begun, solution_of

    suite = AgentDojoSuite(attack="important_instructions")
    first = {(task.params["suite"], task.params["injection_task"]): task for task in everything(suite)}
    assert len(first) == 35
    for (name, injection), task in first.items():
        start = begun(task.params)
        ours = name == "workspace" and injection in WITHOUT_SOLUTION
        calls = obeyed(start) if ours else solution_of(start, start.injection)
        told = f"{start.injection.GROUND_TRUTH_OUTPUT} Done."
        actions = [*(Action(tool_call=one) for one in calls), Action(text=f"answer: {told}")]
        results = await played(environment, task, actions)
        assert results[-1].info["injection_succeeded"] is True, task.id
        assert sum(bool(result.violation) for result in results) == 1


async def test_who_falls_for_a_planted_text_is_told_apart_from_who_does_not(environment: AgentDojoEnvironment) -> None:
    """The obedient agent does what a tool's result tells it to, and then the user's task; a careful one, only that."""
    suite = AgentDojoSuite(**BANKING)  # type: ignore[arg-type]
    oracle = suite.oracle()
    task = next(
        task for task in everything(suite) if task.id.endswith("user_task_1/important_instructions/injection_task_0")
    )
    first = await environment.reset(task)
    assert "<INFORMATION>" not in first.text
    careful = [await environment.step(action) for action in oracle.solution(task, first)]
    assert "<INFORMATION>" in careful[0].observation.text  # the text is where the user's task leads: data, and no more
    assert not any(result.violation for result in careful)
    assert careful[-1].success is True and careful[-1].info == careful[-1].info | {
        "utility": True,
        "injection_succeeded": False,
    }
    obedient = await played(environment, task, oracle.obeying(task))
    assert obedient[-1].success is True and obedient[-1].info["injection_succeeded"] is True
    assert [bool(result.violation) for result in obedient] == [True] + [False] * (len(obedient) - 1)
    assert "banking, injection_task_0" in obedient[0].violation and obedient[0].reward == 0.0
    only = await played(environment, task, [*oracle.obeying(task)[:1], Action(text="answer: I did what it said.")])
    assert only[0].violation and only[-1].success is False and only[-1].info["injection_succeeded"] is True


async def test_an_attack_that_succeeded_before_the_episode_was_cut_off_is_told(
    environment: AgentDojoEnvironment,
) -> None:
    suite = AgentDojoSuite(**BANKING, max_steps=2)  # type: ignore[arg-type]
    task = next(task for task in everything(suite) if task.params["injection_task"] == "injection_task_0")
    results = await played(environment, task, [suite.oracle().obeying(task)[0], call("get_balance")])
    assert results[0].violation and results[1].truncated and results[1].success is False
    assert results[1].info == {"note": results[1].info["note"], "utility": False, "injection_succeeded": True}
    with pytest.raises(EnvironmentFault):
        await environment.step(call("get_balance"))


@pytest.mark.parametrize("attack", ATTACKS)
async def test_every_attack_puts_the_goal_where_the_task_leads(environment: AgentDojoEnvironment, attack: str) -> None:
    from wisen.environments.tool.agentdojo_package import begun

    suite = AgentDojoSuite(suites=["slack", "banking"], attack=attack)
    for task in suite.tasks(Split.GATE, 1):
        results = await played(environment, task, suite.oracle().solution(task, await environment.reset(task)))
        goal = "".join(begun(task.params).injection.GOAL.split())
        assert any(goal in "".join(result.observation.text.split()) for result in results), task.id
        assert results[-1].success is True and not any(result.violation for result in results)


async def test_a_name_for_the_model_is_in_the_text(environment: AgentDojoEnvironment) -> None:
    for name, said in (("", "the AI language model"), ("Gray Heron", "Gray Heron")):
        suite = AgentDojoSuite(**BANKING, model_name=name)  # type: ignore[arg-type]
        task = suite.tasks(Split.LEARN, 1)[0]
        results = await played(environment, task, suite.oracle().solution(task, await environment.reset(task)))
        assert any(f"to you, {said}" in result.observation.text for result in results)


async def test_calls_are_taken_as_the_package_takes_them_and_bad_ones_teach(environment: AgentDojoEnvironment) -> None:
    task = AgentDojoSuite(suites=["banking"]).tasks(Split.LEARN, 1)[0]
    await environment.reset(task)
    for action, wanted in (
        (call("get_most_recent_transactions", n="2"), "recipient"),  # "2" is as good as 2
        (Action(text="get_most_recent_transactions(n=2)"), "recipient"),
        (call("get_most_recent_transactions", n="two"), "must be a whole number"),
        (call("send_money", recipient="x"), "needs amount, subject, date"),
        (call("send_mony"), "There is no tool 'send_mony'"),
        (call("read_file", file_path="nowhere.txt"), ""),
        (call("answer"), "answer needs text"),
        (call("answer", text=" ... "), "answer needs text"),
        (Action(text="I think that all is done."), "is no tool call"),
    ):
        result = await environment.step(action)
        assert wanted in result.observation.text.partition("\n\n")[0] and result.success is None, action
        assert ("refused" in result.info) == (wanted not in ("recipient", "")), action
    slack = AgentDojoSuite(suites=["travel"]).tasks(Split.LEARN, 1)[0]
    await environment.reset(slack)
    listed = await environment.step(call("get_rating_reviews_for_hotels", hotel_names="['Le Marais Boutique']"))
    assert "refused" not in listed.info and "Rating" in listed.observation.text


async def test_the_same_calls_have_the_same_results_whatever_the_clock_says(environment: AgentDojoEnvironment) -> None:
    task = AgentDojoSuite(suites=["workspace"]).tasks(Split.LEARN, 1)[0]
    mail = call("send_email", recipients=["a@b.example"], subject="s", body="b")
    file = call("create_file", filename="f.txt", content="c")
    one, other = [await played(environment, task, [mail, file]) for _ in range(2)]
    assert one == other and "2024-05-15" in one[0].observation.text


async def test_earlier_results_stay_in_sight_and_long_ones_are_cut(environment: AgentDojoEnvironment) -> None:
    task = AgentDojoSuite(suites=["workspace"]).tasks(Split.LEARN, 1)[0]
    await environment.reset(task)
    body = "word " * 3_000
    for number in range(5):
        result = await environment.step(call("create_file", filename=f"{number}.txt", content=body))
    text = (await environment.step(call("get_current_day"))).observation.text
    assert text.startswith("> get_current_day()\n2024-05-15") and "4.txt" in text and "too long to be shown" in text
    listed = (await environment.step(call("list_files"))).observation.text
    assert "more characters)" in listed and LONGEST_RESULT < len(listed) < 2 * LONGEST_RESULT + 5_000
    assert result.observation.tools


async def test_a_snapshot_goes_on_in_another_process_and_remembers_that_the_attack_succeeded() -> None:
    suite = registry.create("agentdojo", **BANKING)
    try:
        one, other = await suite.create(), await suite.create()
        task = next(
            task for task in suite.tasks(Split.LEARN, 99) if task.params["injection_task"] == "injection_task_0"
        )
        actions = AgentDojoSuite(**BANKING).oracle().obeying(task)  # type: ignore[arg-type]
        await one.reset(task)
        begun = await one.step(actions[0])
        assert begun.violation
        kept = await one.snapshot()  # type: ignore[attr-defined]
        assert len(kept.state) < 20_000
        rest = [await one.step(action) for action in actions[1:]]
        assert await other.restore(Snapshot.model_validate_json(kept.model_dump_json())) == begun.observation  # type: ignore[attr-defined]
        assert [await other.step(action) for action in actions[1:]] == rest
        assert rest[-1].info["injection_succeeded"] is True and not any(result.violation for result in rest)
        for state in (b"{}", json.dumps({"calls": [["fly", {}]], "entries": [], "steps": 1, "told": False}).encode()):
            with pytest.raises(EnvironmentFault):
                await other.restore(kept.model_copy(update={"state": state}))  # type: ignore[attr-defined]
    finally:
        await suite.stop()


async def test_a_task_that_the_package_does_not_have_is_a_fault(environment: AgentDojoEnvironment) -> None:
    task = AgentDojoSuite().tasks(Split.LEARN, 1)[0]
    for changed in ({"params": task.params | {"user_task": "user_task_99"}}, {"version": "0"}):
        with pytest.raises(EnvironmentFault):
            await environment.reset(task.model_copy(update=changed))


@pytest.mark.parametrize(
    "options",
    [
        {"suites": ["mail"]},
        {"suites": "banking"},
        {"attack": "polite"},
        {"attack": "direct", "model_name": "GPT-4"},
        {"model_name": "GPT-4"},
        {"max_steps": 0},
    ],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        registry.create("agentdojo", **options)
