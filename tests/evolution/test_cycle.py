"""The parts of a cycle that decide without acting."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.attempts import attempt
from wisen.core.records import EpisodeEnd, Outcome, Trajectory
from wisen.evolution.cycle import shuffled, weak_templates


def outcome(template: str, success: bool, number: int) -> Outcome:
    return Outcome(
        trajectory_id=f"{template}-{number}",
        task_id=f"task-{number}",
        template_id=template,
        success=success,
        reward=0.0,
        steps=1,
        end=EpisodeEnd.TERMINATED,
        seconds=0.0,
        arm="collect-1",
    )


def test_weak_is_what_solved_less_than_half() -> None:
    solved = {"all": "111", "half": "10", "less": "100", "none": "0"}
    outcomes = {
        f"{template}-{number}": outcome(template, mark == "1", number)
        for template, marks in solved.items()
        for number, mark in enumerate(marks)
    }
    assert weak_templates(outcomes) == {"less", "none"}
    assert weak_templates({}) == frozenset()


def arms(successes: dict[str, list[bool | None]]) -> list[Trajectory]:
    return [
        attempt([("page", "", "go")], success=success, number=number).model_copy(
            update={"arm": arm, "id": f"{arm}-{number}"}
        )
        for arm, group in successes.items()
        for number, success in enumerate(group)
    ]


def by_arm(trajectories: tuple[Trajectory, ...] | list[Trajectory], arm: str) -> list[bool | None]:
    return [one.success for one in trajectories if one.arm == arm]


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.booleans(), max_size=8)), st.integers(0, 9))
def test_shuffling_keeps_everything_but_who_succeeded(successes: dict[str, list[bool | None]], seed: int) -> None:
    before = arms(successes)
    after = shuffled(before, seed=seed)
    assert [one.id for one in after] == [one.id for one in before]
    for arm in successes:
        assert sorted(map(bool, by_arm(after, arm))) == sorted(map(bool, by_arm(before, arm)))
    assert [one.model_copy(update={"success": None}) for one in after] == [
        one.model_copy(update={"success": None}) for one in before
    ]
    assert shuffled(before, seed=seed) == after


def test_shuffling_really_permutes_and_each_arm_on_its_own() -> None:
    before = arms({"collect-1": [True] * 20 + [False] * 20, "collect-2": [True] * 20 + [False] * 20})
    after = shuffled(before, seed=0)
    first, second = by_arm(after, "collect-1"), by_arm(after, "collect-2")
    assert first != second and first != by_arm(before, "collect-1")
    assert by_arm(shuffled(before, seed=1), "collect-1") != first
    more = arms({"collect-1": [True] * 20 + [False] * 20})
    assert by_arm(shuffled(more, seed=0), "collect-1") == first  # whatever later cycles collected
