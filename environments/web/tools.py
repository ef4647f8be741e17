"""The same acts as tools, for models that call them."""

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


def as_text(action: Action) -> str:
    """The words of an action, whichever way it was given."""
    call = action.tool_call
    if call is None:
        return action.text.strip()
    element = str(call.arguments.get("element", "")).strip()
    value = call.arguments.get("text", call.arguments.get("option"))
    return f"{call.name} {element}" + (f' "{value}"' if value is not None else "")
