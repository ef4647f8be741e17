"""The household: every errand can be done, and the rules are those that the design names."""

import random
import subprocess
import sys

import pytest

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Split
from wisen.environments.text import house as houses
from wisen.environments.text.house import ERRANDS, House
from wisen.environments.text.household import HouseholdSuite, plan


def small(errand: str = "put", goal: str = "shelf") -> House:
    """A kitchen with a shelf, a fridge, a microwave and two apples in the fridge."""
    house = House("kitchen", errand, "apple", goal)
    house.places = {"shelf 1": "shelf", "shelf 2": "shelf", "fridge 1": "fridge", "microwave 1": "microwave"}
    house.kinds = {"apple 1": "apple", "apple 2": "apple"}
    house.states = {thing: set() for thing in house.kinds}
    house.where = dict.fromkeys(house.kinds, "fridge 1")
    return house


def do(house: House, *moves: str) -> None:
    for move in moves:
        assert move in houses.moves(house), (move, list(houses.moves(house)))
        houses.act(house, move)


FETCH = ("go to fridge 1", "open fridge 1", "take apple 1 from fridge 1")


@pytest.mark.parametrize("errand", ERRANDS)
async def test_the_oracle_does_every_errand(errand: str) -> None:
    suite = HouseholdSuite([errand])
    environment, oracle = await suite.create(), suite.oracle()
    for task in suite.tasks(Split.LEARN, 150):
        observation = await environment.reset(task)
        *before, last = [await environment.step(action) for action in oracle.solution(task, observation)]
        assert last.success is True and last.terminated and last.reward == 1.0, task.id
        assert not any(result.terminated or result.reward for result in before), task.id


def test_a_closed_door_hides_what_is_behind_it() -> None:
    house = small()
    do(house, "go to fridge 1")
    assert "take apple 1 from fridge 1" not in houses.moves(house)
    assert "apple" not in houses.around(house)
    do(house, "open fridge 1")
    assert "an apple 1" in houses.around(house)
    do(house, "take apple 1 from fridge 1")


def test_hands_hold_one_thing() -> None:
    house = small()
    do(house, *FETCH)
    assert "take apple 2 from fridge 1" not in houses.moves(house)
    do(house, "move apple 1 to fridge 1", "take apple 2 from fridge 1")


def test_an_errand_is_done_by_a_thing_of_the_kind_in_the_state_at_the_place() -> None:
    house = small("cool")
    do(house, *FETCH, "go to shelf 1", "move apple 1 to shelf 1")
    assert not house.done
    do(house, "take apple 1 from shelf 1", "go to fridge 1", "cool apple 1 with fridge 1", "go to microwave 1")
    do(house, "heat apple 1 with microwave 1", "go to shelf 1", "move apple 1 to shelf 1")
    assert not house.done  # heat undoes cold
    do(house, "take apple 1 from shelf 1", "go to fridge 1", "cool apple 1 with fridge 1", "go to shelf 2")
    assert not house.done
    do(house, "move apple 1 to shelf 2")
    assert house.done


def test_two_must_lie_together() -> None:
    house = small("two")
    do(house, *FETCH, "go to shelf 1", "move apple 1 to shelf 1", "go to fridge 1", "take apple 2 from fridge 1")
    do(house, "go to shelf 2", "move apple 2 to shelf 2")
    assert not house.done
    do(house, "take apple 2 from shelf 2", "go to shelf 1", "move apple 2 to shelf 1")
    assert house.done


def test_a_thing_goes_only_where_its_kind_may() -> None:
    house = small()
    house.places["bed 1"] = "bed"
    do(house, *FETCH, "go to bed 1")
    assert "move apple 1 to bed 1" not in houses.moves(house)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_done_things_are_in_one_place(seed: int) -> None:
    draw = random.Random(seed)
    house = houses.build(draw.choice(list(ERRANDS)), seed)
    assert not house.done
    for _ in range(80):
        houses.act(house, draw.choice(list(houses.moves(house))))
        held = {house.held} - {""}
        assert set(house.where) | held == set(house.kinds) and not set(house.where) & held
        assert not any({"hot", "cool"} <= states for states in house.states.values())


def test_a_house_is_the_same_in_every_process() -> None:
    code = (
        "from wisen.environments.text import house as h\n"
        "import hashlib; print(hashlib.sha256(repr([(x.where, x.places, x.goal, x.target) "
        "for e in h.ERRANDS for s in range(20) for x in [h.build(e, s)]]).encode()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        for seed in ("1", "2")
    }
    assert len(said) == 1


async def test_an_episode_is_cut_off_at_its_limit() -> None:
    suite = HouseholdSuite(max_steps=3)
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.GATE, 1)[0])
    results = [await environment.step(Action(text="look")) for _ in range(3)]
    assert [result.truncated for result in results] == [False, False, True]
    assert results[-1].success is False and not results[-1].terminated
    with pytest.raises(EnvironmentFault):
        await environment.step(Action(text="look"))


async def test_a_near_miss_is_told_what_was_meant() -> None:
    suite = HouseholdSuite(["heat"])
    environment = await suite.create()
    observation = await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    result = await environment.step(Action(text="> go to the fridge 1"))
    assert "go to fridge 1" in result.info["note"] and result.observation.actions == observation.actions
    assert "too long" in (await environment.step(Action(text="go " * 400_000))).info["note"]
    arrived = await environment.step(Action(text=" >  go to   fridge 1\n"))
    assert "fridge 1 is closed" in arrived.observation.text


def test_plans_are_short() -> None:
    lengths = [len(plan(houses.build(errand, seed))) for errand in ERRANDS for seed in range(50)]
    assert min(lengths) >= 3 and max(lengths) <= 15


@pytest.mark.parametrize("options", [{"errands": ["fly"]}, {"errands": "put"}, {"max_steps": 0}])
def test_options_are_checked(options: dict) -> None:
    with pytest.raises(SettingsError):
        HouseholdSuite(**options)
