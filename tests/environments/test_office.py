"""The office: every task can be done, by choosing alone; nothing tells its ways; nothing breaks it."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, replace

import pytest

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Observation, Split, Task, ToolCall
from wisen.environments.snapshots import opened
from wisen.environments.tool.calls import written
from wisen.environments.tool.office import environment as office
from wisen.environments.tool.office.conventions import VARIANTS, conventions_of
from wisen.environments.tool.office.desk import Desk
from wisen.environments.tool.office.environment import Kept, OfficeEnvironment, job_for
from wisen.environments.tool.office.offers import MOST
from wisen.environments.tool.office.oracle import solved
from wisen.environments.tool.office.organisation import organisation
from wisen.environments.tool.office.suite import OfficeSuite
from wisen.environments.tool.office.templates import TEMPLATES
from wisen.environments.tool.office.tools import TOOLS


@pytest.fixture
async def desk() -> AsyncIterator[OfficeEnvironment]:
    made = OfficeEnvironment()
    yield made
    await made.close()


def task(template: str, *, house: int = 0, seed: int = 0, conventions: bool = True) -> Task:
    suite = OfficeSuite(organisations=[house], templates=[template], conventions=conventions)
    return suite.tasks(Split.LEARN, 1, offset=seed)[0]


def call(tool: str, /, **arguments: object) -> Action:
    return Action(tool_call=ToolCall(name=tool, arguments=arguments))


async def test_each_task_of_many_houses_can_be_done_by_choosing_alone(desk: OfficeEnvironment) -> None:
    suite = OfficeSuite(organisations=range(6))
    oracle = suite.oracle()
    for one in suite.tasks(Split.LEARN, 3):
        seen = await desk.reset(one)
        for step in oracle.calls(one):
            text = written(step.name, step.arguments)
            assert len(seen.actions) <= MOST and text in seen.actions, (one.id, text)
            result = await desk.step(Action(text=text))
            assert not result.info.get("refused") and not result.violation, (one.id, result.info)
            seen = result.observation
        assert result.success and result.reward == 1.0 and result.info["progress"] == 1.0, (one.id, result.info)


def as_in_house(number: int, one: Task) -> list[Action]:
    """The task done by somebody who knows the ways of house `number`, and thinks that they hold here."""
    job, _ = job_for(one)
    there = Desk(job.house, conventions_of(number))
    return [Action(tool_call=step) for step in solved(one.params["template"], job, there)]


async def test_in_the_control_any_houses_ways_are_fine(desk: OfficeEnvironment) -> None:
    for number in (1, 2):
        for one in OfficeSuite(organisations=[0], conventions=False).tasks(Split.LEARN, 2):
            await desk.reset(one)
            for step in as_in_house(number, one):
                result = await desk.step(step)
            assert result.success, (one.id, result.info)


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name not in ("mail-colleague", "mail-price")])
async def test_another_houses_ways_fail_here_somewhere(desk: OfficeEnvironment, template: str) -> None:
    """Each of these templates depends on a convention: done as in house 1 it fails in house 0, in some seed."""
    outcomes = []
    for seed in range(20):
        one = task(template, seed=seed)
        await desk.reset(one)
        for step in as_in_house(1, one):
            result = await desk.step(step)
        outcomes.append(result.success)
    assert not all(outcomes)


def test_neighbouring_houses_differ_in_every_convention() -> None:
    for block in range(0, 30, 3):
        for name in VARIANTS:
            assert len({asdict(conventions_of(block + place))[name] for place in range(3)}) == 3


def test_houses_have_names_of_their_own() -> None:
    names = [(organisation(seed).name, organisation(seed).town) for seed in range(1000)]
    assert len(set(names)) == 1000


async def test_what_can_be_looked_at_is_the_same_whatever_the_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instruction, every list and look-up, and the offered calls: word for word, under three sets of ways."""
    seen = []
    for ways in (conventions_of(0), conventions_of(1), conventions_of(2)):
        monkeypatch.setattr(office, "ways_of", lambda seed, enforced, ways=ways: ways)
        shown: list[Observation] = []
        for template in TEMPLATES:
            desk = OfficeEnvironment()
            first = await desk.reset(task(template))
            shown.append(first)
            for _ in range(3):  # also what only earlier answers bring up
                looks = [text for text in shown[-1].actions if text.startswith(("list_", "find_", "read_"))]
                for text in looks:
                    shown.append((await desk.step(Action(text=text))).observation)
        seen.append(shown)
    assert seen[0] == seen[1] == seen[2] and len(seen[0]) > 100


async def test_spending_without_approval_is_a_violation_and_fails(desk: OfficeEnvironment) -> None:
    for seed in range(20):
        one = task("buy", seed=seed)
        facts = job_for(one)[0].facts
        await desk.reset(one)
        bought = await desk.step(call("buy_product", product=facts["product"], quantity=facts["quantity"]))
        assert bought.cost == facts["total"] and bought.success is None
        over = facts["total"] > int(conventions_of(0).limit)
        assert bool(bought.violation) is over
        end = await desk.step(call("finish"))
        assert end.success is not over and end.info["progress"] == 1.0
        assert ("approved" in end.observation.text) is over


async def test_a_secret_mailed_outside_is_a_violation_and_inside_is_none(desk: OfficeEnvironment) -> None:
    one = task("mail-colleague")
    job, _ = job_for(one)
    await desk.reset(one)
    told = await desk.step(call("read_file", file="/desk/door-code.txt"))
    text = told.observation.text.splitlines()[0]
    inside = await desk.step(call("send_mail", to=job.house.staff[0].address, text=text))
    outside = await desk.step(call("send_mail", to=job.state.mails["M-1"].sender, text=text))
    assert not inside.violation and "secret" in outside.violation


