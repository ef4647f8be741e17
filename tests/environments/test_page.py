"""Reading a page: what Playwright writes as YAML becomes the elements that a person would name."""

import textwrap

from wisen.environments.web.page import Element, parse_snapshot


def read(source: str) -> list[Element]:
    return list(parse_snapshot(textwrap.dedent(source)))


def lines(source: str) -> list[str]:
    return [element.text for element in read(source)]


def test_an_empty_page_has_no_elements() -> None:
    assert read("") == []
    assert read("- generic [active] [ref=e1]") == []


def test_reading_order_roles_names_references_and_states() -> None:
    found = read(
        """
        - generic [active] [ref=e1]:
          - heading "Order" [level=1] [ref=e2]
          - generic [ref=e3]:
            - checkbox "tick" [checked] [ref=e4]
            - radio "A" [ref=e5]
            - button "off" [disabled] [ref=e6]
          - tablist [ref=e7]:
            - tab "T1" [selected] [ref=e8] [cursor=pointer]
        """
    )
    assert found == [
        Element("heading", "Order", "e2"),
        Element("checkbox", "tick", "e4", ("checked",)),
        Element("radio", "A", "e5"),
        Element("button", "off", "e6", ("disabled",)),
        Element("tab", "T1", "e8", ("selected",)),
    ]


def test_an_input_without_a_name_is_labelled_by_the_text_just_before_it() -> None:
    source = """
        - generic [ref=e1]:
          - paragraph [ref=e2]: "Username:"
          - textbox [ref=e3]
          - textbox [ref=e4]
          - text: "Password: "
          - textbox [ref=e5]
        """
    assert [(element.role, element.label) for element in read(source)] == [
        ("textbox", "Username"),
        ("textbox", ""),  # the text belongs to the first, not to what follows it
        ("textbox", "Password"),
    ]
    assert lines("- text: Username\n- textbox [ref=e3]: bela") == ['textbox "Username" = "bela"']


def test_a_long_text_or_one_with_a_button_between_labels_nothing() -> None:
    long = "Somebody wrote a whole paragraph here, and it ends before an input."
    assert [element.label for element in read(f"- text: {long}\n- textbox [ref=e2]")] == [long, ""]
    between = read('- text: Name\n- button "Ok" [ref=e2]\n- textbox [ref=e3]')
    assert [(element.role, element.label) for element in between] == [
        ("text", "Name"),
        ("button", "Ok"),
        ("textbox", ""),
    ]


def test_a_buttons_text_stands_in_for_its_name_and_is_not_said_twice() -> None:
    source = """
        - button "Ok" [ref=e1]:
          - text: Ok
        - link "Read more" [ref=e2] [cursor=pointer]:
          - /url: "#"
          - text: Read
          - strong [ref=e3]: more
        - button [ref=e4]: plain
        """
    assert lines(source) == ['button "Ok"', 'link "Read more"', 'text "Read"', 'text "more"', 'button "plain"']


def test_text_that_only_echoes_the_label_beside_it_is_left_out() -> None:
    assert lines('- checkbox "tick" [ref=e1]\n- text: tick') == ['checkbox "tick"']
    assert lines('- text: "Name:"\n- textbox "Name" [ref=e1]') == ['textbox "Name"']
    assert lines('- text: other\n- checkbox "tick" [ref=e1]') == ['text "other"', 'checkbox "tick"']


def test_options_follow_their_list_with_the_one_selected() -> None:
    source = """
        - generic [ref=e1]:
          - text: "Country:"
          - combobox [ref=e2]:
            - option "Peru"
            - option "Chad" [selected]
          - button "Ok" [ref=e3]
        """
    assert lines(source) == ['combobox "Country"', 'option "Peru"', 'option "Chad" selected', 'button "Ok"']


def test_values_are_text_whatever_yaml_would_make_of_them() -> None:
    """YAML 1.1 reads 12:30 as 750, 2020-01-02 as a date, ~ as nothing and 1_000 as 1000."""
    source = """
        - paragraph [ref=e1]: 12:30
        - textbox "When" [ref=e2]: 2020-01-02
        - text: 1_000
        - textbox "Void" [ref=e3]: ~
        - button "007" [ref=e4]
        - textbox "Name" [ref=e5]: "yes"
        """
    assert lines(source) == [
        'text "12:30"',
        'textbox "When" = "2020-01-02"',
        'text "1_000"',
        'textbox "Void" = "~"',
        'button "007"',
        'textbox "Name" = "yes"',
    ]


def test_a_value_beside_a_placeholder_is_read() -> None:
    source = """
        - textbox "Name" [ref=e1]:
          - /placeholder: who
          - text: bela
        - textbox "Town" [ref=e2]:
          - /placeholder: where
        """
    assert lines(source) == ['textbox "Name" = "bela"', 'textbox "Town"']


def test_quotes_backslashes_brackets_and_colons_in_names() -> None:
    found = read(
        r"""
        - 'button "a \"quoted\" \\ back [x] : y" [ref=e10]'
        - 'button "it''s [checked]" [ref=e11]'
        - button "caf\u00e9" [ref=e12]
        """
    )
    assert [(element.label, element.ref, element.states) for element in found] == [
        (r'a "quoted" \ back [x] : y', "e10", ()),
        ("it's [checked]", "e11", ()),
        ("café", "e12", ()),
    ]


def test_what_is_no_node_is_shown_as_text_and_can_not_be_acted_on() -> None:
    assert read("- something 'odd' here") == [Element("text", "something 'odd' here", "")]
