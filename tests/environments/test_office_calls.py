"""Tool calls as text: what was written is read back; whatever else is written is told in words."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from wisen.core.records import Action, ToolCall, ToolSpec
from wisen.environments.tool.calls import MOST_CHARACTERS, BadCall, Toolbox, _Plain, written

SPEC = ToolSpec(
    name="say",
    description="",
    parameters={
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 2000},
            "times": {"type": "integer"},
            "mode": {"enum": ["loud", "low"]},
        },
        "required": ["text"],
        "additionalProperties": False,
    },
)
BOX = Toolbox((SPEC, ToolSpec(name="free", description="", parameters={"type": "object"})))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), VALUES, max_size=4))
def test_what_is_written_is_read_back(arguments: dict) -> None:
    assert BOX.understood(Action(text=written("free", arguments))) == ToolCall(name="free", arguments=arguments)


PLAIN = ToolSpec(
    name="plain",
    description="",
    parameters={
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 3, "description": "short"},
            "times": {"type": "integer"},
            "loud": {"type": "boolean"},
        },
        "required": ["text"],
        "additionalProperties": False,
    },
)


@given(st.dictionaries(st.sampled_from(["text", "times", "loud", "more"]), VALUES | st.floats(), max_size=3))
@example({"text": "abc", "times": True})
@example({"text": "abcd"})
@example({"text": "🙂🙂🙂", "times": 2.0, "loud": False})
def test_the_short_look_at_plain_arguments_says_what_the_schema_says(arguments: dict) -> None:
    valid = Draft202012Validator(PLAIN.parameters).is_valid(arguments)
    try:
        understood = Toolbox((PLAIN,)).understood(Action(tool_call=ToolCall(name="plain", arguments=arguments)))
        assert valid and understood.arguments == arguments
    except BadCall:
        assert not valid


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"text": {"type": "string", "minLength": 2}}},
        {"type": "object", "properties": {"text": {"type": ["string", "null"]}}},
        {"type": "object", "properties": {"text": True}},
        {"type": "object", "properties": {"text": {"type": "string"}}, "maxProperties": 0},
    ],
)
def test_a_schema_that_says_more_gets_the_long_look(schema: dict) -> None:
    assert Draft202012Validator.check_schema(schema) is None and _Plain.of(schema) is None


@given(st.text(max_size=200))
def test_any_text_is_understood_or_told_about(text: str) -> None:
    for told in (text, f"say({text})", f'say(text="{text}"', f"{{{text}}}"):
        try:
            assert BOX.understood(Action(text=told)).name in ("say", "free")
        except BadCall as why:
            assert str(why)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is no tool call"),
        ("hello", "is no tool call"),
        ("dance()", "There is no tool 'dance'. There are: say, free."),
        ("say()", "say needs text. It takes: text, times, mode."),
        ('say(text="a", volume=3)', "say has no argument volume. It takes: text, times, mode."),
        ('say(text="a", times="three")', "\"times\" must be a whole number, not 'three'"),
        ("say(text=4)", '"text" must be a text, not 4'),
        ('say(text="a", mode="high")', '"mode" must be one of loud, low'),
        ('say(text="a"', "a comma or a closing bracket is expected at the end"),
        ('say(text="a', "cannot be read"),
        ("say(text=a)", "write texts in double quotes"),
        ('say("a")', "an argument is expected"),
        ('say(text="a", text="b")', "given twice"),
        ('say(text="a") say(text="b")', "one call at a time"),
        ('{"name": "say"', "The JSON is not a call"),
        ('{"tool": "say"}', "The JSON is not a call"),
        ('{"name": "say", "arguments": "x"}', "The JSON is not a call"),
        ("x" * 1_000_000, "1,000,000 characters"),
        ("say(text=" + "[" * 15_000 + ")", "cannot be read"),
        (f'say(text="{"a" * 3000}")', '"text"'),
    ],
    ids=range(20),
)
def test_what_is_wrong_is_said_in_words(text: str, part: str) -> None:
    with pytest.raises(BadCall) as told:
        BOX.understood(Action(text=text))
    assert part in str(told.value) and len(str(told.value)) < 400


def test_single_quotes_and_json_are_read_too() -> None:
    wanted = ToolCall(name="say", arguments={"text": "it's", "times": 2})
    assert BOX.understood(Action(text="say(text='it\\'s', times=2)")) == wanted
    assert BOX.understood(Action(text=json.dumps({"name": "say", "arguments": wanted.arguments}))) == wanted
    assert BOX.understood(Action(text=str(Action(tool_call=wanted)))) == wanted


@pytest.mark.parametrize("value", ["x" * (MOST_CHARACTERS + 1), 10**5000, float("nan")], ids=["long", "huge", "nan"])
def test_arguments_that_are_no_plain_text_are_refused(value: object) -> None:
    with pytest.raises(BadCall):
        BOX.understood(Action(tool_call=ToolCall(name="say", arguments={"text": value})))


def test_a_schema_that_is_none_checks_nothing_and_fetches_nothing() -> None:
    for schema in ({"type": "nonsense"}, {"$ref": "http://127.0.0.1:9/schema.json"}):
        box = Toolbox((ToolSpec(name="odd", description="", parameters=schema),))
        assert box.understood(Action(text="odd(x=1)")).arguments == {"x": 1}
