"""What suites say of themselves: all of them, the same on the page, and true."""

from pathlib import Path

import pytest

from wisen.core.records import Acts, Split, SuiteCard
from wisen.environments import registry
from wisen.environments.cards import facts, table
from wisen.environments.code import problem
from wisen.environments.code.repair import CodeRepairSuite

PAGE = Path(__file__).parents[2] / "docs/environments.md"
BUILT_IN = sorted(registry._BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_suite_is_described_before_any_option_is_given(name: str) -> None:
    card = registry.card(name)
    assert card is not None, f"give the class of {name} an `about`"
    assert card.summary and card.acts and card.reward and card.success and card.licence, name


def test_the_page_shows_the_cards() -> None:
    cards = {name: card for name in BUILT_IN if (card := registry.card(name)) is not None}
    made = table(cards)
    _, head, rest = PAGE.read_text().partition(made[0])
    assert [head, *rest.partition("\n\n")[0].splitlines()[1:]] == made, "it is as `wisen env list --markdown` prints it"


def test_a_table_has_no_cell_too_many() -> None:
    card = SuiteCard(
        summary="one | two.", acts=(Acts.CHOICE,), sizes={Split.LEARN: 1200}, extra="text", needs=("Java",)
    )
    (*_, row) = table({"made": card})
    assert row.count(" | ") == table({})[0].count(" | ")
    assert "| one / two | by options | 1,200 / 0 / 0 | choice |" in row and "| wisen[text]; Java |" in row
    assert "licence" not in facts(card) and facts(card)["needs"] == "wisen[text]; Java"


def test_code_repair_counts_its_templates() -> None:
    found = {(name, one.kind) for name in problem.functions() for row in problem.dealt(name).values() for one in row}
    assert CodeRepairSuite.about.templates == len(found)
    assert CodeRepairSuite(functions=["clamp"]).card().templates is None


@pytest.mark.parametrize("name", ["household", "office"])
def test_templates_are_those_of_the_tasks(name: str) -> None:
    suite = registry.create(name)
    card = suite.card()  # type: ignore[attr-defined]
    assert card == registry.card(name)
    assert card.templates == len({task.template_id for task in suite.tasks(Split.GATE, 1)})


def test_options_change_a_card() -> None:
    assert registry.create("household", errands=["put"], max_steps=9).card().templates == 1  # type: ignore[attr-defined]
    assert registry.create("office", organisations=[4], levels=[1]).card().templates == 3  # type: ignore[attr-defined]
    sizes = registry.create("mcp", tasks=["close-project"]).card().sizes  # type: ignore[attr-defined]
    assert sizes == {Split.LEARN: 0, Split.GATE: 0, Split.REPORT: 1}
