"""TextWorld's cooking games: won by its planner, the same for the same seed, made once."""

import asyncio
import json
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.protocols import Suite
from wisen.core.records import Action, Split
from wisen.environments import registry

pytestmark = pytest.mark.skipif(find_spec("textworld") is None, reason='no TextWorld: pip install "wisen[text]"')


@pytest.fixture
async def suite() -> AsyncIterator[Suite]:
    """Small games, from this user's cache: a game takes seconds to make."""
    made = registry.create("textworld", levels=["fetch", "cook-and-cut"])
    yield made
    await made.stop()


async def test_the_planner_wins_and_the_score_adds_up_to_one(suite: Suite) -> None:
    environment, oracle = await suite.create(), suite.oracle()  # type: ignore[attr-defined]
    for task in suite.tasks(Split.LEARN, 1):
        observation = await environment.reset(task)
        results = [await environment.step(action) for action in oracle.solution(task, observation)]
        assert results[-1].success is True and results[-1].terminated
        assert sum(result.reward for result in results) == pytest.approx(1.0)
        assert results[-1].info["score"] == results[-1].info["max_score"] > 1
        assert all(result.observation.actions == tuple(sorted(result.observation.actions)) for result in results)


async def test_what_was_read_is_in_the_history_line(suite: Suite) -> None:
    environment = await suite.create()
    first = await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    assert "Kitchen" in first.text and "$$" not in first.text and ">" not in first.text
    result = await environment.step(Action(text="examine cookbook"))
    assert "Ingredients: " in result.info["note"] and "\n" not in result.info["note"]
    assert "You carry: nothing" in result.observation.text


async def test_only_what_is_listed_reaches_the_game(suite: Suite) -> None:
    environment = await suite.create()
    first = await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    for text in (
        "restart",
        "quit",
        "tw-print state",
        "open the fridge",
        "x" * 1_000_000,
        "open fridge. open oven",
        "é\x00",
    ):
        result = await environment.step(Action(text=text))
        assert result.observation.actions == first.actions and result.info["score"] == 0, text
        assert result.info["note"]
    assert "Did you mean: open fridge" in (await environment.step(Action(text="open the fridge"))).info["note"]
    opened = await environment.step(Action(text="> open fridge"))
    assert "close fridge" in opened.observation.actions


async def test_an_episode_is_cut_off_at_its_limit() -> None:
    suite = registry.create("textworld", levels=["fetch"], max_steps=2)
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    results = [await environment.step(Action(text="look")) for _ in range(2)]
    assert [result.truncated for result in results] == [False, True] and results[-1].success is False
    with pytest.raises(EnvironmentFault):
        await environment.step(Action(text="look"))
    await suite.stop()


async def test_two_that_make_one_game_at_once_get_the_same_whole_game(tmp_path: Path) -> None:
    suite = registry.create("textworld", recipe=1, take=1, open=True, cache=str(tmp_path))
    task = suite.tasks(Split.GATE, 1)[0]
    pair = [await suite.create() for _ in range(2)]
    first, second = await asyncio.gather(*(one.reset(task) for one in pair))
    assert first == second
    files = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["game.json", "game.z8", "made.json"]  # and nothing half made
    (made,) = tmp_path.rglob("made.json")
    assert json.loads(made.read_text()) == {"seed": task.seed}
    await suite.stop()


def test_unseen_foods_take_the_generators_own_subsets() -> None:
    suite = registry.create("textworld", levels=["cook"], unseen_foods=True)
    splits = {split: suite.tasks(split, 1)[0].params["settings"]["split"] for split in Split}
    assert splits == {Split.LEARN: "train", Split.GATE: "valid", Split.REPORT: "test"}
    plain = registry.create("textworld", levels=["cook"])
    assert not {task.id for task in plain.tasks(Split.LEARN, 3)} & {task.id for task in suite.tasks(Split.LEARN, 3)}


@pytest.mark.parametrize(
    "options",
    [
        {"levels": ["feast"]},
        {"levels": "cook"},
        {"levels": ["cook"], "go": 6},
        {"go": 7},
        {"recipe": 0},
        {"recipe": 1, "take": 2},
        {"cook": 3},
        {"max_steps": 0},
    ],
)
def test_options_are_checked(options: dict) -> None:
    with pytest.raises(SettingsError):
        registry.create("textworld", **options)
