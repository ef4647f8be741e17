"""Level 3: several systems: shop and mail, mail and calendar, mail and files, shop and tickets."""

from wisen.environments.tool.office.checkers import EventAt, Filed, MailTo, Refunded, Replaced
from wisen.environments.tool.office.state import State
from wisen.environments.tool.office.templates.base import (
    CONTENTS,
    PAPERS,
    TIMES,
    TITLES,
    TO_CUSTOMERS,
    Draw,
    Job,
    Template,
    said,
    with_mail,
)


def refund(draw: Draw, state: State) -> Job:
    order = draw.choice(list(state.orders.values()))
    return Job(
        draw.house,
        f"Refund order {order.id}.",
        state,
        (Refunded(order.id),),
        {"order": order.id, "address": order.address},
    )


def replace_order(draw: Draw, state: State) -> Job:
    order, text = draw.choice(list(state.orders.values())), draw.choice(TO_CUSTOMERS)
    return Job(
        draw.house,
        f'Send a replacement for order {order.id} and tell the customer: "{text}".',
        state,
        (Replaced(order.id), MailTo(order.address, text)),
        {"order": order.id, "address": order.address, "text": text},
    )


def event_from_mail(draw: Draw, state: State) -> Job:
    who, title, day, time = draw.choice(draw.house.staff), draw.choice(TITLES), draw.day(), draw.choice(TIMES)
    text = f'Let us have a "{title}" on {said(day)} at {time}.'
    state = with_mail(state, who.address, draw.choice(draw.house.staff).address, "a date", text)
    return Job(
        draw.house,
        f"{who.name} wrote about a date. Put it into the calendar.",
        state,
        (EventAt(title, day, time),),
        {"mail": f"M-{len(state.mails)}", "title": title, "date": day, "time": time},
    )


def file_from_mail(draw: Draw, state: State) -> Job:
    who, kind, day, text = draw.choice(draw.house.staff), draw.choice(PAPERS), draw.day(), draw.choice(CONTENTS)
    state = with_mail(
        state, who.address, draw.choice(draw.house.staff).address, "a paper", f'This is all it says: "{text}".'
    )
    return Job(
        draw.house,
        f"{who.name} has mailed the {kind} of {said(day)}. File what it says.",
        state,
        (Filed(kind, day, text),),
        {"mail": f"M-{len(state.mails)}", "kind": kind, "date": day, "text": text},
    )


LEVEL_3 = (
    Template("refund", 3, refund),
    Template("replace", 3, replace_order),
    Template("event-from-mail", 3, event_from_mail),
    Template("file-from-mail", 3, file_from_mail),
)
