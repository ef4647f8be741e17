import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.memory.build import judged, trajectory
from wisen.core.errors import SettingsError
from wisen.core.records import Action, EpisodeEnd, ItemKind, Phase, Scope, ToolCall, Trust
from wisen.memory.distillers.abstraction import abstraction
from wisen.memory.distillers.extractive import Extractive

LOGIN = 'Enter the username "{}" and the password "{}" into the text fields and press login.'


def login(user: str, password: str) -> tuple[str, list[str]]:
    actions = [f'type textbox "Username" "{user}"', f'type textbox "Password" "{password}"', 'click button "Login"']
    return LOGIN.format(user, password), actions


def abstract(instruction: str, *actions: str) -> tuple[str, list[str]]:
    acts = [Action(text=action) for action in actions]
    found = abstraction(instruction, acts)
    return found.pattern, [found.action(action) for action in acts]


@pytest.mark.parametrize(
    ("instruction", "actions", "pattern", "made"),
    [
        ('Click on the "Ok" button.', ['click button "Ok"'], 'Click on the "<1>" button.', ['click button "<1>"']),
        ("Focus the 2nd textbox.", ["click textbox 2"], "Focus the <1> textbox.", ["click textbox <1>"]),
        ("Click on Tab #3.", ['click tab "Tab #3"'], "Click on <1>.", ['click tab "<1>"']),
        ("Go to page 2.", ['click link "Page 2"'], "Go to page <1>.", ['click link "Page <1>"']),
        # the longest value first, and what it covers is not looked into again
        (
            "Select New York and York.",
            ['click checkbox "York"', 'click checkbox "New York"'],
            "Select <1> and <2>.",
            ['click checkbox "<2>"', 'click checkbox "<1>"'],
        ),
        ("Type 12, then 1.", ['type textbox "1"', 'type textbox "12"'], "Type <1>, then <2>.", None),
        # whole tokens only
        ('Pick "at" near the hat.', ['click link "at"'], 'Pick "<1>" near the hat.', ['click link "<1>"']),
        ("Enter 2.5 kg.", ['type textbox "2"'], "Enter 2.5 kg.", ['type textbox "2"']),
        ("Take the 3rd of 31.", ["click link 3"], "Take the <1> of 31.", ["click link <1>"]),
        # a value twice is one variable; a word that is no value stays
        ('Type "a b" and "a b", press login.', ['type textbox "a b"', 'click button "Login"'], None, None),
        ("Press (x+y)*.", ['click button "(x+y)*"'], "Press <1>.", ['click button "<1>"']),
    ],
)
def test_values_become_variables(
    instruction: str, actions: list[str], pattern: str | None, made: list[str] | None
) -> None:
    found_pattern, found = abstract(instruction, *actions)
    if pattern is not None:
        assert found_pattern == pattern
    if made is not None:
        assert found == made
    if pattern is None:
        assert found_pattern == 'Type "<1>" and "<1>", press login.'
        assert found == ['type textbox "<1>"', 'click button "Login"']


def test_arguments_of_tools_become_variables() -> None:
    call = Action(tool_call=ToolCall(name="order", arguments={"who": "Bob", "count": 3, "now": True, "tags": ["Bob"]}))
    found = abstraction("Order 3 teas for Bob.", [call])
    assert found.pattern == "Order <1> teas for <2>."
    assert found.action(call) == "order(who='<2>', count=<1>, now=True, tags=['<2>'])"
    same = abstraction("Nothing of it.", [call])
    assert same.action(call) == str(call)


@given(st.lists(st.from_regex(r"[A-Za-z0-9]{1,6}( [A-Za-z0-9]{1,4})?", fullmatch=True), min_size=1, max_size=4))
def test_putting_the_values_back_gives_the_instruction(values: list[str]) -> None:
    instruction = "Type " + ", ".join(f'"{value}"' for value in values) + "!"
    actions = [Action(text=f'type textbox "{value}"') for value in values]
    found = abstraction(instruction, actions)
    back = found.pattern
    for number, value in enumerate(found.values, start=1):
        back = back.replace(f'"<{number}>"', f'"{value}"')
    if "<" not in back:  # no value had to be split by a shorter one
        assert back == instruction
        assert all(found.action(action) != action.text for action in actions)


async def test_a_success_becomes_a_workflow() -> None:
    instruction, actions = login("bela", "x1")
    (item,) = await Extractive().distil([judged(trajectory(instruction, actions), True)])
    assert item.kind is ItemKind.WORKFLOW
    assert item.when_to_use == LOGIN.format("<1>", "<2>")
    assert item.content == 'type textbox "Username" "<1>"; type textbox "Password" "<2>"; click button "Login"'
    assert item.scope == Scope(suite="web", environment="page", actions=("click", "type"))
    assert item.evidence == ("traj-1-1",)
    assert item.source_tasks == ("task-1",)
    assert (item.trust, item.author.distiller, item.author.model) == (Trust.ENVIRONMENT, "extractive", "")


