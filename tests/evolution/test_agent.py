"""The agent as a step of another application: a suite of levers, real store and bank, many at a time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph

from tests.support.levers import LeverSuite
from wisen.core.errors import SettingsError, StoreError
from wisen.core.records import EpisodeEnd, Split
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.environments import registry
from wisen.evolution.agent import Agent


class State(TypedDict, total=False):
    task: dict[str, Any]
    trajectory: dict[str, Any]
    again: dict[str, Any]


@pytest.fixture(autouse=True)
def levers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[LeverSuite]]:
    made: list[LeverSuite] = []

    class Counted(LeverSuite):
        started = 0

        async def start(self) -> None:
            self.started += 1
            await asyncio.sleep(0.01)

    def create(name: str, **options: Any) -> LeverSuite:
        made.append(Counted(**options))
        return made[-1]

    monkeypatch.setattr(registry, "create", create)
    yield made


async def test_many_at_a_time_start_the_suite_once(tmp_path: Path, levers: list[Any]) -> None:
    async with Agent(tmp_path, model="uniform", suite="levers") as agent:
        tasks = agent.tasks(4, split=Split.LEARN)
        played = await asyncio.gather(*(agent.play(task) for task in [*tasks, *tasks]))
    assert [one.task.id for one in played] == [task.id for task in [*tasks, *tasks]]
    assert len({one.id for one in played}) == 24 and levers[0].started == 1
    assert sorted(one.attempt for one in played) == [0] * 12 + [1] * 12
    async with Agent(tmp_path, model="uniform", suite="levers") as agent:
        assert (await agent.play(tasks[0])).attempt == 2  # on from what is stored
    with Store.open(Workspace(tmp_path).store_url) as store:
        assert len(store.trajectories()) == 25


async def test_as_steps_of_a_graph_with_a_strict_checkpointer(tmp_path: Path) -> None:
    saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    thread: Any = {"configurable": {"thread_id": "1"}}
    async with Agent(tmp_path, model="uniform", suite="levers") as agent:
        graph: Any = StateGraph(State)
        graph.add_node("play", agent.node()).add_node("again", agent.node(lambda s: s["task"], trajectory="again"))
        app = graph.add_edge(START, "play").add_edge("play", "again").compile(checkpointer=saver)
        task = agent.tasks()[0]
        end = await app.ainvoke({"task": task.model_dump(mode="json")}, thread)
        again = (await app.aget_state(thread)).values
    assert end == again and end["trajectory"]["task"]["id"] == task.id
    assert end["trajectory"]["end"] == EpisodeEnd.TERMINATED and end["trajectory"]["id"] != end["again"]["id"]
    namespaces = {saved.config["configurable"]["checkpoint_ns"] for saved in saver.list(None)}
    assert namespaces == {""}  # nothing of the episode inside


async def test_wrong_use_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unknown setting colour"):
        Agent(tmp_path, colour="red")
    with pytest.raises(SettingsError, match="no release yet"):
        async with Agent(tmp_path, suite="levers"):
            pass
    with pytest.raises(SettingsError, match="there is no model 'nobody'"):
        async with Agent(tmp_path, model="nobody", suite="levers"):
            pass
    agent = Agent(tmp_path, model="uniform", suite="levers")
    with pytest.raises(SettingsError, match="not open"):
        agent.tasks()
    async with agent:
        with pytest.raises(SettingsError, match="the task in the state is no task but a str"):
            await agent.node()({"task": "press it"})
        with pytest.raises(StoreError, match="another wisen process"):
            async with Agent(tmp_path, model="uniform", suite="levers"):
                pass
