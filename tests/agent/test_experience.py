"""Memory in a foreign graph: real store, index and embedder; models are scripted, or behind a real HTTP server."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import RetryPolicy

from tests.memory.build import item
from tests.support.fake_openai import KEY, FakeOpenAI, reply
from wisen.agent.experience import Experience
from wisen.core.errors import ModelFault, SettingsError, StoreError
from wisen.core.records import MemoryItem, MemoryMode, ModelRequest, Purpose, Scope, VerdictSource
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.memory.bank import Bank, BankError
from wisen.memory.guard.consensus import ConsensusSettings
from wisen.memory.recall_settings import RecallSettings
from wisen.models.embedder import MiniLM
from wisen.models.remote import LiteLLMModel
from wisen.models.scripted import ScriptedModel

pytestmark = pytest.mark.timeout(180)

LESSONS = json.dumps(
    {
        "items": [
            {
                "title": "Locked orders",
                "when_to_use": "An order is to be refunded and may be locked.",
                "when_not": "The order is already refunded.",
                "content": "Unlock the order first, then refund it.",
            }
        ]
    }
)
GOOD = json.dumps({"success": True, "confidence": 0.9, "reason": "the last tool said refunded"})


class State(MessagesState):
    order: str
    solved: bool | None
    advice: str
    job: dict[str, Any]
    lesson: dict[str, Any]


@pytest.fixture(scope="module")
def embedder() -> MiniLM:
    return MiniLM()


@pytest.fixture
def opened(tmp_path: Path, embedder: MiniLM) -> Callable[..., Experience]:
    def make(**how: Any) -> Experience:
        return Experience(tmp_path, name="desk", embedder=embedder, **how)

    return make


def task(state: State) -> str:
    return f"Refund order {state['order']}."


async def work(state: State) -> dict[str, Any]:
    await asyncio.sleep(0)
    talk: list[Any] = [HumanMessage(task(state))]
    for number, name in enumerate(("unlock", "refund")):
        call = {"name": name, "args": {"order": state["order"]}, "id": str(number)}
        talk += [AIMessage("", tool_calls=[call]), ToolMessage(f"{name} done", tool_call_id=str(number))]
    return {"messages": talk}


def graph(experience: Experience, *, known: bool = True, **learn: Any) -> StateGraph[Any]:
    made = StateGraph(State)
    made.add_node("recall", experience.recall_node(task=task, job_id="order"))
    made.add_node("work", work)
    made.add_node("learn", experience.learn_node(outcome="solved" if known else None, lesson="lesson"), **learn)
    return made.add_edge(START, "recall").add_edge("recall", "work").add_edge("work", "learn")


def held(root: Path) -> tuple[int, int, int]:
    """How many trajectories, verdicts and items a workspace holds."""
    with Store.open(Workspace(root).store_url) as store:
        ids = [trajectory.id for trajectory in store.trajectories()]
        return len(ids), sum(map(len, store.verdicts(ids).values())), len(Bank(store).snapshot())


async def test_a_second_job_is_told_what_the_first_taught(opened: Callable[..., Experience], tmp_path: Path) -> None:
    async with opened() as experience:
        app = graph(experience).compile()
        first = await app.ainvoke({"order": "17", "solved": True})
        again = await app.ainvoke({"order": "17", "solved": True})
        other = await app.ainvoke({"order": "20", "solved": True})
    assert first["advice"] == "" and again["advice"] == ""  # never on the job that it stems from
    assert "unlock(order='<1>'); refund(order='<1>')" in other["advice"]
    assert first["lesson"]["verdict"]["source"] == VerdictSource.ENVIRONMENT and first["lesson"]["items"]
    assert other["lesson"]["bank_version"] > first["lesson"]["bank_version"] > 0
    assert held(tmp_path) == (3, 3, 1)
    with Store.open(Workspace(tmp_path).store_url) as store:
        (item,) = Bank(store).snapshot().items.values()
        trajectories = store.trajectories()
        assert set(item.evidence) == {one.id for one in trajectories} and item.source_tasks == ("desk/17", "desk/20")
        assert sorted(one.attempt for one in trajectories if one.task.id == "desk/17") == [0, 1]
        assert len(store.recalls(run_id=trajectories[0].run_id)) == 3


async def test_without_an_id_equal_words_are_one_job(opened: Callable[..., Experience]) -> None:
    done = [({"name": "unlock", "args": {"order": "17"}}, "open")]
    async with opened() as experience:
        await experience.learn(await experience.recall("Unlock order 17."), done, outcome=True)
        assert (await experience.recall("Unlock order 17.")).advice == ""
        assert "unlock(order='<1>')" in (await experience.recall("Unlock order 20.")).advice
        assert "unlock(order='<1>')" in (await experience.recall("Unlock order 17.", job_id="another")).advice


async def test_a_failure_beside_a_success_of_the_same_job_teaches_a_warning(opened: Callable[..., Experience]) -> None:
    def did(*names: str) -> list[Any]:
        return [({"name": name, "args": {}}, f"{name} done") for name in names]

    async with opened() as experience:
        await experience.learn(await experience.recall("Refund it.", job_id="1"), did("refund"), outcome=False)
        await experience.learn(await experience.recall("Refund it.", job_id="1"), did("unlock", "refund"), outcome=True)
        advice = (await experience.recall("Refund it.", job_id="2")).advice
    assert "unlock(); refund()" in advice and "At the start: refund() failed, unlock() worked." in advice


def scripted(request: ModelRequest) -> str:
    return GOOD if request.purpose is Purpose.JUDGE else LESSONS


async def test_a_model_judges_what_has_no_outcome(opened: Callable[..., Experience]) -> None:
    model = ScriptedModel(scripted)
    async with opened(judge=model, distiller=model) as experience:
        app = graph(experience).compile()
        first = await app.ainvoke({"order": "17", "solved": None})
        known = await app.ainvoke({"order": "20", "solved": False})
        third = await app.ainvoke({"order": "17", "solved": None})
    assert first["lesson"]["verdict"]["source"] == VerdictSource.JUDGE and first["lesson"]["verdict"]["success"]
    assert known["lesson"]["verdict"]["source"] == VerdictSource.ENVIRONMENT
    assert not known["lesson"]["verdict"]["success"]
    assert "Unlock the order first" in known["advice"] and "Unlock the order first" not in first["advice"]
    purposes = [request.purpose for request in model.requests]
    assert purposes == [Purpose.JUDGE, Purpose.DISTIL, Purpose.DISTIL, Purpose.JUDGE, Purpose.DISTIL]
    assert third["lesson"]["items"] == first["lesson"]["items"]
    read = model.requests[-1].messages[-1].text
    assert "unlock(order='17')" in read and "Unlock the order first" not in read


async def test_judge_and_distiller_over_http(
    opened: Callable[..., Experience], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FakeOpenAI(reply(GOOD), reply(LESSONS)) as server:
        model = LiteLLMModel("openai/my-model", api_base=server.url, leave_out=["seed"])
        async with opened(judge=model, distiller=model) as experience:
            first = await graph(experience, known=False).compile().ainvoke({"order": "17"})
            told = await experience.recall("Refund order 20.", job_id="20")
    assert first["lesson"]["verdict"]["author"].startswith("openai/my-model")
    assert "Unlock the order first" in told.advice and len(server.requests) == 2


@pytest.mark.parametrize("replies", [[ModelFault("down")], [GOOD, ModelFault("down")]], ids=["judge", "distiller"])
async def test_a_failing_model_leaves_nothing_and_trying_again_does_it_once(
    opened: Callable[..., Experience], tmp_path: Path, replies: list[Any]
) -> None:
    model = ScriptedModel([*replies, GOOD, LESSONS])
    async with opened(judge=model, distiller=model) as experience:
        job = await experience.recall("Refund order 17.")
        with pytest.raises(ModelFault, match="down"):
            await experience.learn(job, [("refund", "done")])
        assert held(tmp_path) == (0, 0, 0)
        lesson = await experience.learn(job, [("refund", "done")])
        assert await experience.learn(job, [("refund", "done")]) == lesson  # asks nobody: the script has run out
    assert held(tmp_path) == (1, 1, 1)


async def test_langgraph_s_own_retries(opened: Callable[..., Experience], tmp_path: Path) -> None:
    model = ScriptedModel([ModelFault("busy"), GOOD, LESSONS])
    policy = RetryPolicy(initial_interval=0.01, retry_on=ModelFault)
    async with opened(judge=model, distiller=model) as experience:
        await graph(experience, known=False, retry_policy=policy).compile().ainvoke({"order": "17"})
    assert held(tmp_path) == (1, 1, 1)


async def test_what_a_killed_process_stored_and_did_not_offer_is_offered_at_the_next_start(
    opened: Callable[..., Experience], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> int:
        raise StoreError("killed here")

    async with opened() as experience:
        job = await experience.recall("Unlock order 17.")
        with monkeypatch.context() as patch:
            patch.setattr(Bank, "propose", killed)
            with pytest.raises(StoreError, match="killed here"):
                await experience.learn(job, [({"name": "unlock", "args": {"order": "17"}}, "open")], outcome=True)
    assert held(tmp_path) == (1, 1, 0)
    async with opened() as experience:
        assert "unlock(order='<1>')" in (await experience.recall("Unlock order 20.")).advice
    assert held(tmp_path) == (1, 1, 1)
    with Store.open(Workspace(tmp_path).store_url) as store:
        Bank(store).restore(0, actor="person")
    async with opened() as experience:  # offered once: a bank that was set back stays so
        assert (await experience.recall("Unlock order 20.")).advice == ""


async def test_many_jobs_at_a_time(opened: Callable[..., Experience], tmp_path: Path) -> None:
    async with opened() as experience:
        app = graph(experience).compile()
        ends = await asyncio.gather(*(app.ainvoke({"order": str(n // 2), "solved": n != 3}) for n in range(24)))
        assert len({end["lesson"]["trajectory_id"] for end in ends}) == 24
        last = await experience.recall("Refund order 99.")
    assert held(tmp_path) == (24, 24, 1)
    assert "unlock(order='<1>'); refund(order='<1>')" in last.advice
    with Store.open(Workspace(tmp_path).store_url) as store:
        (item,) = Bank(store).snapshot().items.values()
        assert len(item.evidence) == 23  # all that succeeded


async def test_a_pinned_version_serves_until_the_pin_is_moved(opened: Callable[..., Experience]) -> None:
    async with opened(bank_version=0) as experience:
        app = graph(experience).compile()
        version = (await app.ainvoke({"order": "17", "solved": True}))["lesson"]["bank_version"]
        assert (await app.ainvoke({"order": "20", "solved": True}))["advice"] == ""
    async with opened(bank_version=version) as experience:
        job = await experience.recall("Refund order 30.")
    assert "unlock" in job.advice and job.recall.bank_version == version
    with pytest.raises(BankError, match="no version 999"):
        async with opened(bank_version=999):
            pass
    async with opened():  # the refusal let the workspace go
        pass


async def test_hold_out_is_drawn_for_each_attempt(opened: Callable[..., Experience]) -> None:
    async with opened() as experience:
        await graph(experience).compile().ainvoke({"order": "17", "solved": True})
    async with opened(memory=MemoryMode.RANDOMISED) as experience:
        jobs = [await experience.recall("Refund order 20.", job_id="20") for _ in range(40)]
    assert 0 < sum(bool(job.advice) for job in jobs) < 40
    assert {one.propensity for job in jobs for one in job.recall.ranked} == {0.5}


@pytest.mark.parametrize("consensus", [None, ConsensusSettings()])
async def test_advice_that_nothing_corroborates_is_held_back_where_it_is_asked_for(
    opened: Callable[..., Experience], consensus: ConsensusSettings | None
) -> None:
    def taught(number: int, when: str, content: str) -> MemoryItem:
        scope = Scope(suite="desk", actions=("find", "ask", "pay", "hide", "call"))
        return item(content, when=when, scope=scope, evidence=[f"traj-{number}"], tasks=[f"task-{number}"])

    asked = ("Refund order <1>.", "Refund the order <1>.", "Refund order <1>, please.", "Please refund order <1>.")
    items = [
        taught(number, when, "find(order='<1>'); ask(who='Ann'); pay(order='<1>')") for number, when in enumerate(asked)
    ]
    items += [
        taught(10 + number, f"Call {name} about lunch.", f"call(who='{name}')") for number, name in enumerate(NAMES)
    ]
    items.append(taught(90, "Refund order <1>. Thank you.", "hide(order='<1>'); pay(order='<1>')"))
    settings = RecallSettings(k=30, max_tokens=10_000, floor=-1, recording_floor=-1, candidates=30)
    async with opened(settings=settings, consensus=consensus) as experience:
        await experience.keeper.change(lambda bank: bank.propose(items, actor="test"))
        advice = (await experience.recall("Refund order 55.")).advice
    assert "ask(who='Ann')" in advice
    assert ("hide(" in advice) is (consensus is None)


NAMES = ("Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal", "Ida", "Jo", "Kim", "Lee", "Mo", "Ned", "Oz", "Pat", "Quin")


async def test_a_job_goes_through_a_strict_checkpointer_to_another_process(
    opened: Callable[..., Experience], tmp_path: Path
) -> None:
    """Interrupted before it is learned from, and taken up by an experience that was opened anew."""
    saver = InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    thread: Any = {"configurable": {"thread_id": "1"}}
    async with opened() as experience:
        app = graph(experience).compile(checkpointer=saver, interrupt_before=["learn"])
        await app.ainvoke({"order": "17", "solved": True}, thread)
    assert held(tmp_path) == (0, 0, 0)
    async with opened() as experience:
        end = await graph(experience).compile(checkpointer=saver).ainvoke(None, thread)
    assert end["lesson"]["items"] and held(tmp_path) == (1, 1, 1)


async def test_wrong_use_is_named(opened: Callable[..., Experience]) -> None:
    with pytest.raises(SettingsError, match="nothing says how a job went"):
        opened().learn_node()
    with pytest.raises(SettingsError, match="the application has no name"):
        Experience(name=" ")
    closed = opened()
    with pytest.raises(SettingsError, match="not open"):
        await closed.recall("Refund.")
    async with opened() as experience:
        with pytest.raises(SettingsError, match="the task has no text"):
            await experience.recall("")
        job = await experience.recall("Refund.")
        with pytest.raises(SettingsError, match="nothing says how this job went"):
            await experience.learn(job, [("refund", "done")])
        node = experience.learn_node(outcome="solved")
        state = {"messages": [("refund", "done")], "solved": True, "job": job.model_dump(mode="json")}
        for wrong, says in (
            ({"solved": "yes"}, "the outcome is 'yes'"),
            ({"job": {"task": "mine"}}, "not what the recall node put there"),
            ({"messages": 3}, "what was done is a int"),
        ):
            with pytest.raises(SettingsError, match=says):
                await node({**state, **wrong})
        with pytest.raises(SettingsError, match=r"the state has no 'job'.*declare `job`"):
            await node({"messages": [], "solved": True})
        assert await node(state) == {}
        with pytest.raises(SettingsError, match="the task is a list"):
            await experience.recall_node("messages")(state)


def test_a_state_with_fields_is_read_too(opened: Callable[..., Experience]) -> None:
    from pydantic import BaseModel

    from wisen.agent.nodes import read

    class Fields(BaseModel):
        order: str

    assert read(Fields(order="17"), "order", "the order") == "17"
    with pytest.raises(SettingsError, match="the state has no 'job'"):
        read(Fields(order="17"), "job", "the job")


async def test_a_second_process_is_refused_at_once(opened: Callable[..., Experience], tmp_path: Path) -> None:
    code = """
import asyncio, sys, time
from pathlib import Path
from wisen.agent.experience import Experience
async def main():
    start = time.monotonic()
    try:
        async with Experience(Path(sys.argv[1]), name="desk"):
            print("opened", 0, "", sep="|")
    except Exception as error:
        print(type(error).__name__, time.monotonic() - start, error, sep="|")
asyncio.run(main())
"""

    def second() -> str:
        command = [sys.executable, "-c", code, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()

    async with opened() as experience:
        kind, seconds, says = (await asyncio.to_thread(second)).split("|")
        assert float(seconds) < 2.0  # at once, on a busy machine
        assert kind == "StoreError" and f"another wisen process (pid {os.getpid()}) is using {tmp_path}" in says
        await experience.recall("Refund order 17.")  # the first goes on
    async with opened():  # and has let it go
        pass
