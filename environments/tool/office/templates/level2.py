"""Level 2: look something up, then act on it; or two calls that belong together."""

from dataclasses import replace

from wisen.environments.tool.office.checkers import Bought, Filed, MailTo, TicketClosed
from wisen.environments.tool.office.state import State, Ticket
from wisen.environments.tool.office.templates.base import (
    CONTENTS,
    PAPERS,
    SUBJECTS,
    TO_CUSTOMERS,
    Draw,
    Job,
    Template,
    said,
)


def tell_customer(draw: Draw, state: State) -> Job:
    order, text = draw.choice(list(state.orders.values())), draw.choice(TO_CUSTOMERS)
    return Job(
        draw.house,
        f'Tell the customer of order {order.id}: "{text}".',
        state,
        (MailTo(order.address, text),),
        {"order": order.id, "to": order.address, "text": text},
    )


def mail_price(draw: Draw, state: State) -> Job:
    who, good = draw.choice(draw.house.staff), draw.choice(list(state.products.values()))
    return Job(
        draw.house,
        f"Mail {who.name} the price of the {good.name}.",
        state,
        (MailTo(who.address, str(good.price)),),
        {"to": who.address, "product": good.name, "text": str(good.price)},
    )


def file_paper(draw: Draw, state: State) -> Job:
    kind, day, text = draw.choice(PAPERS), draw.day(), draw.choice(CONTENTS)
    return Job(
        draw.house,
        f'File the {kind} of {said(day)}: "{text}".',
        state,
        (Filed(kind, day, text),),
        {"kind": kind, "date": day, "text": text},
    )


def buy(draw: Draw, state: State) -> Job:
    good, quantity = draw.choice(list(state.products.values())), draw.randint(2, 20)
    good = replace(good, price=max(1, draw.choice((90, 250, 600, 1200)) // quantity))
    return Job(
        draw.house,
        f"Buy {quantity} of the {good.name}.",
        state.with_row("products", good.name, good),
        (Bought(good.name, quantity),),
        {"product": good.name, "quantity": quantity, "total": good.price * quantity},
    )


def close_ticket(draw: Draw, state: State) -> Job:
    key, who = f"T-{draw.randint(11, 99)}", draw.choice(draw.house.staff)
    ticket = Ticket(key, draw.choice(SUBJECTS), who.address)
    text = draw.choice(CONTENTS)
    return Job(
        draw.house,
        f'Ticket {key} is solved: "{text}". Close it.',
        state.with_row("tickets", key, ticket),
        (TicketClosed(key),),
        {"ticket": key, "reporter": who.address, "text": text},
    )


LEVEL_2 = (
    Template("tell-customer", 2, tell_customer),
    Template("mail-price", 2, mail_price),
    Template("file-paper", 2, file_paper),
    Template("buy", 2, buy),
    Template("close-ticket", 2, close_ticket),
)
