"""reasoning-gym: the reference answer of every kind scores 1, nothing else of a few answers does."""

from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.protocols import Suite
from wisen.core.records import Action, Split, ToolCall
from wisen.environments import registry
from wisen.environments.text.puzzles import (
    COMPARED,
    KINDS,
    LEFT_OUT,
    LONGEST_ANSWER,
    TRIES,
    WITHOUT_REFERENCE,
    answer_of,
    scored,
)

pytestmark = pytest.mark.skipif(
    find_spec("reasoning_gym") is None, reason='no reasoning-gym: pip install "wisen[reasoning]"'
)


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    made = registry.create("reasoning-gym", kinds=[*KINDS, *WITHOUT_REFERENCE])
    yield made
    await made.stop()


async def test_every_reference_answer_scores_one_and_nonsense_does_not(suite: Suite) -> None:
    environment, oracle = await suite.create(), suite.oracle()  # type: ignore[attr-defined]
    played = 0
    for task in suite.tasks(Split.REPORT, 1):
        observation = await environment.reset(task)
        if task.params["kind"] not in WITHOUT_REFERENCE:
            (answer,) = oracle.solution(task, observation)
            result = await environment.step(answer)
            assert result.success is True and result.reward == 1.0 and result.terminated, task.id
            await environment.reset(task)
            played += 1
        wrong = await environment.step(Action(text="answer: no such answer"))
        assert wrong.success is False and wrong.terminated and wrong.reward < 0.5, task.id
    assert played == len(KINDS) >= 90


def test_every_generator_is_used_or_left_out_for_a_reason() -> None:
    from reasoning_gym.factory import DATASETS

    assert sorted([*KINDS, *WITHOUT_REFERENCE, *LEFT_OUT]) == sorted(DATASETS)
    assert set(KINDS) >= COMPARED
    assert {task.params["kind"] for task in registry.create("reasoning-gym").tasks(Split.GATE, 1)} == set(KINDS)


def test_no_answer_is_run_as_code(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Generators whose scorer evaluates an answer are left out, or their scorer is not asked."""
    import reasoning_gym

    planted = tmp_path / "planted"
    for kind in (*KINDS, *WITHOUT_REFERENCE):
        generator = reasoning_gym.create_dataset(kind, size=1, seed=3)
        for answer in (
            f"open({str(planted)!r}, 'w')",
            f"[open({str(planted)!r}, 'w')]",
            f"__import__('os').mkdir({str(planted)!r})",
        ):
            scored(kind, generator, answer, generator[0])
            assert not planted.exists(), kind


async def test_what_is_no_answer_is_told_and_costs_nothing_for_a_while(suite: Suite) -> None:
    environment = await suite.create()
    task = suite.tasks(Split.LEARN, 1)[0]
    await environment.reset(task)
    results = [await environment.step(Action(text="42")) for _ in range(TRIES)]
    assert "no answer" in results[0].info["note"] and "answer: ..." in results[0].observation.text
    assert [result.truncated for result in results] == [False] * (TRIES - 1) + [True]
    assert results[-1].success is False
    with pytest.raises(EnvironmentFault):
        await environment.step(Action(text="answer: 42"))
    await environment.reset(task)
    long = await environment.step(Action(text="answer: " + "9" * (LONGEST_ANSWER + 1)))
    assert not long.terminated and "at most" in long.info["note"]


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        (Action(text="answer: 42"), "42"),
        (Action(text="**Answer:** 42"), "42"),
        (Action(text="**Answer: 42**"), "42"),
        (Action(text="answer: **"), "**"),
        (Action(text="  Answer : a: b"), "a: b"),
        (Action(text="final answer: `x`"), "x"),
        (Action(text=r"answer: 1 2\n3 4"), "1 2\n3 4"),
        (Action(text="answer:"), None),
        (Action(text="the answer: 42"), None),
        (Action(tool_call=ToolCall(name="answer", arguments={"text": "1\n2"})), "1\n2"),
        (Action(tool_call=ToolCall(name="answer", arguments={"text": 42})), None),
        (Action(tool_call=ToolCall(name="reply", arguments={"text": "42"})), None),
        (Action(), None),
    ],
)
def test_how_an_answer_is_given(action: Action, answer: str | None) -> None:
    assert answer_of(action) == answer


async def test_the_threshold_decides_what_counts_as_success() -> None:
    suite = registry.create("reasoning-gym", kinds=["palindrome_generation"], threshold=0.01)
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    result = await environment.step(Action(text="answer: no palindrome"))
    assert result.success is True and result.reward < 1
    await suite.stop()


@pytest.mark.parametrize("options", [{"kinds": ["codeio"]}, {"kinds": ["no"]}, {"threshold": 0}, {"threshold": 2}])
def test_options_are_checked(options: dict) -> None:
    with pytest.raises(SettingsError):
        registry.create("reasoning-gym", **options)
