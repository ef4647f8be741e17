"""What a page offers, in words: every act has its own, and words lead back to the element."""

import string

from hypothesis import given
from hypothesis import strategies as st

from wisen.core.records import Action, ToolCall
from wisen.environments.web.actions import MOST_ACTIONS, PageAction, admissible, resolve
from wisen.environments.web.page import Element
from wisen.environments.web.tools import as_text


def texts(elements: list[Element], instruction: str = "") -> list[str]:
    return [action.text for action in admissible(elements, instruction)]


def test_labels_name_and_ordinals_tell_apart() -> None:
    page = [
        Element("button", "Ok", "e1"),
        Element("button", "Ok", "e2"),
        Element("button", "", "e3"),
        Element("link", "Ok", "e4"),
        Element("text", "Ok", ""),
        Element("heading", "Title", "e5"),
    ]
    offered = admissible(page, "")
    assert [(action.text, action.ref) for action in offered] == [
        ('click button "Ok" 1', "e1"),
        ('click button "Ok" 2', "e2"),
        ("click button 1", "e3"),
        ('click link "Ok"', "e4"),
    ]


def test_only_what_the_instruction_quotes_can_be_typed() -> None:
    page = [Element("textbox", "", "e1"), Element("textbox", "Name", "e2")]
    assert texts(page, 'Enter "bela" and "AU", then "bela" again.') == [
        "click textbox 1",
        'type textbox 1 "bela"',
        'type textbox 1 "AU"',
        'click textbox "Name"',
        'type textbox "Name" "bela"',
        'type textbox "Name" "AU"',
    ]
    assert texts(page, "Enter bela.") == ["click textbox 1", 'click textbox "Name"']
    assert texts(page, 'Enter "".') == ["click textbox 1", 'click textbox "Name"']


def test_options_are_chosen_from_their_own_list() -> None:
    page = [
        Element("combobox", "", "e1"),
        Element("option", "Peru", ""),
        Element("option", "Peru", ""),
        Element("button", "Ok", "e2"),
        Element("combobox", "", "e3"),
        Element("option", "Chad", "", ("selected",)),
    ]
    offered = admissible(page, "")
    assert [(action.verb, action.text, action.ref, action.value) for action in offered] == [
        ("select", 'select combobox 1 "Peru"', "e1", "Peru"),
        ("click", 'click button "Ok"', "e2", ""),
        ("select", 'select combobox 2 "Chad"', "e3", "Chad"),
    ]


def test_what_is_disabled_is_neither_offered_nor_resolved() -> None:
    page = [Element("button", "Ok", "e1", ("disabled",)), Element("textbox", "Name", "e2", ("disabled",))]
    assert texts(page, 'Enter "x".') == []
    assert resolve('type textbox "Name" "x"', page, ()) is None


def test_the_list_is_bounded_and_keeps_the_pages_order() -> None:
    page = [Element("button", f"b{number}", f"e{number}") for number in range(MOST_ACTIONS + 20)]
    assert texts(page) == [f'click button "b{number}"' for number in range(MOST_ACTIONS)]


def test_resolve_takes_what_is_offered_and_values_that_are_not() -> None:
    page = [Element("button", "Ok", "e1"), Element("textbox", "Name", "e2"), Element("textbox", "", "e3")]
    offered = admissible(page, 'Enter "bela".')
    for action in offered:
        assert resolve(action.text, page, offered) is action
    free = 'type textbox "Name" "say "hi" twice"'
    assert resolve(free, page, offered) == PageAction(free, "type", "e2", 'say "hi" twice')
    cleared = resolve('type textbox 1 ""', page, offered)
    assert cleared is not None and (cleared.ref, cleared.value) == ("e3", "")
    for nothing in (
        "",
        'click button "Cancel"',
        'type textbox "Name" bela',
        'type button "Ok" "x"',
        'type textbox 2 "x"',
    ):
        assert resolve(nothing, page, offered) is None


def test_a_tool_call_says_the_same_words() -> None:
    def call(name: str, **arguments: str) -> str:
        return as_text(Action(tool_call=ToolCall(name=name, arguments=dict(arguments))))

    assert call("click", element='button "Ok"') == 'click button "Ok"'
    assert call("type", element="textbox 1", text="bela") == 'type textbox 1 "bela"'
    assert call("type", element="textbox 1", text="") == 'type textbox 1 ""'
    assert call("select", element="combobox 1", option="Peru") == 'select combobox 1 "Peru"'
    assert as_text(Action(text="  click button 1 ")) == "click button 1"


labels = st.text(alphabet=string.ascii_letters + ' "12', max_size=6)
elements = st.builds(
    Element,
    st.sampled_from(["button", "link", "textbox", "combobox", "option", "text", "checkbox", "generic"]),
    labels,
    st.sampled_from(["", "e1", "e2", "e3"]),
    st.sampled_from([(), ("disabled",), ("checked",)]),
)


@given(st.lists(elements, max_size=30), st.lists(st.text(alphabet="ab ", min_size=1, max_size=3), max_size=4))
def test_every_text_is_offered_once_and_leads_back_to_its_act(page: list[Element], values: list[str]) -> None:
    instruction = " ".join(f'"{value}"' for value in values)
    offered = admissible(page, instruction)
    said = [action.text for action in offered]
    assert len(said) == len(set(said)) <= MOST_ACTIONS
    assert all(resolve(action.text, page, offered) is action for action in offered)
    assert {action.value for action in offered if action.verb == "type"} <= set(values)
    assert all(action.ref for action in offered)
