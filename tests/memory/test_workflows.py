from hypothesis import given, settings
from hypothesis import strategies as st

from tests.memory.build import judged, trajectory
from wisen.core.records import Action, MemoryItem, Scope, ToolCall, Trajectory
from wisen.memory.bank import Bank
from wisen.memory.distillers.abstraction import abstraction
from wisen.memory.distillers.workflows import LONGEST_PART, Workflows

LOGIN = 'Enter the username "{}" and the password "{}", then press login.'
words = st.from_regex(r"[a-z]{2,6}", fullmatch=True)


def login(user: str, password: str) -> list[str]:
    return [f'type textbox "Username" "{user}"', f'type textbox "Password" "{password}"', 'click button "Login"']


async def made(*attempts: Trajectory) -> tuple[MemoryItem, ...]:
    return await Workflows().distil([judged(one, True) for one in attempts])


async def test_a_success_becomes_its_whole_way_and_its_parts() -> None:
    whole, *parts = await made(trajectory(LOGIN.format("bela", "x1"), login("bela", "x1")))
    assert whole.when_to_use == LOGIN.format("<username>", "<password>")
    assert whole.content == (
        'type textbox "Username" "<username>"; type textbox "Password" "<password>"; click button "Login"'
    )
    assert (whole.needs_tasks, whole.scope) == (1, Scope(suite="web", environment="page", actions=("click", "type")))
    assert [part.content for part in parts] == [
        'type textbox "Username" "<username>"; type textbox "Password" "<password>"',
        'type textbox "Password" "<password>"; click button "Login"',
    ]
    assert all(part.needs_tasks == 2 and "press login" not in part.text for part in parts)


async def test_a_part_that_recurs_in_another_task_is_recalled_from_then_on(bank: Bank) -> None:
    first = await made(trajectory(LOGIN.format("bela", "x1"), login("bela", "x1"), of=1))
    second = await made(
        trajectory("Log in as ann with pw and buy tea.", [*login("ann", "pw"), 'click link "tea"'], of=2),
    )
    bank.propose(first, actor="test")
    assert bank.snapshot().recallable == first[:1]
    bank.propose(first, actor="test")  # the same evidence again is no recurrence
    assert bank.snapshot().recallable == first[:1]
    bank.propose(second, actor="test")
    recallable = bank.snapshot().recallable
    shared = {part.id for part in first[1:]}
    assert {item.id for item in recallable} == {first[0].id, second[0].id} | shared
    recurring = [item for item in recallable if item.id in shared]
    assert all(item.source_tasks == ("task-1", "task-2") for item in recurring)
    assert len(bank.snapshot()) > len(recallable)  # what only one task shows still waits


async def test_refused_steps_and_repeats_without_effect_are_dropped() -> None:
    acts = ['click link "a"', 'click link "b"', 'click link "b"', 'click link "c"']
    attempt = trajectory("Do it.", acts, idle=[1, 2])
    (whole,) = (await made(attempt))[:1]
    assert whole.content == 'click link "a"; click link "b"; click link "c"'
    steps = list(attempt.steps)
    steps[1] = steps[1].model_copy(update={"result": steps[1].result.model_copy(update={"info": {"refused": "no"}})})
    steps[2] = steps[2].model_copy(update={"result": steps[2].result.model_copy(update={"violation": "forbidden"})})
    (whole,) = await made(attempt.model_copy(update={"steps": tuple(steps)}))
    assert whole.content == 'click link "a"; click link "c"'  # two steps: their only part is the whole


async def test_one_workflow_for_each_signature_and_the_shortest_wins() -> None:
    long = trajectory("Do it.", ['click link "a"', 'click link "b"', 'click link "c"'], number=1)
    short = [trajectory("Do it.", ['click link "a"', 'click link "c"'], number=number) for number in (2, 3)]
    (whole,) = await made(long, *short)
    assert whole.content == 'click link "a"; click link "c"'
    assert whole.evidence == ("traj-1-2", "traj-1-3")
    assert await Workflows().distil([judged(long, False)]) == ()


async def test_parts_grow_with_the_length_of_a_way_and_not_with_its_square() -> None:
    acts = [f'click link "l{number}"' for number in range(30)]
    items = await made(trajectory("Do it.", acts))
    assert len(items) == 1 + sum(30 - length + 1 for length in range(2, LONGEST_PART + 1))


def test_variables_are_named_by_what_stands_beside_them() -> None:
    call = Action(tool_call=ToolCall(name="send", arguments={"to": "Bob", "copies": 3, "tags": ["tea"]}))
    instruction = "Send Bob 3 notes on tea, on page 7."
    acts = [call, Action(text='click "tea" "7"'), Action(text='"Bob"')]
    found = abstraction(instruction, acts)
    named = found.named(acts)
    assert named.pattern == "Send <to> <copies> notes on <tags>, on page <click>."
    assert [named.action(one) for one in acts] == [
        "send(to='<to>', copies=<copies>, tags=['<tags>'])",
        'click "<tags>" "<click>"',  # the string before it is a value itself, so the word before names it
        '"<to>"',
    ]
    assert found.pattern == "Send <1> <2> notes on <3>, on page <4>."  # the numbered form is as it was


@settings(deadline=None, max_examples=30)
@given(st.lists(words, min_size=1, max_size=4, unique=True), st.lists(words, min_size=4, max_size=4, unique=True))
def test_names_hold_no_value_and_are_told_apart(values: list[str], labels: list[str]) -> None:
    acts = [Action(text=f'type textbox "{label}" "{value}"') for label, value in zip(labels, values, strict=False)]
    instruction = "Type " + ", ".join(f'"{value}"' for value in values) + "!"
    named = abstraction(instruction, acts).named(acts)
    assert len(set(named.names)) == len(named.values)
    for act in acts:
        assert not [value for value in named.values if f'"{value}"' in named.action(act)]


@settings(deadline=None, max_examples=30)
@given(words, words, words)
async def test_a_shared_part_has_the_same_words_whatever_the_task_and_its_values(one: str, two: str, more: str) -> None:
    if len({one, two, more, "user", "go", "open", "and", "as", "then", "the"}) < 10:
        return
    first = await made(trajectory(f"Open as {one}.", ['click link "Start"', f'type textbox "User" "{one}"', "go"]))
    acts = [f'click link "{more}"', f'type textbox "User" "{two}"', "go"]
    second = await made(trajectory(f"First {more}, then be {two}.", acts, of=2))
    assert first[2].content == second[2].content == 'type textbox "User" "<user>"; go'
    assert first[2].id == second[2].id


async def test_a_value_that_can_neither_be_named_nor_left_in_teaches_nothing() -> None:
    assert await made(trajectory("Select New York.", ['click checkbox "New York"', 'click checkbox "York"'])) == ()
