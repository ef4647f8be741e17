"""Level 4: several steps, and a condition that only a look can decide."""

from dataclasses import replace

from wisen.environments.tool.office.checkers import (
    Bought,
    Check,
    EventAt,
    EventGone,
    Filed,
    MailTo,
    Refunded,
    Replaced,
    TicketClosed,
    TicketOpened,
)
from wisen.environments.tool.office.state import Event, Order, State, Ticket
from wisen.environments.tool.office.templates.base import (
    CONTENTS,
    MESSAGES,
    TIMES,
    TITLES,
    Draw,
    Job,
    Template,
    said,
    with_mail,
)


def refund_or_replace(draw: Draw, state: State) -> Job:
    order = draw.choice(list(state.orders.values()))
    stocked = draw.random() < 0.5
    good = replace(state.products[order.product], stock=draw.randint(4, 30) if stocked else 0)
    return Job(
        draw.house,
        f"Order {order.id} arrived broken. Send a replacement if the product is in stock; if not, refund the order.",
        state.with_row("products", good.name, good),
        (Replaced(order.id) if stocked else Refunded(order.id),),
        {"order": order.id, "address": order.address, "product": good.name, "stocked": stocked},
    )


def triage(draw: Draw, state: State) -> Job:
    order, subject = draw.choice(list(state.orders.values())), f"complaint {draw.randint(10, 99)}"
    urgent = draw.random() < 0.5
    order = replace(order, total=draw.randint(210, 600) if urgent else draw.randint(20, 190))
    state = state.with_row("orders", order.id, order)
    state = with_mail(state, order.address, draw.choice(draw.house.staff).address, "an order", _complaint(order))
    return Job(
        draw.house,
        f'{order.customer} wrote about an order. Open a ticket "{subject}": urgent if the order is worth more than '
        "200, otherwise it can wait.",
        state,
        (TicketOpened(subject, urgent),),
        {"mail": f"M-{len(state.mails)}", "order": order.id, "subject": subject, "urgent": urgent},
    )


def _complaint(order: Order) -> str:
    return f"I am not happy with order {order.id}. Yours, {order.customer}"


def restock(draw: Draw, state: State) -> Job:
    good = draw.choice(list(state.products.values()))
    low, quantity, day = draw.random() < 0.7, draw.randint(21, 40), draw.day()
    price = max(1, draw.choice((90, 250, 600, 1200)) // quantity)
    good = replace(good, stock=draw.randint(1, 9) if low else draw.randint(11, 20), price=price)
    paper, message, who = draw.choice(CONTENTS), draw.choice(MESSAGES), draw.choice(draw.house.staff)
    bought = (Bought(good.name, quantity), Filed("receipt", day, paper))
    return Job(
        draw.house,
        f"If fewer than 10 of the {good.name} are in stock, buy {quantity} and file the receipt of {said(day)}: "
        f'"{paper}". If not, tell {who.name} by mail: "{message}".',
        state.with_row("products", good.name, good),
        bought if low else (MailTo(who.address, message),),
        {
            "product": good.name,
            "low": low,
            "quantity": quantity,
            "total": price * quantity,
            "kind": "receipt",
            "date": day,
            "paper": paper,
            "to": who.address,
            "text": message,
        },
    )


def free_slot(draw: Draw, state: State) -> Job:
    title, day, time = draw.choice(TITLES), draw.day(), draw.choice(TIMES)
    taken = draw.random() < 0.6
    other = Event("E-2", "open hours", day if taken else draw.day(), time if taken else "17:00")
    checks: tuple[Check, ...] = (EventAt(title, day, time), *([EventGone("E-2")] if taken else []))
    return Job(
        draw.house,
        f'Put "{title}" into the calendar on {said(day)} at {time}. If something else is there at that time, cancel '
        "that first.",
        state.with_row("events", "E-2", other),
        checks,
        {"title": title, "date": day, "time": time, "taken": taken, "event": "E-2"},
    )


def settle_ticket(draw: Draw, state: State) -> Job:
    order, key = draw.choice(list(state.orders.values())), f"T-{draw.randint(11, 99)}"
    dear = draw.random() < 0.5
    order = replace(order, total=draw.randint(210, 600) if dear else draw.randint(20, 190), quantity=1)
    state = state.with_row("orders", order.id, order)
    state = state.with_row("tickets", key, Ticket(key, "goods are faulty", order.address))
    return Job(
        draw.house,
        f"Ticket {key} is about order {order.id}. Refund it if it is worth less than 200; if not, send a replacement. "
        "Then close the ticket.",
        state,
        (Replaced(order.id) if dear else Refunded(order.id), TicketClosed(key)),
        {"order": order.id, "address": order.address, "reporter": order.address, "ticket": key, "stocked": dear},
    )


LEVEL_4 = (
    Template("refund-or-replace", 4, refund_or_replace),
    Template("triage", 4, triage),
    Template("restock", 4, restock),
    Template("free-slot", 4, free_slot),
    Template("settle-ticket", 4, settle_ticket),
)