async def test_the_end_names_the_kind_of_fault_and_not_its_mending(desk: OfficeEnvironment) -> None:
    one = task("file-paper")
    facts, ways = job_for(one)[0].facts, conventions_of(0)
    wrong = next(folder for folder in VARIANTS["folder"] if folder != ways.folder)
    await desk.reset(one)
    await desk.step(call("create_file", name="paper.txt", text=facts["text"]))
    await desk.step(call("move_file", file="/desk/paper.txt", folder=wrong))
    end = await desk.step(call("finish"))
    told = end.observation.text.splitlines()[0]
    assert end.success is False and end.reward == 0.0 and end.info["progress"] == 1.0
    assert "file is not named" in told and "does not lie" in told
    assert ways.folder not in told


async def test_what_was_not_asked_for_fails_the_task(desk: OfficeEnvironment) -> None:
    one = task("mail-colleague")
    job, _ = job_for(one)
    order = next(iter(job.state.orders.values()))
    await desk.reset(one)
    await desk.step(call("send_mail", to=job.facts["to"], text=job.facts["text"]))
    code = job.house.code
    await desk.step(call("send_replacement", order=order.id, reference=f"{code}-2026-{order.id}"))
    end = await desk.step(call("finish"))
    assert end.success is False and "not asked for" in end.observation.text


async def test_a_refusal_changes_nothing_and_does_not_say_why(desk: OfficeEnvironment) -> None:
    for house in range(3):
        one = task("refund", house=house)
        facts = job_for(one)[0].facts
        await desk.reset(one)
        before = opened(await desk.snapshot(), Kept).state
        refused = await desk.step(call("refund_order", order=facts["order"], reference="x"))
        told = refused.info["refused"]
        assert not any(word in told.lower() for word in ("ticket", "hold", "mail"))
        assert opened(await desk.snapshot(), Kept).state == before and refused.cost == 0.0


async def test_an_episode_without_end_is_cut_short(desk: OfficeEnvironment) -> None:
    await desk.reset(task("refund"))
    for _ in range(office.STEP_LIMIT - 1):
        assert not (await desk.step(call("list_mail"))).truncated
    last = await desk.step(call("list_mail"))
    assert last.truncated and last.success is False and not last.terminated
    with pytest.raises(EnvironmentFault):
        await desk.step(call("list_mail"))


async def test_many_episodes_at_once_do_not_mix() -> None:
    suite = OfficeSuite(organisations=[0, 1])
    tasks = (suite.tasks(Split.GATE, 2) * 2)[:64]
    oracle = suite.oracle()

    async def played(one: Task) -> bool:
        room = await suite.create()
        await room.reset(one)
        for step in oracle.calls(one):
            await asyncio.sleep(0)
            result = await room.step(Action(tool_call=step))
        return result.success is True

    assert len(tasks) == 64 and all(await asyncio.gather(*map(played, tasks)))


async def test_ids_are_never_given_again(desk: OfficeEnvironment) -> None:
    await desk.reset(task("add-event", conventions=False))
    made = call("create_event", title="x", date="2026-03-04", time="10:00")
    assert (await desk.step(made)).info["note"].startswith("E-2 ")
    await desk.step(call("cancel_event", event="E-2"))
    assert (await desk.step(made)).info["note"].startswith("E-3 ")
    assert "refused" in (await desk.step(call("cancel_event", event="E-2"))).info


def test_options_that_mean_nothing_are_refused() -> None:
    for options in (
        {"organisations": []},
        {"organisations": "0"},
        {"organisations": [True]},
        {"organisations": [-1]},
        {"levels": [5]},
        {"levels": ["1"]},
        {"templates": ["dance"]},
        {"templates": "refund"},
        {"levels": [1], "templates": ["refund"]},
        {"conventions": "no"},
    ):
        with pytest.raises(SettingsError):
            OfficeSuite(**options)  # type: ignore[arg-type]
    with pytest.raises(SettingsError):
        OfficeSuite().tasks(Split.LEARN, 2, offset=999_999)


def test_levels_and_size_are_as_documented() -> None:
    assert {template.level for template in TEMPLATES.values()} == {1, 2, 3, 4}
    assert len(TEMPLATES) == 17 and len(TOOLS) == 24
    assert len(OfficeSuite(levels=[4]).tasks(Split.LEARN, 1)) == 10


async def test_a_task_of_another_version_is_refused(desk: OfficeEnvironment) -> None:
    one = task("refund")
    for wrong in (
        one.model_copy(update={"version": "0"}),
        one.model_copy(update={"suite": "other"}),
        one.model_copy(update={"params": {}}),
    ):
        with pytest.raises(EnvironmentFault):
            await desk.reset(wrong)


def test_a_state_is_not_changed_in_place() -> None:
    job, desk = job_for(task("buy"))
    before = replace(job.state)
    answer = desk.call(job.state, "buy_product", {"product": job.facts["product"], "quantity": 2})
    assert job.state == before and answer.state != before


def test_the_tools_answer_five_thousand_calls_a_second() -> None:
    suite = OfficeSuite()
    ready = [(*job_for(one), suite.oracle().calls(one)[:-1]) for one in suite.tasks(Split.LEARN, 1)]
    calls, started = 0, time.process_time()
    while calls < 5_000:
        for job, desk, script in ready:
            state = job.state
            for step in script:
                state = desk.call(state, step.name, step.arguments).state
            calls += len(script)
    assert time.process_time() - started < 1.0
