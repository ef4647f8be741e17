"""The tools of the memory's MCP server, as clients are told of them."""

from typing import Any

from wisen.core.records import ItemKind, ToolSpec

NAME = "memory"
INSTRUCTIONS = """\
A memory of what worked and what did not, measured item by item. Call `recall` with your task before you begin: it says
what to do, or nothing. What you learned yourself, offer with `propose`; a person decides whether it is let in."""

_TEXT = {"type": "string", "maxLength": 6000}
_KIND = {"type": "string", "enum": [kind.value for kind in ItemKind]}
_VERBS = {"type": "array", "items": {"type": "string", "maxLength": 200}, "maxItems": 200}


def _count(most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most}


def _tool(name: str, description: str, required: tuple[str, ...] = (), **properties: Any) -> ToolSpec:
    schema = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return ToolSpec(name=name, description=description, parameters=schema)


TOOLS = (
    _tool(
        "list",
        "List items in use, in order of id: id, status, kind, title, when to use.",
        kind=_KIND,
        offset={"type": "integer", "minimum": 0},
        limit=_count(200),
    ),
    _tool(
        "search",
        "Find items in use by meaning, nearest first, whatever they are for.",
        ("query",),
        query=_TEXT,
        limit=_count(50),
    ),
    _tool("get", "One item in full, with its sources and its measured effect on success.", ("id",), id=_TEXT),
    _tool(
        "recall",
        "What memory says to a task: the best items that apply here, with the reasons, or none. Give the names of your "
        "actions or tools, so that advice which needs others is left out.",
        ("task",),
        task=_TEXT,
        suite=_TEXT,
        environment=_TEXT,
        actions=_VERBS,
        k=_count(20),
    ),
    _tool(
        "propose",
        "Offer an item for the memory. It waits until a person approves it.",
        ("content",),
        content=_TEXT,
        title=_TEXT,
        when_to_use=_TEXT,
        when_not=_TEXT,
        kind=_KIND,
        suite=_TEXT,
        environment=_TEXT,
        actions=_VERBS,
    ),
)
