"""The tools as their users see them: names, one line each, and JSON schemas. Nothing here knows a convention."""

from wisen.core.records import ToolSpec

_TEXT = {"type": "string", "maxLength": 2000}
_NUMBER = {"type": "integer"}

FINISH = "finish"


def _tool(name: str, description: str, /, **arguments: tuple[str, dict]) -> ToolSpec:
    properties = {key: {**kind, "description": said} for key, (said, kind) in arguments.items()}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return ToolSpec(name=name, description=description, parameters=schema)


_MAIL = ("The mail's id, such as M-1.", _TEXT)
_ORDER = ("The order's number.", _TEXT)
_TICKET = ("The ticket's id, such as T-1.", _TEXT)
_FILE = ("The whole path of the file.", _TEXT)
_PRODUCT = ("The product's name.", _TEXT)
_PERSON = ("A colleague's first name.", _TEXT)
_REFERENCE = ("The reference to book it under.", _TEXT)

TOOLS: tuple[ToolSpec, ...] = (
    _tool("list_mail", "List the mails received."),
    _tool("read_mail", "Read a mail.", mail=_MAIL),
    _tool("send_mail", "Send a mail.", to=("The address.", _TEXT), text=("What it says.", _TEXT)),
    _tool("forward_mail", "Forward a mail, also a sent one.", mail=_MAIL, to=("A colleague's address.", _TEXT)),
    _tool("list_events", "List what is in the calendar."),
    _tool(
        "create_event",
        "Put an event into the calendar.",
        title=("Its title.", _TEXT),
        date=("Its date.", _TEXT),
        time=("Its time, such as 10:00.", _TEXT),
    ),
    _tool("cancel_event", "Take an event out of the calendar.", event=("The event's id, such as E-1.", _TEXT)),
    _tool("list_files", "List all files."),
    _tool("read_file", "Read a file.", file=_FILE),
    _tool("create_file", "Write a file; it lies on your desk.", name=("Its name.", _TEXT), text=("Its text.", _TEXT)),
    _tool("move_file", "Move a file into a folder.", file=_FILE, folder=("The folder.", _TEXT)),
    _tool("list_tickets", "List the tickets."),
    _tool("open_ticket", "Open a ticket.", subject=("Its subject.", _TEXT), priority=("Its priority.", _TEXT)),
    _tool("comment_ticket", "Add a comment to a ticket.", ticket=_TICKET, text=("The comment.", _TEXT)),
    _tool("assign_ticket", "Give a ticket to a colleague.", ticket=_TICKET, person=_PERSON),
    _tool("close_ticket", "Close a ticket.", ticket=_TICKET),
    _tool("find_order", "Look an order up.", order=_ORDER),
    _tool("hold_order", "Put an order on hold.", order=_ORDER),
    _tool("refund_order", "Pay an order back.", order=_ORDER, reference=_REFERENCE),
    _tool("send_replacement", "Send the goods of an order again.", order=_ORDER, reference=_REFERENCE),
    _tool("find_product", "Look a product's price and stock up.", product=_PRODUCT),
    _tool("ask_approval", "Ask a colleague to approve a purchase.", person=_PERSON, product=_PRODUCT),
    _tool("buy_product", "Buy more of a product.", product=_PRODUCT, quantity=("How many.", _NUMBER)),
    _tool(FINISH, "Say that the task is done. This ends it."),
)
