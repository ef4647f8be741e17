"""The same acts as tools, for models that call them."""

import json

from wisen.core.records import Action, ToolSpec

_ELEMENT = {"type": "string", "description": 'the element as the page lists it, e.g. button "Ok" or textbox 2'}


def _parameters(**extra: str) -> dict[str, object]:
    properties: dict[str, object] = {"element": _ELEMENT}
    properties |= {name: {"type": "string", "description": what} for name, what in extra.items()}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


TOOLS = (
    ToolSpec(name="click", description="Click an element.", parameters=_parameters()),
    ToolSpec(
        name="type",
        description="Replace the text of an input.",
        parameters=_parameters(text="what the input shall hold"),
    ),
    ToolSpec(
        name="select",
        description="Choose an option of a list.",
        parameters=_parameters(option="the option's text, as listed"),
    ),
)


_OPTIONAL = _ELEMENT | {"description": "the element as listed, or its reference; none means the page itself"}


def _page_parameters(required: str, what: str, **schema: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {"element": _OPTIONAL, required: {"type": "string", "description": what} | schema},
        "required": [required],
        "additionalProperties": False,
    }


def _only(name: str, what: str) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": what}},
        "required": [name],
        "additionalProperties": False,
    }


# For pages that need more than the three: `wisen.environments.web.verbs`.
WIDE_TOOLS = (
    *TOOLS,
    ToolSpec(name="double-click", description="Click an element twice.", parameters=_parameters()),
    ToolSpec(name="hover", description="Move the pointer over an element.", parameters=_parameters()),
    ToolSpec(name="clear", description="Empty an input.", parameters=_parameters()),
    ToolSpec(
        name="press",
        description="Press a key, or keys together, on an element or on the page.",
        parameters=_page_parameters("key", "such as Enter, Control+a, or ArrowRight x12 for twelve times"),
    ),
    ToolSpec(
        name="scroll",
        description="Scroll an element or the page.",
        parameters=_page_parameters("direction", "which way", enum=["up", "down", "top", "bottom"]),
    ),
    ToolSpec(name="wait", description="Let time pass.", parameters=_only("seconds", "0 to 5")),
)
# For sites: pages that lead to others, and an end that the agent declares.
SITE_TOOLS = (
    *WIDE_TOOLS,
    ToolSpec(name="goto", description="Open an address.", parameters=_only("url", "an address, or a path")),
    ToolSpec(
        name="back",
        description="Go back to the page before; in a window without one, close it.",
        parameters={"type": "object", "properties": {}, "additionalProperties": False},
    ),
    ToolSpec(
        name="stop",
        description="End the episode, with an answer where one was asked for.",
        parameters=_only("answer", "the answer, or nothing"),
    ),
)
_VALUES = ("text", "option", "key", "direction", "seconds", "url", "answer")


def as_text(action: Action) -> str:
    """The words of an action, whichever way it was given. Half a character, which no record could keep, becomes `?`."""
    return _words(action).encode("utf-8", "replace").decode()


def _words(action: Action) -> str:
    call = action.tool_call
    if call is None:
        return action.text.strip()
    element = str(call.arguments.get("element", "")).strip()
    value = next((call.arguments[name] for name in _VALUES if call.arguments.get(name) is not None), None)
    words = f"{call.name} {element}" if element else call.name
    if isinstance(value, dict | list):  # an answer that is to be JSON, given as what it means
        value = json.dumps(value, ensure_ascii=False)
    return words + (f' "{value}"' if value is not None else "")
