"""What any distiller must do, whether or not a language model writes for it. A new one joins `MAKERS`."""

import json
from collections.abc import Callable

import pytest

from tests.memory.build import judged, trajectory
from wisen.core.errors import SettingsError
from wisen.core.protocols import Distiller
from wisen.core.records import EpisodeEnd, ItemKind, MemoryItem, Phase, Trajectory, Trust, Verdict
from wisen.memory.distillers import distiller_names, make_distiller
from wisen.memory.guard import check_item
from wisen.memory.items import item_id
from wisen.models.scripted import ScriptedModel

LESSON = {
    "title": "Fill before pressing",
    "when_to_use": "A form asks for several values.",
    "when_not": "The form is filled already.",
    "content": "Type every value that the task names, then press the button once.",
}


def reasoningbank() -> Distiller:
    return make_distiller("reasoningbank", ScriptedModel(lambda request: json.dumps({"items": [LESSON]})))


MAKERS: dict[str, Callable[[], Distiller]] = {
    "extractive": lambda: make_distiller("extractive"),
    "reasoningbank": reasoningbank,
}
VALUES = ("bela", "x1-y2", "31")
INSTRUCTION = 'Enter the username "bela", the password "x1-y2" and 31 as the age, then press login.'
RIGHT = (
    'type textbox "Username" "bela"',
    'type textbox "Password" "x1-y2"',
    'type textbox "Age" "31"',
    'click button "Login"',
)
WRONG = ('type textbox "Username" "bela"', 'type textbox "Password" "bela"', 'click button "Login"')

Attempts = list[tuple[Trajectory, Verdict]]


def attempts() -> Attempts:
    return [
        judged(trajectory(INSTRUCTION, RIGHT, number=1), True),
        judged(trajectory(INSTRUCTION, WRONG, number=2), False),
        judged(trajectory(INSTRUCTION, [RIGHT[1], RIGHT[0], *RIGHT[2:]], number=3), True),
        judged(trajectory(INSTRUCTION, RIGHT, number=4), True),
    ]


def test_every_built_in_distiller_is_tried_here() -> None:
    assert set(distiller_names()) >= set(MAKERS)
    with pytest.raises(SettingsError, match="no distiller 'nosuch'"):
        make_distiller("nosuch")
    with pytest.raises(SettingsError, match="needs a language model"):
        make_distiller("reasoningbank")


@pytest.mark.parametrize("name", MAKERS)
class TestDistiller:
    async def distil(self, name: str, given: Attempts) -> tuple[MemoryItem, ...]:
        return await MAKERS[name]().distil(given)

    async def test_answers_to_its_name(self, name: str) -> None:
        made = MAKERS[name]()
        assert isinstance(made, Distiller)
        assert made.name == name

    async def test_every_item_links_evidence_from_its_input(self, name: str) -> None:
        items = await self.distil(name, attempts())
        assert items
        for item in items:
            assert item.evidence
            assert set(item.evidence) <= {one.id for one, _ in attempts()}
            assert item.source_tasks == ("task-1",)
            assert item.author.distiller == name
            assert item.outcome_source == "environment"
            assert item.scope.suite in ("", "web")
            assert item.scope.environment in ("", "page")

    async def test_ids_come_from_content_and_are_unique(self, name: str) -> None:
        items = await self.distil(name, attempts())
        assert len({item.id for item in items}) == len(items)
        for item in items:
            assert item.id == item_id(item.kind, item.scope, item.when_to_use, item.content)

    async def test_equal_input_gives_equal_items(self, name: str) -> None:
        assert await self.distil(name, attempts()) == await self.distil(name, attempts())

    async def test_other_evidence_for_the_same_advice_has_the_same_id(self, name: str) -> None:
        one = await self.distil(name, [judged(trajectory(INSTRUCTION, RIGHT, of=1), True)])
        other = await self.distil(name, [judged(trajectory(INSTRUCTION, RIGHT, of=2), True)])
        assert [item.id for item in one] == [item.id for item in other]
        assert [item.evidence for item in one] != [item.evidence for item in other]

    async def test_nothing_in_nothing_out(self, name: str) -> None:
        assert await self.distil(name, []) == ()
        empty = judged(trajectory(INSTRUCTION, []), True)
        broken = judged(trajectory(INSTRUCTION, RIGHT, number=2, end=EpisodeEnd.FAILED), False)
        assert await self.distil(name, [empty, broken]) == ()

    async def test_a_workflow_keeps_no_value_of_its_task(self, name: str) -> None:
        for item in await self.distil(name, attempts()):
            if item.kind is ItemKind.WORKFLOW or name == "extractive":
                assert not [value for value in VALUES if value in item.text]

    async def test_its_items_claim_no_trust_and_pass_the_guard(self, name: str) -> None:
        for item in await self.distil(name, attempts()):
            assert item.trust is Trust.ENVIRONMENT
            assert check_item(item).ok
            assert check_item(item).item == item

    @pytest.mark.parametrize("phase", [Phase.GATE, Phase.REPORT])
    async def test_panels_teach_nothing(self, name: str, phase: Phase) -> None:
        with pytest.raises(SettingsError, match=phase.value):
            await self.distil(name, [judged(trajectory(INSTRUCTION, RIGHT, phase=phase), True)])

    async def test_a_verdict_on_another_trajectory_is_refused(self, name: str) -> None:
        one, other = attempts()[:2]
        with pytest.raises(SettingsError, match="verdict"):
            await self.distil(name, [(one[0], other[1])])