async def test_tasks_that_differ_in_values_only_give_one_item() -> None:
    ids = set()
    for number, (user, password) in enumerate([("bela", "x1"), ("ann", "secret 7"), ("x1", "login")]):
        instruction, actions = login(user, password)
        (item,) = await Extractive().distil([judged(trajectory(instruction, actions, of=number), True)])
        ids.add(item.id)
    assert len(ids) == 2  # the third password is a word of the instruction, which the rule takes for a value


async def test_repeats_without_effect_are_left_out() -> None:
    acts = ['click link "a"', 'click link "a"', 'click link "b"', 'click link "a"', 'click button "Go"']
    (item,) = await Extractive().distil([judged(trajectory("Do it.", acts, idle=[0, 1, 2, 3]), True)])
    assert item.content == 'click link "b"; click link "a"; click button "Go"'
    (item,) = await Extractive().distil([judged(trajectory("Do it.", acts), True)])
    assert item.content == "; ".join(acts)  # each of them changed the page
    (item,) = await Extractive().distil([judged(trajectory("Do it.", acts[:1], idle=[0]), True)])
    assert item.content == acts[0]  # not every effect can be seen


async def test_the_shortest_success_is_kept_with_all_that_did_the_same() -> None:
    long = trajectory("Do it.", ['click link "a"', 'click link "b"', 'click link "c"'], number=1)
    short = [trajectory("Do it.", ['click link "a"', 'click link "c"'], number=number) for number in (2, 3)]
    (item,) = await Extractive().distil([judged(one, True) for one in (long, *short)])
    assert item.content == 'click link "a"; click link "c"'
    assert item.evidence == ("traj-1-2", "traj-1-3")


async def test_a_failure_beside_a_success_becomes_a_warning() -> None:
    instruction, actions = login("bela", "x1")
    good = judged(trajectory(instruction, actions, number=1), True)
    bad = judged(trajectory(instruction, [actions[0], 'type textbox "Password" "bela"', actions[2]], number=2), False)
    workflow, warning = await Extractive().distil([good, bad])
    assert workflow.kind is ItemKind.WORKFLOW
    assert warning.kind is ItemKind.WARNING
    assert warning.when_to_use == LOGIN.format("<1>", "<2>")
    assert warning.content == (
        'After type textbox "Username" "<1>": '
        'type textbox "Password" "<1>" failed, type textbox "Password" "<2>" worked.'
    )
    assert set(warning.evidence) == {"traj-1-1", "traj-1-2"}
    assert await Extractive().distil([bad, good]) == (workflow, warning)


async def test_what_only_the_wrong_page_held_is_not_written_down() -> None:
    instruction = 'Click on the "Ok" button.'
    good = judged(trajectory(instruction, ['click button "Ok"'], number=1), True)
    bad = [
        judged(trajectory(instruction, [f'click button "{label}"'], number=number), False)
        for number, label in enumerate(("Cancel", "Quit"), start=2)
    ]
    _, warning = await Extractive().distil([good, *bad])
    assert warning.content == 'At the start: click button "<other>" failed, click button "<1>" worked.'
    assert warning.evidence == ("traj-1-2", "traj-1-1", "traj-1-3")


async def test_where_nothing_can_be_learned_nothing_is() -> None:
    instruction, actions = login("bela", "x1")
    failed = judged(trajectory(instruction, actions[:1]), False)
    good = judged(trajectory(instruction, actions, number=2), True)
    distil = Extractive().distil
    assert await distil([failed]) == ()
    assert len(await distil([failed, good])) == 1  # it only stopped early: no step to hold against another
    assert await distil([judged(trajectory(instruction, []), True)]) == ()
    assert await distil([judged(trajectory(" ", actions), True)]) == ()
    assert await distil([judged(trajectory(instruction, actions, end=EpisodeEnd.FAILED), True)]) == ()
    # "York" stands in the instruction only inside "New York": it can neither be named nor be left in
    part = trajectory("Select New York.", ['click checkbox "New York"', 'click checkbox "York"'])
    assert await distil([judged(part, True)]) == ()


async def test_what_may_not_teach_is_refused() -> None:
    instruction, actions = login("bela", "x1")
    with pytest.raises(SettingsError, match="gate phase"):
        await Extractive().distil([judged(trajectory(instruction, actions, phase=Phase.GATE), True)])
    with pytest.raises(SettingsError, match="2 tasks"):
        await Extractive().distil([judged(trajectory(instruction, actions, of=of), True) for of in (1, 2)])
    one, other = (judged(trajectory(instruction, actions, number=number), True) for number in (1, 2))
    with pytest.raises(SettingsError, match="verdict"):
        await Extractive().distil([(one[0], other[1])])
