from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.attempted import Move, attempted
from wisen.core.errors import SettingsError
from wisen.trainers.filters import LONGEST, NAMES, Expression, chosen, facts


def values(**given: object) -> dict[str, object]:
    return {**facts(attempted([Move((10,), (50,))]), 0.0), **given}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("outcome == 'success' and length <= 8", True),
        ("outcome in ('failure', 'open')", False),
        ("not success or length > 1", False),
        ("'memory' in tags", False),
        ("'sampled' in tags and 'explored' not in tags", True),
        ("0 < length + 1 <= 2 * 1", True),
        ("lift > -0.5 and reward / 2 == 0", True),
        ("template == 'family' and suite != 'miniwob'", True),
        ("success == True and task == 'task-0' and arm == 'collect-1'", True),
    ],
)
def test_an_expression_is_worked_out(text: str, holds: bool) -> None:
    assert Expression(text)(values()) is holds  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "tags.pop()",
        "length.__class__",
        "[x for x in tags]",
        "lambda: 1",
        "2 ** 99",
        "'a' if success else 'b'",
        "tags[0]",
        "f'{length}'",
        "success := True",
        "length; 1",
        "length is 1",
        "b'x' == 1",
        "secret == 1",
        "outcome ==",
        "(" * 400 + "1" + ")" * 400,
        "1" * (LONGEST + 1),
    ],
)
def test_all_else_is_refused_before_anything_is_worked_out(text: str) -> None:
    with pytest.raises(SettingsError, match="the filter"):
        Expression(text)


@pytest.mark.parametrize("text", ["length < 'a'", "1 / 0 == 1", "tags > 1", "'a' * 99999999 == 'b'", "(1, 2) * 9 == 1"])
def test_what_cannot_be_worked_out_is_an_error_too(text: str) -> None:
    with pytest.raises(SettingsError, match="cannot be worked out"):
        Expression(text)(values())  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with suppress(SettingsError):
        Expression(text)(values())  # type: ignore[arg-type]


def test_every_name_is_a_fact() -> None:
    assert set(values()) == set(NAMES)


def test_lift_is_over_the_attempts_at_the_same_task() -> None:
    one, two, alone = (
        attempted([Move((10,), (50,), reward=reward)], success=success, task=task, number=number)
        for number, (task, success, reward) in enumerate([("a", True, 3.0), ("a", False, 1.0), ("b", True, 5.0)])
    )
    given = [one, two, alone]
    assert chosen(given, Expression("lift > 0")) == [one]
    assert chosen(given, Expression("lift == -0.5")) == [two]
    assert chosen(given, Expression("lift == 1"), "reward") == [one]
    assert chosen(given, Expression("lift == 0")) == [alone]
