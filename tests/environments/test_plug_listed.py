"""Lists of tasks dealt to panels, and what a suite of a limited number gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.levers import LeverSuite
from wisen.core.errors import SettingsError
from wisen.core.records import Split, Task
from wisen.environments.plugs.listed import chosen, deal, named_splits, sizes
from wisen.environments.plugs.spoken import task_of_seed

NAMES = st.dictionaries(st.text(min_size=1, max_size=8), st.sampled_from("abcdefg"), max_size=60)


@given(NAMES, st.booleans())
def test_each_task_has_one_panel_whatever_the_order(templates: dict[str, str], by_template: bool) -> None:
    dealt = deal(templates, by_template=by_template)
    assert dealt == deal(dict(reversed(templates.items())), by_template=by_template)
    assert dealt.keys() == templates.keys()
    if by_template:
        assert len({(templates[name], split) for name, split in dealt.items()}) == len(set(templates.values()))


@given(NAMES)
def test_three_tasks_of_a_template_are_in_all_panels(templates: dict[str, str]) -> None:
    dealt = deal(templates)
    for template in set(templates.values()):
        mine = [dealt[name] for name, one in templates.items() if one == template]
        assert len(set(mine)) == min(3, len(mine)) and mine.count(Split.LEARN) >= len(mine) * 0.6 - 1


def task(number: int, template: str, split: Split = Split.LEARN) -> Task:
    return Task(
        id=f"{template}/{number}",
        suite="s",
        environment="e",
        template_id=template,
        split=split,
        seed=number,
        version="1",
    )


LIST = [task(n, "big") for n in range(5)] + [task(0, "small")] + [task(9, "big", Split.GATE)]


def test_a_template_gives_what_it_has() -> None:
    assert [one.id for one in chosen(LIST, Split.LEARN, 2, 0)] == ["big/0", "small/0", "big/1"]
    assert [one.id for one in chosen(LIST, Split.LEARN, 9, 3)] == ["big/3", "big/4"]
    assert chosen(LIST, Split.LEARN, 9, 5) == chosen(LIST, Split.LEARN, 0, 0) == chosen(LIST, Split.REPORT, 1, 0) == ()
    assert sizes(LIST) == {Split.LEARN: 6, Split.GATE: 1, Split.REPORT: 0}
    with pytest.raises(SettingsError, match="count from 0"):
        chosen(LIST, Split.LEARN, 1, -1)


@pytest.mark.parametrize("given", ["one", [], {}, {"train": ["a"]}, {"learn": "abc"}, {"learn": ["a"], "gate": ["a"]}])
def test_lists_that_a_person_got_wrong(given: object) -> None:
    with pytest.raises(SettingsError, match="tasks"):
        named_splits(given, "tasks")  # type: ignore[arg-type]


def test_lists_of_ones_own_stay_where_they_are() -> None:
    assert named_splits({"learn": ["a", "b"], "report": ["c"]}, "tasks") == {
        "a": Split.LEARN, "b": Split.LEARN, "c": Split.REPORT}  # fmt: skip


class Few(LeverSuite):
    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return chosen(LIST, split, per_template, offset)


def test_any_seed_names_a_task_where_there_is_one() -> None:
    few = [task_of_seed(Few(), Split.LEARN, seed) for seed in range(12)]
    assert {one.id for one in few if one} == {one.id for one in LIST if one.split is Split.LEARN}
    assert task_of_seed(Few(), Split.REPORT, 3) is None
    many = [task_of_seed(LeverSuite(), Split.GATE, seed) for seed in range(6)]
    assert [one.id for one in many if one] == [
        f"levers/{name}/{1_000_000 + n}" for n, name in enumerate(["one", "two", "stop"] * 2)
    ]
