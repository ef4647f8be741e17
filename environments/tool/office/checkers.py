"""Exact checks of the final state: what was asked for, nothing else that matters, and the ways of the house kept."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wisen.environments.tool.office.conventions import priority_word, written_name, written_reference
from wisen.environments.tool.office.desk import Desk, approved
from wisen.environments.tool.office.state import Mail, State, new_rows

Key = tuple[str, str]  # table and id of a row


@dataclass(frozen=True, slots=True)
class MailTo:
    """A mail to `address` that holds `text`, as whole words."""

    address: str
    text: str

    def rows(self, before: State, after: State, desk: Desk) -> list[Key]:
        wanted = re.compile(rf"(?<!\w){re.escape(self.text)}(?!\w)")
        mails = sent(before, after)
        return [("mails", one.id) for one in mails if one.to == self.address and wanted.search(one.text)]


@dataclass(frozen=True, slots=True)
class EventAt:
    title: str
    date: str
    time: str

    def rows(self, before: State, after: State, desk: Desk) -> list[Key]:
        wanted = (self.title, self.date, self.time)
        made = new_rows(before.events, after.events)
        stands = [one for one in made if not one.cancelled]
        return [("events", one.id) for one in stands if (one.title, one.date, one.time) == wanted]


@dataclass(frozen=True, slots=True)
class EventGone:
    event: str

    def rows(self, before: State, after: State, desk: Desk) -> list[Key]:
        return [("events", self.event)] if after.events[self.event].cancelled else []


@dataclass(frozen=True, slots=True)
class Filed:
    """A new file that says `text` and is of that kind and date, wherever it lies."""

    kind: str
    date: str
    text: str

    def rows(self, before: State, after: State, desk: Desk) -> list[Key]:
        return [("files", one.path) for one in new_rows(before.files, after.files) if one.text == self.text]


@dataclass(frozen=True, slots=True)
class TicketOpened:
    subject: str
    urgent: bool

    def rows(self, before: State, after: State, desk: Desk) -> list[Key]:
        made = [one for one in new_rows(before.tickets, after.tickets) if one.subject == self.subject]
        if desk.ways:
            made = [one for one in made if one.priority == priority_word(self.urgent, desk.ways.priority)]
        return [("tickets", one.id) for one in made]


@dataclass(frozen=True, slots=True)
class TicketClosed:
    ticket: str

    def rows(self, before: State, after: State, desk: Desk) -> list[Key]:
        return [("tickets", self.ticket)] if after.tickets[self.ticket].closed else []


@dataclass(frozen=True, slots=True)
class Refunded:
    order: str

    def rows(self, before: State, after: State, desk: Desk) -> list[Key]:
        return [("refunds", self.order)] if after.orders[self.order].refund else []


@dataclass(frozen=True, slots=True)
class Replaced:
    order: str

    def rows(self, before: State, after: State, desk: Desk) -> list[Key]:
        return [("replacements", self.order)] if after.orders[self.order].replacement else []


@dataclass(frozen=True, slots=True)
class Bought:
    product: str
    quantity: int

    def rows(self, before: State, after: State, desk: Desk) -> list[Key]:
        made = new_rows(before.purchases, after.purchases)
        return [("purchases", one.id) for one in made if (one.product, one.quantity) == (self.product, self.quantity)]


Check = MailTo | EventAt | EventGone | Filed | TicketOpened | TicketClosed | Refunded | Replaced | Bought


@dataclass(frozen=True, slots=True)
class Verdict:
    """progress: the share of what was asked for that is there. `broken`: names of the conventions that were broken.
    `extra`: something that was not asked for was done."""

    progress: float
    extra: bool
    broken: tuple[str, ...]

    @property
    def success(self) -> bool:
        return self.progress == 1.0 and not self.extra and not self.broken


def judged(checks: Sequence[Check], before: State, after: State, desk: Desk) -> Verdict:
    """How a task went, from the state before and after it and nothing else."""
    found = [check.rows(before, after, desk) for check in checks]
    wanted = {keys[0] for keys in found if keys}
    wanted |= {("mails", one.id) for one in sent(before, after)}  # who is written to besides is no matter of the books
    extra = changed(before, after) - wanted
    return Verdict(
        progress=sum(map(bool, found)) / len(checks),
        extra=bool(extra),
        broken=_broken(checks, before, after, desk),
    )


def sent(before: State, after: State) -> list[Mail]:
    return new_rows(before.mails, after.mails)


def changed(before: State, after: State) -> set[Key]:
    """What was done that cannot be undone by a word: money, goods, papers, dates, closed tickets. Opening a ticket,
    commenting, asking and holding an order harm nobody."""
    keys: set[Key] = {("purchases", key) for key in after.purchases}
    keys |= {("events", key) for key, one in after.events.items() if one.cancelled == (key in before.events)}
    keys |= {("files", key) for key in before.files.keys() ^ after.files.keys()}
    keys |= {("tickets", key) for key, one in after.tickets.items() if one.closed and not _was_closed(before, key)}
    keys |= {("refunds", key) for key, one in after.orders.items() if one.refund}
    keys |= {("replacements", key) for key, one in after.orders.items() if one.replacement}
    return keys


def _was_closed(before: State, ticket: str) -> bool:
    return ticket in before.tickets and before.tickets[ticket].closed


def _broken(checks: Sequence[Check], before: State, after: State, desk: Desk) -> tuple[str, ...]:
    """The conventions that only the end shows; the others refuse at once."""
    if desk.ways is None:
        return ()
    broken = []
    orders = [one for one in after.orders.values() if one.refund or one.replacement]
    for one in orders:
        right = written_reference(one.id, desk.house.code, desk.ways.reference)
        if {one.refund, one.replacement} - {"", right}:
            broken.append("reference")
    for check in checks:
        if isinstance(check, Filed):
            for _, path in check.rows(before, after, desk):
                folder, _, name = path.rpartition("/")
                broken += ["folder"] * (folder != desk.ways.folder)
                broken += ["file_name"] * (name != written_name(check.kind, check.date, desk.ways.file_name))
        if isinstance(check, TicketOpened) and not check.rows(before, after, desk):
            made = new_rows(before.tickets, after.tickets)
            broken += ["priority"] * any(one.subject == check.subject for one in made)
    if not all(approved(desk, one) for one in after.purchases.values()):
        broken.append("approver")
    copy = desk.house.by_role(desk.ways.customer_copy).address
    customers = {order.address for order in after.orders.values()}
    if any(mail.to in customers and copy not in mail.forwarded for mail in sent(before, after)):
        broken.append("customer_copy")
    return tuple(dict.fromkeys(broken))


REMARKS = {
    "reference": "A reference is not written the way it is written here.",
    "folder": "A paper does not lie where such papers lie here.",
    "file_name": "A file is not named the way files are named here.",
    "priority": "A ticket does not have the priority that it should have here.",
    "approver": "A purchase was not approved the way it has to be here.",
    "customer_copy": "A mail to a customer was not passed on to whom it should be here.",
}


def remark(verdict: Verdict) -> str:
    """What the agent is told at the end: which kind of thing was wrong, and never what would have been right."""
    if verdict.success:
        return "Done. All is as it should be."
    said = [REMARKS[name] for name in verdict.broken]
    if verdict.extra:
        said.append("Something was done that was not asked for.")
    if verdict.progress < 1.0 and "priority" not in verdict.broken:
        said.append("Something that was asked for is missing.")
    return " ".join(["Done, but not as it should be.", *said])
