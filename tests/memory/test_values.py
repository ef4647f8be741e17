import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wisen.core.errors import SettingsError
from wisen.memory.credit import Appearance
from wisen.memory.values import VALUE_FUNCTIONS, D2Skill, EvolveR, MemRL, value_function, values


def account(*marks: str) -> list[Appearance]:
    """`+1` shown in a success, `-0` held out in a failure; a letter names the group."""
    return [Appearance("item", mark[0] == "+", 0.5, mark[1] == "1", 0.5, group=("wave", mark[2:])) for mark in marks]


def test_the_formulas() -> None:
    mixed = account("+1", "+0", "-1", "+1")
    assert MemRL().value(mixed) == pytest.approx(0.3 * 0.7 * 0.7 + 0.3)
    assert EvolveR().value(mixed) == 3 / 5
    assert value_function("lift").value(mixed) == pytest.approx((1 - 1 - 1 + 1) / 4)
    # group a: 1 - 0; group b: (1 + 0) / 2 - 1; group c has one side only
    halves = account("+1a", "-0a", "+1b", "+0b", "-1b", "+1c")
    assert D2Skill().value(halves) == pytest.approx(0.5 * (-0.5) + 0.5 * 0.5 * 1)


def test_shared_outcomes_praise_an_item_that_does_nothing() -> None:
    """Where most runs succeed anyway. The methods that look at runs without the item as well are not fooled."""
    idle = account(*(["+1", "+1", "+1", "+0", "-1", "-1", "-1", "-0"] * 20))
    assert EvolveR().value(idle) > 0.7 and MemRL().value(idle) > 0.4
    assert value_function("lift").value(idle) == D2Skill().value(idle) == 0.0


@pytest.mark.parametrize("name", VALUE_FUNCTIONS)
@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["+1a", "+0a", "-1b", "-0b", "+1b", "-0a"]), max_size=20))
def test_all_are_pure_and_finite(name: str, marks: list[str]) -> None:
    method, uses = value_function(name), account(*marks)
    assert method.name == name
    assert -2 <= method.value(uses) <= 2
    assert method.value(uses) == value_function(name).value(uses)
    assert values({"x": uses, "y": []}, method) == {"x": method.value(uses), "y": method.value([])}


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(SettingsError, match="karma"):
        value_function("karma")
